"""Interfaces, InfiniBand and RoCE ports, and the ports of switches; unknown is None, times are epoch seconds."""

from dataclasses import dataclass
from typing import ClassVar

from dcdaemon.core.metric import counter, fact, gauge

_DEV = "/proc/net/dev"
_IB = "/sys/class/infiniband/*/ports/*/counters"
_HW = "/sys/class/infiniband/*/ports/*/hw_counters"
_MLX5 = "mlx5"
_LARGE = "64-bit counters; a 32-bit one is unknown once it is full"
_WIDE = "64-bit counters, or 32-bit ones that cannot overflow unseen"


@dataclass(frozen=True, slots=True)
class NetSample:
    """Counters of one network interface since boot."""

    KIND: ClassVar[str] = "net"
    KEYS: ClassVar[tuple[str, ...]] = ("interface",)

    at: float
    interface: str
    received_bytes: int | None = counter("Bytes received.", _DEV, node="node_network_receive_bytes_total")
    sent_bytes: int | None = counter("Bytes sent.", _DEV, node="node_network_transmit_bytes_total")
    errors_in: int | None = counter("Broken packets received.", _DEV, node="node_network_receive_errs_total")
    errors_out: int | None = counter("Packets that could not be sent.", _DEV, node="node_network_transmit_errs_total")
    drops_in: int | None = counter("Packets received and dropped.", _DEV, node="node_network_receive_drop_total")
    drops_out: int | None = counter("Packets dropped before sending.", _DEV, node="node_network_transmit_drop_total")
    up: bool | None = fact("Whether the link carries.", "/sys/class/net/*/operstate")
    speed_bps: int | None = fact("Speed of the link.", "/sys/class/net/*/speed", every_s=60)
    packets_in: int | None = counter("Packets received.", _DEV, node="node_network_receive_packets_total")
    packets_out: int | None = counter("Packets sent.", _DEV, node="node_network_transmit_packets_total")
    carrier_changes: int | None = counter(
        "Times the link came or went.", "/sys/class/net/*/carrier_changes", node="node_network_carrier_changes_total"
    )


@dataclass(frozen=True, slots=True)
class IbSample:
    """One port of an InfiniBand or RoCE adapter."""

    KIND: ClassVar[str] = "ib"
    KEYS: ClassVar[tuple[str, ...]] = ("device", "port")

    at: float
    device: str
    port: int
    state: str | None = fact("Logical state, like ACTIVE.", "ports/*/state")
    physical_state: str | None = fact("Physical state, like LinkUp.", "ports/*/phys_state")
    link_layer: str | None = fact("InfiniBand or Ethernet.", "ports/*/link_layer", every_s=60)
    up: bool | None = fact("Whether the port carries traffic.", "ports/*/state")
    speed_bps: int | None = fact("Rate of the link.", "ports/*/rate", every_s=60)
    received_bytes: int | None = counter("Bytes received.", f"{_IB}/port_rcv_data x 4", _LARGE)
    sent_bytes: int | None = counter("Bytes sent.", f"{_IB}/port_xmit_data x 4", _LARGE)
    packets_in: int | None = counter("Packets received.", f"{_IB}/port_rcv_packets", _LARGE)
    packets_out: int | None = counter("Packets sent.", f"{_IB}/port_xmit_packets", _LARGE)
    link_downed: int | None = counter("Times the link went down.", f"{_IB}/link_downed")
    link_error_recovery: int | None = counter("Times the link recovered from errors.", f"{_IB}/link_error_recovery")
    symbol_errors: int | None = counter("Symbols received broken.", f"{_IB}/symbol_error")
    integrity_errors: int | None = counter(
        "Times errors passed the local threshold.", f"{_IB}/local_link_integrity_errors"
    )
    errors_in: int | None = counter("Packets received broken.", f"{_IB}/port_rcv_errors")
    discards_out: int | None = counter("Packets dropped before sending.", f"{_IB}/port_xmit_discards")
    wait_ticks: int | None = counter("Ticks with data and no credit to send it.", f"{_IB}/port_xmit_wait")
    vl15_dropped: int | None = counter("Management packets dropped.", f"{_IB}/VL15_dropped")
    out_of_sequence: int | None = counter("Packets received out of order.", f"{_HW}/out_of_sequence", _MLX5)
    packet_seq_errors: int | None = counter("Sequence errors told by the peer.", f"{_HW}/packet_seq_err", _MLX5)
    ack_timeouts: int | None = counter("Acknowledgements that did not come.", f"{_HW}/local_ack_timeout_err", _MLX5)
    rnr_naks: int | None = counter("Times the peer was not ready.", f"{_HW}/rnr_nak_retry_err", _MLX5)
    out_of_buffer: int | None = counter("Packets dropped for want of a buffer.", f"{_HW}/out_of_buffer", _MLX5)
    adaptive_retransmits: int | None = counter("Adaptive retransmissions.", f"{_HW}/roce_adp_retrans", _MLX5)
    cnp_sent: int | None = counter("Congestion notices sent.", f"{_HW}/np_cnp_sent", _MLX5)
    ecn_marked: int | None = counter(
        "Packets received with a congestion mark.", f"{_HW}/np_ecn_marked_roce_packets", _MLX5
    )
    cnp_handled: int | None = counter("Congestion notices obeyed.", f"{_HW}/rp_cnp_handled", _MLX5)


@dataclass(frozen=True, slots=True)
class SwitchPortSample:
    """One interface of a switch, a firewall or another device, asked by SNMP (IF-MIB, RFC 2863)."""

    KIND: ClassVar[str] = "switch_port"
    KEYS: ClassVar[tuple[str, ...]] = ("switch", "port")

    at: float
    switch: str
    port: str
    up: bool | None = fact("Whether the port is up.", "ifOperStatus", every_s=60)
    enabled: bool | None = fact("Whether it is meant to be.", "ifAdminStatus", every_s=60)
    speed_bps: int | None = fact("Speed of the port.", "ifHighSpeed, else ifSpeed", every_s=60)
    received_bytes: int | None = counter("Bytes received.", "ifHCInOctets, else ifInOctets", _WIDE, every_s=60)
    sent_bytes: int | None = counter("Bytes sent.", "ifHCOutOctets, else ifOutOctets", _WIDE, every_s=60)
    errors_in: int | None = counter("Broken packets received.", "ifInErrors", every_s=60)
    errors_out: int | None = counter("Packets that could not be sent.", "ifOutErrors", every_s=60)
    drops_in: int | None = counter("Packets received and dropped.", "ifInDiscards", every_s=60)
    drops_out: int | None = counter("Packets dropped before sending.", "ifOutDiscards", every_s=60)


@dataclass(frozen=True, slots=True)
class SwitchSample:
    """Whether one device answers SNMP."""

    KIND: ClassVar[str] = "switch"
    KEYS: ClassVar[tuple[str, ...]] = ("switch",)

    at: float
    switch: str
    up: bool | None = fact("Whether it answered.", "SNMP", every_s=60)
    latency_s: float | None = gauge("Time of the first answer.", "SNMP", every_s=60)
    uptime_s: float | None = gauge("Time since it, or its SNMP agent, was started.", "sysUpTime", every_s=60)
    error: str | None = fact("Why it did not answer.", "SNMP", every_s=60)

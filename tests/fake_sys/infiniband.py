"""Writes a /sys/class/infiniband like that of a node with eight H100s: one 400 Gb/s adapter for each GPU."""

from pathlib import Path

HCAS = 8
# fmt: off
_COUNTERS = (
    "VL15_dropped", "excessive_buffer_overrun_errors", "link_downed", "link_error_recovery",
    "local_link_integrity_errors", "multicast_rcv_packets", "multicast_xmit_packets", "port_rcv_constraint_errors",
    "port_rcv_data", "port_rcv_errors", "port_rcv_packets", "port_rcv_remote_physical_errors",
    "port_rcv_switch_relay_errors", "port_xmit_constraint_errors", "port_xmit_data", "port_xmit_discards",
    "port_xmit_packets", "port_xmit_wait", "symbol_error", "unicast_rcv_packets", "unicast_xmit_packets",
)
_HW_COUNTERS = (
    "duplicate_request", "implied_nak_seq_err", "local_ack_timeout_err", "np_cnp_sent",
    "np_ecn_marked_roce_packets", "out_of_buffer", "out_of_sequence", "packet_seq_err", "req_cqe_error",
    "req_cqe_flush_error", "req_remote_access_errors", "req_remote_invalid_request", "resp_cqe_error",
    "resp_cqe_flush_error", "resp_local_length_error", "resp_remote_access_errors", "rnr_nak_retry_err",
    "roce_adp_retrans", "roce_adp_retrans_to", "roce_slow_restart", "roce_slow_restart_cnps",
    "roce_slow_restart_trans", "rp_cnp_handled", "rp_cnp_ignored", "rx_atomic_requests", "rx_dct_connect",
    "rx_icrc_encapsulated", "rx_read_requests", "rx_write_requests",
)
# fmt: on
_STATE = {
    "state": "4: ACTIVE",
    "phys_state": "5: LinkUp",
    "rate": "400 Gb/sec (4X NDR)",
    "link_layer": "InfiniBand",
    "hw_counters/lifespan": "10",
}


class InfinibandTree:
    """The tree, and what happens to its ports; counters begin at 0 and are written in place, as a kernel does."""

    def __init__(self, sys: Path, devices: int = HCAS) -> None:
        self.folder = sys / "class/infiniband"
        self.folder.mkdir(parents=True)
        for number in range(devices):
            self.add(f"mlx5_{number}")

    def add(self, device: str, **state: str) -> None:
        """Plug an adapter in."""
        for name in ("counters", "hw_counters"):
            (self.port(device) / name).mkdir(parents=True)
        for name in _COUNTERS:
            self.set(device, **{f"counters/{name}": "0"})
        for name in _HW_COUNTERS:
            self.set(device, **{f"hw_counters/{name}": "0"})
        self.set(device, **(_STATE | state))

    def port(self, device: str) -> Path:
        """Return the folder of an adapter's only port."""
        return self.folder / device / "ports/1"

    def set(self, device: str, **files: object) -> None:
        """Write files of a port."""
        for name, content in files.items():
            (self.port(device) / name).write_text(f"{content}\n")

    def goes(self, device: str, *, up: bool) -> None:
        """Let the link of a port come or go, without a count of it."""
        down = {"state": "1: DOWN", "phys_state": "2: Polling"}
        self.set(device, **({"state": _STATE["state"], "phys_state": _STATE["phys_state"]} if up else down))

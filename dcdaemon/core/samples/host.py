"""CPU, memory, pressure and the sensors of the node; unknown is None, times are epoch seconds."""

from dataclasses import dataclass
from typing import ClassVar

from dcdaemon.core.metric import counter, fact, gauge

_PSI = "Linux 4.20 and later"
_EDAC = "/sys/devices/system/edac/mc/mc*"


def _stalled(resource: str, who: str, node: str) -> float | None:
    made: float | None = counter(
        f"Time in which {who} tasks waited for {resource}.", f"/proc/pressure/{resource}", _PSI, family="stalled_s",
        labels={"resource": resource, "tasks": who}, node=f"node_pressure_{node}_seconds_total",
    )  # fmt: skip
    return made


@dataclass(frozen=True, slots=True)
class HostSample:
    """CPU, memory, pressure and TCP of the node."""

    KIND: ClassVar[str] = "host"
    KEYS: ClassVar[tuple[str, ...]] = ()

    at: float
    cpu_util_ratio: float | None = gauge("Share of CPU time in use since the last reading.", "/proc/stat")
    load_1m: float | None = gauge("Running and waiting tasks, mean of a minute.", "/proc/loadavg", node="node_load1")
    mem_total_bytes: int | None = gauge("Memory of the node.", "/proc/meminfo", node="node_memory_MemTotal_bytes")
    mem_available_bytes: int | None = gauge(
        "Memory that can be had without swapping.", "/proc/meminfo", node="node_memory_MemAvailable_bytes"
    )
    swap_used_bytes: int | None = gauge("Swap in use.", "/proc/meminfo")
    psi_cpu_some_ratio: float | None = gauge(
        "Share of 10 s in which a task waited for CPU.", "/proc/pressure/cpu", _PSI
    )
    psi_mem_some_ratio: float | None = gauge(
        "Share of 10 s in which a task waited for memory.", "/proc/pressure/memory", _PSI
    )
    psi_io_some_ratio: float | None = gauge("Share of 10 s in which a task waited for I/O.", "/proc/pressure/io", _PSI)
    stalled_cpu_some_s: float | None = _stalled("cpu", "some", "cpu_waiting")
    stalled_mem_some_s: float | None = _stalled("memory", "some", "memory_waiting")
    stalled_mem_full_s: float | None = _stalled("memory", "all", "memory_stalled")
    stalled_io_some_s: float | None = _stalled("io", "some", "io_waiting")
    stalled_io_full_s: float | None = _stalled("io", "all", "io_stalled")
    tcp_segments_out: int | None = counter(
        "TCP segments sent.", "/proc/net/snmp OutSegs", node="node_netstat_Tcp_OutSegs"
    )
    tcp_retransmits: int | None = counter(
        "TCP segments sent again.", "/proc/net/snmp RetransSegs", node="node_netstat_Tcp_RetransSegs"
    )
    tcp_timeouts: int | None = counter("TCP timers that ran out.", "/proc/net/netstat TCPTimeouts")
    tcp_listen_drops: int | None = counter("Connections refused for a full queue.", "/proc/net/netstat ListenDrops")
    edac_corrected: int | None = counter("Memory errors that ECC corrected.", f"{_EDAC}/ce_count, summed", "ECC memory")
    edac_uncorrected: int | None = counter(
        "Memory errors ECC could not correct.", f"{_EDAC}/ue_count, summed", "ECC memory"
    )


@dataclass(frozen=True, slots=True)
class SensorSample:
    """One hwmon sensor: a temperature, or a fan; chips are named as `sensors` names them, like nvme-pci-0100."""

    KIND: ClassVar[str] = "sensor"
    KEYS: ClassVar[tuple[str, ...]] = ("chip", "sensor")

    at: float
    chip: str
    sensor: str
    temp_c: float | None = gauge("Temperature.", "/sys/class/hwmon temp*_input", every_s=60)
    temp_critical_c: float | None = fact(
        "Temperature the maker calls critical.", "/sys/class/hwmon temp*_crit", every_s=60
    )
    fan_rpm: float | None = gauge("Speed of a fan.", "/sys/class/hwmon fan*_input", every_s=60)


@dataclass(frozen=True, slots=True)
class RaplSample:
    """One RAPL domain: the energy of a CPU package, or of its cores or memory, or of the whole board (psys)."""

    KIND: ClassVar[str] = "rapl"
    KEYS: ClassVar[tuple[str, ...]] = ("domain",)

    at: float
    domain: str
    energy_mj: int | None = counter(
        "Energy of the domain since the daemon started; wraps are made good.", "/sys/class/powercap/*/energy_uj",
        "Intel, AMD; for root alone since Linux 5.10",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BmcSample:
    """What the board's management controller measures of the whole node."""

    KIND: ClassVar[str] = "bmc"
    KEYS: ClassVar[tuple[str, ...]] = ()

    at: float
    node_power_w: float | None = gauge(
        "Power of the whole node.", "ipmitool dcmi power reading, by the BMC unit", every_s=60
    )
    inlet_temp_c: float | None = gauge(
        "Temperature of the air that comes in.", "ipmitool sdr, by the BMC unit", every_s=60
    )

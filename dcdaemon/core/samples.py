"""One reading of each kind of hardware; unknown is None, times are epoch seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dcdaemon.core.gpu import GpuInfo, GpuProcess


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One reading of one GPU; `energy_counter_mj` counts since the driver was loaded and may reset."""

    at: float
    monotonic_s: float
    gpu: int
    util_ratio: float | None = None
    mem_bw_busy_ratio: float | None = None
    mem_used_bytes: int | None = None
    mem_total_bytes: int | None = None
    power_w: float | None = None
    energy_counter_mj: int | None = None
    temp_c: float | None = None
    sm_clock_hz: int | None = None
    mem_clock_hz: int | None = None
    power_limit_w: float | None = None
    processes: tuple[GpuProcess, ...] | None = None
    simulated: bool = False
    error: str | None = None


def averaged(sweeps: Sequence[Sequence[GpuSample]]) -> tuple[GpuSample, ...]:
    """Return the newest sample of each GPU with load and power averaged over all sweeps, where they are known."""
    by_gpu: dict[int, list[GpuSample]] = {}
    for sample in (sample for sweep in sweeps for sample in sweep):
        by_gpu.setdefault(sample.gpu, []).append(sample)
    return tuple(
        replace(
            samples[-1],
            util_ratio=_mean(sample.util_ratio for sample in samples),
            mem_bw_busy_ratio=_mean(sample.mem_bw_busy_ratio for sample in samples),
            power_w=_mean(sample.power_w for sample in samples),
        )
        for _, samples in sorted(by_gpu.items())
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class GpuReading:
    """All that a GPU source knows now: its GPUs, their newest samples, and what is wrong with the driver."""

    gpus: tuple[GpuInfo, ...]
    samples: tuple[GpuSample, ...]
    driver_version: str | None = None
    driver_error: str | None = None
    lost: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class HostSample:
    """CPU, memory and pressure of the node."""

    at: float
    cpu_util_ratio: float | None
    load_1m: float | None
    mem_total_bytes: int | None
    mem_available_bytes: int | None
    swap_used_bytes: int | None
    psi_cpu_some_ratio: float | None = None
    psi_mem_some_ratio: float | None = None
    psi_io_some_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class DiskSample:
    """Counters of one block device since boot."""

    at: float
    device: str
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    busy_s: float | None


@dataclass(frozen=True, slots=True)
class FilesystemSample:
    """How full one mounted filesystem is; sizes are None when it did not answer in time."""

    at: float
    mount: str
    fstype: str
    size_bytes: int | None
    available_bytes: int | None
    files_free: int | None
    read_only: bool
    error: str | None = None

    @property
    def used_ratio(self) -> float | None:
        """Share in use, 0 to 1, as an unprivileged user meets it."""
        if not self.size_bytes or self.available_bytes is None:
            return None
        return 1 - self.available_bytes / self.size_bytes


@dataclass(frozen=True, slots=True)
class NetSample:
    """Counters of one network interface since boot."""

    at: float
    interface: str
    received_bytes: int
    sent_bytes: int
    errors_in: int
    errors_out: int
    drops_in: int
    drops_out: int
    up: bool | None
    speed_bps: int | None


@dataclass(frozen=True, slots=True)
class HostReading:
    """Everything the host collectors read in one sweep."""

    host: HostSample
    disks: tuple[DiskSample, ...]
    filesystems: tuple[FilesystemSample, ...]
    nets: tuple[NetSample, ...]

"""One reading of one GPU, and of one MIG instance; unknown is None, times are epoch seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.metric import Dcgm, Kind, counter, fact, gauge, metrics_of

_HOPPER = "Hopper and later (GPM)"
_AMPERE = "Ampere and later"
#: Of 32 bits on hardware: without a rate beside it, nobody can tell how often it wrapped.
_WRAPS = "recent drivers; a counter of 32 bits only with GPM"
_MIB = 1 / 2**20
_MHZ = 1e-6
_NS = 1e9

#: nvml.h, nvmlClocksEventReasons*.
CLOCK_EVENT_BITS = {
    0x1: "idle", 0x2: "app_clocks", 0x4: "sw_power_cap", 0x8: "hw_slowdown", 0x10: "sync_boost",
    0x20: "sw_thermal", 0x40: "hw_thermal", 0x80: "hw_power_brake", 0x100: "display_clocks",
    0x200: "board_limit", 0x400: "reliability",
}  # fmt: skip


def _throttled(reason: str, field_id: int, dcgm: str | None = None, *, seen: bool = False) -> float | None:
    meaning = f"Time the clocks were held down, since the driver was loaded: {reason.replace('_', ' ')}."
    name = Dcgm(f"DCGM_FI_DEV_{dcgm}_VIOLATION", _NS) if dcgm else None
    made: float | None = counter(
        meaning, f"field {field_id}", every_s=5, family="throttled_s", labels={"reason": reason}, dcgm=name, seen=seen
    )
    return made


def _ecc(severity: str, scope: str, field_id: int, dcgm: str) -> int | None:
    since = "since the driver was loaded" if scope == "volatile" else "in the board's life"
    made: int | None = counter(
        f"Memory errors that ECC {'corrected' if severity == 'corrected' else 'could not correct'}, {since}.",
        f"field {field_id}", "with ECC", family="ecc_errors", labels={"type": severity, "scope": scope},
        dcgm=Dcgm(f"DCGM_FI_DEV_ECC_{dcgm}_TOTAL"),
    )  # fmt: skip
    return made


def _nvlink(kind: str, field_id: int, support: str, dcgm: str | None = None) -> int | None:
    name = Dcgm(f"DCGM_FI_DEV_NVLINK_{dcgm}_ERROR_COUNT_TOTAL") if dcgm else None
    made: int | None = counter(
        f"NVLink errors of all links: {kind.replace('_', ' ')}.", f"field {field_id}, summed over links", support,
        family="nvlink_errors", labels={"kind": kind}, dcgm=name,
    )  # fmt: skip
    return made


def _active(unit: str, metric_id: int, dcgm: str, *, seen: bool = False) -> float | None:
    made: float | None = gauge(
        f"Share of cycles in which {unit}.", f"GPM {metric_id}", _HOPPER, every_s=1,
        dcgm=Dcgm(f"DCGM_FI_PROF_{dcgm}"), seen=seen,
    )  # fmt: skip
    return made


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One reading of one GPU; `energy_counter_mj` counts since the driver was loaded and may reset."""

    KIND: ClassVar[str] = "gpu"
    KEYS: ClassVar[tuple[str, ...]] = ("gpu",)

    at: float
    monotonic_s: float
    gpu: int
    util_ratio: float | None = gauge(
        "Share of time in which a kernel was resident.", "nvmlDeviceGetUtilizationRates", "not on a GPU cut by MIG",
        every_s=1, dcgm=Dcgm("DCGM_FI_DEV_GPU_UTIL", 100),
        seen=True,
    )  # fmt: skip
    mem_bw_busy_ratio: float | None = gauge(
        "Share of time in which memory was read or written.", "nvmlDeviceGetUtilizationRates",
        "not on a GPU cut by MIG", every_s=1, dcgm=Dcgm("DCGM_FI_DEV_MEM_COPY_UTIL", 100),
        seen=True,
    )  # fmt: skip
    mem_used_bytes: int | None = gauge(
        "Memory that processes hold.", "nvmlDeviceGetMemoryInfo_v2", dcgm=Dcgm("DCGM_FI_DEV_FB_USED", _MIB), seen=True
    )
    mem_total_bytes: int | None = fact(
        "Memory of the board.", "nvmlDeviceGetMemoryInfo_v2", dcgm=Dcgm("DCGM_FI_DEV_FB_TOTAL", _MIB), seen=True
    )
    power_w: float | None = gauge(
        "Power of the board, mean of the last second.", "field 185, else nvmlDeviceGetPowerUsage",
        "the mean on Ampere and later except GA100; older: of the moment", every_s=1,
        dcgm=Dcgm("DCGM_FI_DEV_POWER_USAGE"),
        seen=True,
    )  # fmt: skip
    energy_counter_mj: int | None = counter(
        "Energy since the driver was loaded.", "field 83, else nvmlDeviceGetTotalEnergyConsumption",
        "Volta and later", every_s=1, family="energy_mj", dcgm=Dcgm("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"),
    )  # fmt: skip
    temp_c: float | None = gauge(
        "Temperature of the GPU.", "nvmlDeviceGetTemperatureV", every_s=1, dcgm=Dcgm("DCGM_FI_DEV_GPU_TEMP"), seen=True
    )
    sm_clock_hz: int | None = gauge(
        "Clock of the SMs.", "nvmlDeviceGetClockInfo", every_s=1, family="clock_hz", labels={"clock": "sm"},
        dcgm=Dcgm("DCGM_FI_DEV_SM_CLOCK", _MHZ),
        seen=True,
    )  # fmt: skip
    mem_clock_hz: int | None = gauge(
        "Clock of the memory.", "nvmlDeviceGetClockInfo", every_s=1, family="clock_hz", labels={"clock": "mem"},
        dcgm=Dcgm("DCGM_FI_DEV_MEM_CLOCK", _MHZ),
        seen=True,
    )  # fmt: skip
    power_limit_w: float | None = fact(
        "Power limit in force.", "field 190, else nvmlDeviceGetEnforcedPowerLimit",
        dcgm=Dcgm("DCGM_FI_DEV_ENFORCED_POWER_LIMIT"),
        seen=True,
    )  # fmt: skip
    processes: tuple[GpuProcess, ...] | None = None
    simulated: bool = False
    error: str | None = None

    sm_active_ratio: float | None = _active("an SM had a warp", 2, "SM_ACTIVE", seen=True)
    sm_occupancy_ratio: float | None = gauge(
        "Warps resident, of those an SM can hold.",
        "GPM 3",
        _HOPPER,
        every_s=1,
        dcgm=Dcgm("DCGM_FI_PROF_SM_OCCUPANCY"),
        seen=True,
    )
    tensor_active_ratio: float | None = _active("a tensor core worked", 5, "PIPE_TENSOR_ACTIVE", seen=True)
    dram_active_ratio: float | None = _active("memory was read or written", 10, "DRAM_ACTIVE", seen=True)
    fp16_active_ratio: float | None = _active("the FP16 pipe worked", 13, "PIPE_FP16_ACTIVE")
    fp32_active_ratio: float | None = _active("the FP32 pipe worked", 12, "PIPE_FP32_ACTIVE", seen=True)
    fp64_active_ratio: float | None = _active("the FP64 pipe worked", 11, "PIPE_FP64_ACTIVE", seen=True)
    graphics_active_ratio: float | None = _active(
        "the compute or graphics engine worked", 1, "GR_ENGINE_ACTIVE", seen=True
    )

    mem_reserved_bytes: int | None = gauge(
        "Memory kept by driver and firmware.",
        "nvmlDeviceGetMemoryInfo_v2",
        dcgm=Dcgm("DCGM_FI_DEV_FB_RESERVED", _MIB),
        seen=True,
    )
    mem_free_bytes: int | None = gauge(
        "Memory that can be had.", "nvmlDeviceGetMemoryInfo_v2", dcgm=Dcgm("DCGM_FI_DEV_FB_FREE", _MIB), seen=True
    )
    power_instant_w: float | None = gauge("Power of the board at this moment.", "field 186", every_s=1, seen=True)
    power_limit_default_w: float | None = fact("Power limit the board comes with.", "field 189", every_s=60, seen=True)
    hbm_temp_c: float | None = gauge(
        "Temperature of the HBM.", "field 82", "boards with HBM", dcgm=Dcgm("DCGM_FI_DEV_MEMORY_TEMP"), seen=True
    )
    temp_margin_c: float | None = gauge(
        "Degrees below the first slowdown.", "nvmlDeviceGetMarginTemperature", seen=True
    )
    sm_clock_max_hz: int | None = fact(
        "Highest clock of the SMs.", "nvmlDeviceGetMaxClockInfo", every_s=60, family="clock_max_hz",
        labels={"clock": "sm"},
        seen=True,
    )  # fmt: skip
    mem_clock_max_hz: int | None = fact(
        "Highest clock of the memory.", "nvmlDeviceGetMaxClockInfo", every_s=60, family="clock_max_hz",
        labels={"clock": "mem"},
        seen=True,
    )  # fmt: skip
    clock_event_reasons: int | None = fact(
        "Why the clocks are not higher, a bit each.", "nvmlDeviceGetCurrentClocksEventReasons", every_s=1,
        family="clock_event_active", bits=CLOCK_EVENT_BITS, dcgm=Dcgm("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"),
        seen=True,
    )  # fmt: skip
    throttled_power_s: float | None = _throttled("power", 74, "POWER", seen=True)
    throttled_thermal_s: float | None = _throttled("thermal", 75, "THERMAL")
    throttled_sync_boost_s: float | None = _throttled("sync_boost", 76, "SYNC_BOOST")
    throttled_board_limit_s: float | None = _throttled("board_limit", 77, "BOARD_LIMIT")
    throttled_reliability_s: float | None = _throttled("reliability", 79, "RELIABILITY")
    throttled_sw_thermal_s: float | None = _throttled("sw_thermal", 269)
    throttled_hw_thermal_s: float | None = _throttled("hw_thermal", 270)
    throttled_power_brake_s: float | None = _throttled("power_brake", 271)

    ecc_corrected_volatile: int | None = _ecc("corrected", "volatile", 3, "SBE_VOL")
    ecc_uncorrected_volatile: int | None = _ecc("uncorrected", "volatile", 4, "DBE_VOL")
    ecc_corrected_aggregate: int | None = _ecc("corrected", "aggregate", 5, "SBE_AGG")
    ecc_uncorrected_aggregate: int | None = _ecc("uncorrected", "aggregate", 6, "DBE_AGG")
    sram_ecc_uncorrected: int | None = counter(
        "SRAM errors that ECC could not correct, in the board's life.", "nvmlDeviceGetSramEccErrorStatus", _AMPERE
    )
    sram_ecc_threshold_exceeded: int | None = fact(
        "1 when the SRAM errors ask for a replacement.", "nvmlDeviceGetSramEccErrorStatus", _AMPERE
    )
    rows_remapped_correctable: int | None = gauge(
        "Memory rows replaced after correctable errors.", "field 142", _AMPERE, family="remapped_rows",
        labels={"cause": "correctable"}, dcgm=Dcgm("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"),
    )  # fmt: skip
    rows_remapped_uncorrectable: int | None = gauge(
        "Memory rows replaced after uncorrectable errors.", "field 143", _AMPERE, family="remapped_rows",
        labels={"cause": "uncorrectable"}, dcgm=Dcgm("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"),
    )  # fmt: skip
    row_remap_pending: int | None = gauge(
        "1 when a row is replaced at the next reset.", "field 144", _AMPERE, dcgm=Dcgm("DCGM_FI_DEV_ROW_REMAP_PENDING")
    )
    row_remap_failed: int | None = gauge(
        "1 when no spare row was left.", "field 145", _AMPERE, dcgm=Dcgm("DCGM_FI_DEV_ROW_REMAP_FAILURE")
    )
    remap_banks_spent: int | None = gauge(
        "Memory banks with no spare row left.", "nvmlDeviceGetRowRemapperHistogram", _AMPERE, every_s=60
    )
    retired_pages: int | None = gauge(
        "Memory pages taken out of use.", "field 29 + field 30", "before Ampere", every_s=60
    )
    last_xid: int | None = fact("Code of the newest XID.", "NVML events, kernel log", every_s=1)
    recovery_action: int | None = gauge(
        "What the driver asks for: 0 nothing, 1 GPU reset, 2 node reboot, 3 drain P2P, 4 drain and reset, "
        "5 recover the IMEX domain, 6 bus reset, 7 system reboot.",
        "field 230", "recent drivers",
    )  # fmt: skip

    pcie_tx_bytes: int | None = counter(
        "Bytes sent over PCIe, since the telemetry child began.", "field 197", _WRAPS, every_s=1, seen=True
    )
    pcie_rx_bytes: int | None = counter(
        "Bytes received over PCIe, since the telemetry child began.", "field 198", _WRAPS, every_s=1, seen=True
    )
    pcie_tx_bytes_per_s: float | None = gauge(
        "Rate sent over PCIe.", "GPM 20", _HOPPER, every_s=1, dcgm=Dcgm("DCGM_FI_PROF_PCIE_TX_BYTES"), seen=True
    )
    pcie_rx_bytes_per_s: float | None = gauge(
        "Rate received over PCIe.", "GPM 21", _HOPPER, every_s=1, dcgm=Dcgm("DCGM_FI_PROF_PCIE_RX_BYTES"), seen=True
    )
    pcie_replays: int | None = counter(
        "Packets PCIe had to send again.",
        "field 94",
        "Kepler and later",
        dcgm=Dcgm("DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
        seen=True,
    )
    pcie_correctable_errors: int | None = counter(
        "PCIe errors by severity.", "field 173", "recent drivers", family="pcie_errors",
        labels={"severity": "correctable"},
    )  # fmt: skip
    pcie_nonfatal_errors: int | None = counter(
        "PCIe errors by severity.", "field 179", "recent drivers", family="pcie_errors",
        labels={"severity": "nonfatal"},
    )  # fmt: skip
    pcie_fatal_errors: int | None = counter(
        "PCIe errors by severity.", "field 180", "recent drivers", family="pcie_errors", labels={"severity": "fatal"}
    )
    pcie_link_gen: int | None = gauge(
        "PCIe generation in use.", "nvmlDeviceGetCurrPcieLinkGeneration", every_s=60,
        dcgm=Dcgm("DCGM_FI_DEV_PCIE_LINK_GEN"),
        seen=True,
    )  # fmt: skip
    pcie_link_width: int | None = gauge(
        "PCIe lanes in use.",
        "nvmlDeviceGetCurrPcieLinkWidth",
        every_s=60,
        dcgm=Dcgm("DCGM_FI_DEV_PCIE_LINK_WIDTH"),
        seen=True,
    )
    pcie_link_gen_max: int | None = fact(
        "Highest PCIe generation here.", "nvmlDeviceGetMaxPcieLinkGeneration", every_s=60, seen=True
    )
    pcie_link_width_max: int | None = fact(
        "Most PCIe lanes here.", "nvmlDeviceGetMaxPcieLinkWidth", every_s=60, seen=True
    )

    nvlink_tx_bytes: int | None = counter("Bytes sent over all NVLinks.", "field 138, scope all links", every_s=1)
    nvlink_rx_bytes: int | None = counter("Bytes received over all NVLinks.", "field 139, scope all links", every_s=1)
    nvlink_tx_bytes_per_s: float | None = gauge(
        "Rate sent over all NVLinks.", "GPM 61", _HOPPER, every_s=1, dcgm=Dcgm("DCGM_FI_PROF_NVLINK_TX_BYTES")
    )
    nvlink_rx_bytes_per_s: float | None = gauge(
        "Rate received over all NVLinks.", "GPM 60", _HOPPER, every_s=1, dcgm=Dcgm("DCGM_FI_PROF_NVLINK_RX_BYTES")
    )
    nvlink_links_up: int | None = gauge("NVLinks that are up.", "nvmlDeviceGetNvLinkState", every_s=60)
    nvlink_links: int | None = fact("NVLinks there are.", "nvmlDeviceGetNvLinkState", every_s=60)
    nvlink_crc_flit_errors: int | None = _nvlink("crc_flit", 38, "Pascal to Hopper", "CRC_FLIT")
    nvlink_crc_data_errors: int | None = _nvlink("crc_data", 45, "Pascal to Hopper", "CRC_DATA")
    nvlink_replay_errors: int | None = _nvlink("replay", 52, "Pascal to Hopper", "REPLAY")
    nvlink_recovery_errors: int | None = _nvlink("recovery", 59, "Pascal to Hopper", "RECOVERY")
    nvlink_ecc_errors: int | None = _nvlink("ecc", 160, "Ampere to Hopper")
    nvlink_link_recoveries: int | None = _nvlink("link_recovery", 215, "Blackwell (NVLink 5)")
    nvlink_link_recoveries_failed: int | None = _nvlink("link_recovery_failed", 214, "Blackwell (NVLink 5)")


@dataclass(frozen=True, slots=True)
class MigSample:
    """One reading of one MIG instance: `instance` is its GPU and compute instance, like `9/0`."""

    KIND: ClassVar[str] = "mig"
    KEYS: ClassVar[tuple[str, ...]] = ("gpu", "instance")

    at: float
    gpu: int
    instance: str
    uuid: str | None = fact("Name of the instance, as CUDA_VISIBLE_DEVICES takes it.", "nvmlDeviceGetUUID")
    profile: str | None = fact("Its size, like 1g.10gb.", "nvmlDeviceGetName")
    mem_used_bytes: int | None = gauge("Memory that processes hold.", "nvmlDeviceGetMemoryInfo_v2")
    mem_total_bytes: int | None = fact("Memory of the instance.", "nvmlDeviceGetMemoryInfo_v2")
    sm_active_ratio: float | None = gauge("Share of cycles in which an SM had a warp.", "GPM 2", _HOPPER)
    tensor_active_ratio: float | None = gauge("Share of cycles in which a tensor core worked.", "GPM 5", _HOPPER)
    dram_active_ratio: float | None = gauge("Share of cycles in which memory was used.", "GPM 10", _HOPPER)
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class GpuReading:
    """All that a GPU source knows now: its GPUs, their newest samples, and what is wrong with the driver.

    `released_until` is set while an operator has let go of the driver (epoch seconds). The GPUs that are `cut` by MIG
    take work on their instances only, `migs`; those that are `unread` were there when they could last be read.
    """

    gpus: tuple[GpuInfo, ...]
    samples: tuple[GpuSample, ...]
    driver_version: str | None = None
    driver_error: str | None = None
    lost: frozenset[int] = frozenset()
    migs: tuple[MigSample, ...] = ()
    released_until: float | None = None
    cut: frozenset[int] = frozenset()
    unread: tuple[MigSample, ...] = ()


#: What is averaged over the sweeps between two stored rows; everything else is taken from the newest.
_AVERAGED = tuple(m.attribute for m in metrics_of(GpuSample) if m.kind is Kind.GAUGE and m.every_s <= 1)


def averaged(sweeps: Sequence[Sequence[GpuSample]]) -> tuple[GpuSample, ...]:
    """Return the newest sample of each GPU, with what varies within seconds averaged over all sweeps that know it."""
    by_gpu: dict[int, list[GpuSample]] = {}
    for sample in (sample for sweep in sweeps for sample in sweep):
        by_gpu.setdefault(sample.gpu, []).append(sample)
    return tuple(_average(samples) for _, samples in sorted(by_gpu.items()))


def _average(samples: Sequence[GpuSample]) -> GpuSample:
    means = {name: _mean(getattr(sample, name) for sample in samples) for name in _AVERAGED}
    return replace(samples[-1], **means)  # type: ignore[arg-type]  # every one of them is a float or an int


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

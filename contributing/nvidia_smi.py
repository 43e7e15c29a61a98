"""What nvidia-smi says of the first GPU, under our names and in our units; what it does not tell is left out."""  # noqa: INP001  part of a script

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

from dcdaemon.core.samples.gpu import CLOCK_EVENT_BITS

_MIB = 2**20
_UNITS = {"MiB": _MIB, "W": 1, "C": 1, "MHz": 1e6, "%": 0.01, "us": 1e-6, "x": 1, "KB/s": 1000, "bank(s)": 1, "": 1}
_ECC = "ecc_errors"
_COUNTERS = "clocks_event_reasons_counters/clocks_event_reasons_counters_"
#: Ours -> where it stands in `nvidia-smi -q -x` below <gpu>, several where they are added up.
PATHS: dict[str, tuple[str, ...]] = {
    "util_ratio": ("utilization/gpu_util",), "mem_bw_busy_ratio": ("utilization/memory_util",),
    "mem_used_bytes": ("fb_memory_usage/used",), "mem_total_bytes": ("fb_memory_usage/total",),
    "mem_reserved_bytes": ("fb_memory_usage/reserved",), "mem_free_bytes": ("fb_memory_usage/free",),
    "power_w": ("gpu_power_readings/average_power_draw",),
    "power_instant_w": ("gpu_power_readings/instant_power_draw",),
    "power_limit_w": ("gpu_power_readings/current_power_limit",),
    "power_limit_default_w": ("gpu_power_readings/default_power_limit",),
    "temp_c": ("temperature/gpu_temp",), "hbm_temp_c": ("temperature/memory_temp",),
    "temp_margin_c": ("temperature/gpu_temp_tlimit",),
    "sm_clock_hz": ("clocks/sm_clock",), "mem_clock_hz": ("clocks/mem_clock",),
    "sm_clock_max_hz": ("max_clocks/sm_clock",), "mem_clock_max_hz": ("max_clocks/mem_clock",),
    "throttled_power_s": (_COUNTERS + "sw_power_cap",), "throttled_sync_boost_s": (_COUNTERS + "sync_boost",),
    "throttled_sw_thermal_s": (_COUNTERS + "sw_therm_slowdown",),
    "throttled_hw_thermal_s": (_COUNTERS + "hw_therm_slowdown",),
    "throttled_power_brake_s": (_COUNTERS + "hw_power_brake",),
    "ecc_corrected_volatile": (f"{_ECC}/volatile/sram_correctable", f"{_ECC}/volatile/dram_correctable"),
    "ecc_uncorrected_volatile": (
        f"{_ECC}/volatile/sram_uncorrectable_parity", f"{_ECC}/volatile/sram_uncorrectable_secded",
        f"{_ECC}/volatile/dram_uncorrectable",
    ),
    "ecc_corrected_aggregate": (f"{_ECC}/aggregate/sram_correctable", f"{_ECC}/aggregate/dram_correctable"),
    "ecc_uncorrected_aggregate": (
        f"{_ECC}/aggregate/sram_uncorrectable_parity", f"{_ECC}/aggregate/sram_uncorrectable_secded",
        f"{_ECC}/aggregate/dram_uncorrectable",
    ),
    "sram_ecc_uncorrected": (
        f"{_ECC}/aggregate/sram_uncorrectable_parity", f"{_ECC}/aggregate/sram_uncorrectable_secded",
    ),
    "sram_ecc_threshold_exceeded": (f"{_ECC}/aggregate/sram_threshold_exceeded",),
    "rows_remapped_correctable": ("remapped_rows/remapped_row_corr",),
    "rows_remapped_uncorrectable": ("remapped_rows/remapped_row_unc",),
    "row_remap_pending": ("remapped_rows/remapped_row_pending",),
    "row_remap_failed": ("remapped_rows/remapped_row_failure",),
    "remap_banks_spent": ("remapped_rows/row_remapper_histogram/row_remapper_histogram_none",),
    "retired_pages": (
        "retired_pages/multiple_single_bit_retirement/retired_count",
        "retired_pages/double_bit_retirement/retired_count",
    ),
    "recovery_action": ("gpu_recovery_action",),
    "pcie_replays": ("pci/replay_counter",),
    "pcie_tx_bytes_per_s": ("pci/tx_util",), "pcie_rx_bytes_per_s": ("pci/rx_util",),
    "pcie_link_gen": ("pci/pci_gpu_link_info/pcie_gen/current_link_gen",),
    "pcie_link_gen_max": ("pci/pci_gpu_link_info/pcie_gen/max_link_gen",),
    "pcie_link_width": ("pci/pci_gpu_link_info/link_widths/current_link_width",),
    "pcie_link_width_max": ("pci/pci_gpu_link_info/link_widths/max_link_width",),
}  # fmt: skip
#: What is no number.
_WORDS = {"No": 0.0, "Yes": 1.0, "None": 0.0}
_REASONS = {
    "gpu_idle": "idle", "applications_clocks_setting": "app_clocks", "sw_power_cap": "sw_power_cap",
    "hw_slowdown": "hw_slowdown", "sync_boost": "sync_boost", "sw_thermal_slowdown": "sw_thermal",
    "hw_thermal_slowdown": "hw_thermal", "hw_power_brake_slowdown": "hw_power_brake",
    "display_clocks_setting": "display_clocks",
}  # fmt: skip
#: GPM's number -> ours, in the order in which dmon is asked for them.
GPM = {
    1: "graphics_active_ratio", 2: "sm_active_ratio", 3: "sm_occupancy_ratio", 5: "tensor_active_ratio",
    10: "dram_active_ratio", 11: "fp64_active_ratio", 12: "fp32_active_ratio", 13: "fp16_active_ratio",
    20: "pcie_tx_bytes_per_s", 21: "pcie_rx_bytes_per_s", 60: "nvlink_rx_bytes_per_s", 61: "nvlink_tx_bytes_per_s",
}  # fmt: skip


def there() -> bool:
    """Return whether this machine has nvidia-smi."""
    return shutil.which("nvidia-smi") is not None


def ask(*arguments: str) -> str:
    """Return what nvidia-smi prints, also where it complains."""
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=30, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no answer: {error}"
    return done.stdout + done.stderr


def values(page: str) -> dict[str, float]:
    """Return the values of one page of `nvidia-smi -q -x`; raise ET.ParseError for one that is none."""
    gpu = ET.fromstring(page).find("gpu")  # noqa: S314  as above
    assert gpu is not None  # noqa: S101  the page has a GPU, or nvidia-smi had not begun it
    found: dict[str, float] = {}
    for name, paths in PATHS.items():
        numbers = [number(gpu.findtext(path)) for path in paths]
        if None not in numbers:
            found[name] = sum(filter(None, numbers))
    reasons = gpu.find("clocks_event_reasons")
    if reasons is not None:
        bits = {name: bit for bit, name in CLOCK_EVENT_BITS.items()}
        active = {one.tag.removeprefix("clocks_event_reason_") for one in reasons if one.text == "Active"}
        found["clock_event_reasons"] = sum(bits[ours] for theirs, ours in _REASONS.items() if theirs in active)
    return found


def facts(page: str) -> dict[str, object]:
    """Return the facts of one page of `nvidia-smi -q -x`, and the memory of each process by its PID."""
    log = ET.fromstring(page)  # noqa: S314  as above
    gpu = log.find("gpu")
    assert gpu is not None  # noqa: S101  as above
    return {
        "driver_version": log.findtext("driver_version"), "name": gpu.findtext("product_name"),
        "uuid": gpu.findtext("uuid"), "pci_bus_id": gpu.findtext("pci/pci_bus_id"),
        "minor": number(gpu.findtext("minor_number")),
        "processes": {
            int(one.findtext("pid") or 0): number(one.findtext("used_memory"))
            for one in gpu.iterfind("processes/process_info")
        },
    }  # fmt: skip


def number(text: str | None) -> float | None:
    """Return a value in our unit; None for N/A and for what is no number."""
    if text in _WORDS:
        return _WORDS[text]
    found = re.fullmatch(r"(-?[\d.]+) ?(\S*)", text or "")
    return float(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None


def gpm(line: str) -> dict[str, float]:
    """Return the GPM values at the end of a line of `nvidia-smi dmon --gpm-metrics`; none of a head line."""
    cells = line.split()[-len(GPM) :]
    if line.startswith("#") or len(cells) < len(GPM):
        return {}
    told = {name: cell for name, cell in zip(GPM.values(), cells, strict=True) if cell != "-"}
    return {name: float(cell) * (_MIB if name.endswith("_per_s") else 0.01) for name, cell in told.items()}

"""Every value of a GPU that the telemetry child can tell: its field or metric id, its unit, and what to believe.

The ids and units are those of nvml.h, as nvidia-ml-py spells them out.
"""

from dcdaemon.telemetry.nvml_fields import ALL_LINKS, Field
from dcdaemon.telemetry.nvml_gpm import Metric
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_values import Belief

_KIB = 1024
_MILLI, _NANO = 1000, 1_000_000_000
_RATIO, _COUNT, _BYTES, _LIFE_BYTES = Belief(1), Belief(10**12), Belief(2**46), Belief(2**63 - 1)
_WATTS, _CELSIUS, _CLOCK, _SECONDS, _BYTES_PER_S = Belief(5_000), Belief(150), Belief(1e11), Belief(1e9), Belief(1e13)

#: What can be believed of each value; the order is that of the lines to the parent.
BELIEFS: dict[str, Belief] = {
    "util_ratio": _RATIO, "mem_bw_busy_ratio": _RATIO, "sm_active_ratio": _RATIO, "sm_occupancy_ratio": _RATIO,
    "tensor_active_ratio": _RATIO, "dram_active_ratio": _RATIO, "fp16_active_ratio": _RATIO,
    "fp32_active_ratio": _RATIO, "fp64_active_ratio": _RATIO, "graphics_active_ratio": _RATIO,
    "mem_used_bytes": _BYTES, "mem_total_bytes": _BYTES, "mem_reserved_bytes": _BYTES, "mem_free_bytes": _BYTES,
    "power_w": _WATTS, "power_instant_w": _WATTS, "power_limit_w": _WATTS, "power_limit_default_w": _WATTS,
    "energy_counter_mj": Belief(2**62),
    # Memory at 0 degrees means that there is no sensor in it.
    "temp_c": _CELSIUS, "hbm_temp_c": Belief(150, 1), "temp_margin_c": Belief(150, -150),
    "sm_clock_hz": _CLOCK, "mem_clock_hz": _CLOCK, "sm_clock_max_hz": _CLOCK, "mem_clock_max_hz": _CLOCK,
    "clock_event_reasons": Belief(2**32),
    "throttled_power_s": _SECONDS, "throttled_thermal_s": _SECONDS, "throttled_sync_boost_s": _SECONDS,
    "throttled_board_limit_s": _SECONDS, "throttled_reliability_s": _SECONDS, "throttled_sw_thermal_s": _SECONDS,
    "throttled_hw_thermal_s": _SECONDS, "throttled_power_brake_s": _SECONDS,
    "ecc_corrected_volatile": _COUNT, "ecc_uncorrected_volatile": _COUNT, "ecc_corrected_aggregate": _COUNT,
    "ecc_uncorrected_aggregate": _COUNT, "sram_ecc_uncorrected": _COUNT, "sram_ecc_threshold_exceeded": Belief(1),
    "rows_remapped_correctable": _COUNT, "rows_remapped_uncorrectable": _COUNT, "row_remap_pending": Belief(1),
    "row_remap_failed": Belief(1), "remap_banks_spent": _COUNT, "retired_pages": _COUNT,
    "recovery_action": Belief(100),
    "pcie_tx_bytes_per_s": _BYTES_PER_S, "pcie_rx_bytes_per_s": _BYTES_PER_S,
    "pcie_tx_bytes": _LIFE_BYTES, "pcie_rx_bytes": _LIFE_BYTES, "pcie_replays": _COUNT,
    "pcie_correctable_errors": _COUNT, "pcie_nonfatal_errors": _COUNT, "pcie_fatal_errors": _COUNT,
    "pcie_link_gen": Belief(10), "pcie_link_width": Belief(64), "pcie_link_gen_max": Belief(10),
    "pcie_link_width_max": Belief(64),
    "nvlink_tx_bytes_per_s": _BYTES_PER_S, "nvlink_rx_bytes_per_s": _BYTES_PER_S,
    "nvlink_tx_bytes": _LIFE_BYTES, "nvlink_rx_bytes": _LIFE_BYTES,
    "nvlink_links_up": Belief(100), "nvlink_links": Belief(100),
    "nvlink_crc_flit_errors": _COUNT, "nvlink_crc_data_errors": _COUNT, "nvlink_replay_errors": _COUNT,
    "nvlink_recovery_errors": _COUNT, "nvlink_ecc_errors": _COUNT, "nvlink_link_recoveries": _COUNT,
    "nvlink_link_recoveries_failed": _COUNT,
}  # fmt: skip
#: What can be believed of each value of a MIG instance.
MIG_BELIEFS: dict[str, Belief] = {
    "mem_used_bytes": _BYTES, "mem_total_bytes": _BYTES, "sm_active_ratio": _RATIO, "tensor_active_ratio": _RATIO,
    "dram_active_ratio": _RATIO,
}  # fmt: skip

#: Energy comes first: it is what is counted exactly, and the list is answered in order.
FIELDS: tuple[Field, ...] = (
    Field("energy_counter_mj", pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION),
    Field("power_w", pynvml.NVML_FI_DEV_POWER_AVERAGE, per=_MILLI),
    Field("power_instant_w", pynvml.NVML_FI_DEV_POWER_INSTANT, per=_MILLI),
    Field("throttled_power_s", pynvml.NVML_FI_DEV_PERF_POLICY_POWER, per=_NANO),
    Field("throttled_thermal_s", pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL, per=_NANO),
    Field("throttled_sync_boost_s", pynvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST, per=_NANO),
    Field("throttled_board_limit_s", pynvml.NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT, per=_NANO),
    Field("throttled_reliability_s", pynvml.NVML_FI_DEV_PERF_POLICY_RELIABILITY, per=_NANO),
    Field("throttled_sw_thermal_s", pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN, per=_NANO),
    Field("throttled_hw_thermal_s", pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN, per=_NANO),
    Field("throttled_power_brake_s", pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN, per=_NANO),
    Field("pcie_tx_bytes", pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES),
    Field("pcie_rx_bytes", pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES),
    Field("nvlink_tx_bytes", pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, times=_KIB, scope=ALL_LINKS),
    Field("nvlink_rx_bytes", pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, times=_KIB, scope=ALL_LINKS),
    Field("hbm_temp_c", pynvml.NVML_FI_DEV_MEMORY_TEMP),
    Field("power_limit_w", pynvml.NVML_FI_DEV_POWER_CURRENT_LIMIT, per=_MILLI),
    Field("ecc_corrected_volatile", pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL),
    Field("ecc_uncorrected_volatile", pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL),
    Field("ecc_corrected_aggregate", pynvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL),
    Field("ecc_uncorrected_aggregate", pynvml.NVML_FI_DEV_ECC_DBE_AGG_TOTAL),
    Field("rows_remapped_correctable", pynvml.NVML_FI_DEV_REMAPPED_COR),
    Field("rows_remapped_uncorrectable", pynvml.NVML_FI_DEV_REMAPPED_UNC),
    Field("row_remap_pending", pynvml.NVML_FI_DEV_REMAPPED_PENDING),
    Field("row_remap_failed", pynvml.NVML_FI_DEV_REMAPPED_FAILURE),
    Field("recovery_action", pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION),
    Field("pcie_replays", pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER),
    Field("pcie_correctable_errors", pynvml.NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS),
    Field("pcie_nonfatal_errors", pynvml.NVML_FI_DEV_PCIE_COUNT_NON_FATAL_ERROR),
    Field("pcie_fatal_errors", pynvml.NVML_FI_DEV_PCIE_COUNT_FATAL_ERROR),
    Field("nvlink_crc_flit_errors", pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
    Field("nvlink_crc_data_errors", pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL),
    Field("nvlink_replay_errors", pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL),
    Field("nvlink_recovery_errors", pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
    Field("nvlink_ecc_errors", pynvml.NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL),
    Field("power_limit_default_w", pynvml.NVML_FI_DEV_POWER_DEFAULT_LIMIT, per=_MILLI),
    Field("retired_pages", pynvml.NVML_FI_DEV_RETIRED_SBE),
    Field("retired_pages", pynvml.NVML_FI_DEV_RETIRED_DBE),
)
#: Names and ids of the fields that are told link by link; their scope is the link.
LINK_FIELDS = (
    ("nvlink_link_recoveries", pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS),
    ("nvlink_link_recoveries_failed", pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS),
)
#: Counters that the driver may keep in 32 bits, each with the rate that tells how often it turned over.
RATE_OF_COUNTER = {"pcie_tx_bytes": "pcie_tx_bytes_per_s", "pcie_rx_bytes": "pcie_rx_bytes_per_s"}
METRICS: tuple[Metric, ...] = (
    Metric("graphics_active_ratio", pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL),
    Metric("sm_active_ratio", pynvml.NVML_GPM_METRIC_SM_UTIL),
    Metric("sm_occupancy_ratio", pynvml.NVML_GPM_METRIC_SM_OCCUPANCY),
    Metric("tensor_active_ratio", pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL),
    Metric("dram_active_ratio", pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL),
    Metric("fp64_active_ratio", pynvml.NVML_GPM_METRIC_FP64_UTIL),
    Metric("fp32_active_ratio", pynvml.NVML_GPM_METRIC_FP32_UTIL),
    Metric("fp16_active_ratio", pynvml.NVML_GPM_METRIC_FP16_UTIL),
    Metric("pcie_tx_bytes_per_s", pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC, is_rate=True),
    Metric("pcie_rx_bytes_per_s", pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC, is_rate=True),
    Metric("nvlink_rx_bytes_per_s", pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, is_rate=True),
    Metric("nvlink_tx_bytes_per_s", pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, is_rate=True),
)
MIG_METRICS: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.name in MIG_BELIEFS)

"""Every value of a GPU, from the driver's C interface to the sample, with its unit."""

import os
from dataclasses import fields

import pytest
from fake_nvml.fake_driver import FakeDriver
from patience import until

from dcdaemon.core.metric import metrics_of
from dcdaemon.core.samples import GpuReading, GpuSample
from dcdaemon.telemetry.nvml_catalog import BELIEFS, MIG_BELIEFS

GIB, MIB, KIB = 1024**3, 1024**2, 1024
S = 10**9  # nanoseconds

#: What the driver says, and what the sample holds then.
SAYS: list[tuple[dict[str, object], dict[str, float]]] = [
    ({"util": 37, "mem_util": 21}, {"util_ratio": 0.37, "mem_bw_busy_ratio": 0.21}),
    (
        {"mem_total": 80 * GIB, "mem_used": 7 * GIB, "mem_reserved": GIB},
        {"mem_total_bytes": 80 * GIB, "mem_used_bytes": 7 * GIB, "mem_reserved_bytes": GIB, "mem_free_bytes": 72 * GIB},
    ),
    ({"power_field": 412_345, "power_instant_mw": 500_001}, {"power_w": 412.345, "power_instant_w": 500.001}),
    ({"power_limit_mw": 650_000, "power_default_mw": 700_000}, {"power_limit_w": 650, "power_limit_default_w": 700}),
    ({"energy_mj": 9_007_199_254_740_993}, {"energy_counter_mj": 9_007_199_254_740_993}),
    ({"temp": 66, "hbm_temp": 81, "temp_margin": 21}, {"temp_c": 66, "hbm_temp_c": 81, "temp_margin_c": 21}),
    ({"sm_mhz": 1755, "mem_mhz": 2619}, {"sm_clock_hz": 1_755_000_000, "mem_clock_hz": 2_619_000_000}),
    ({"sm_max_mhz": 1980, "mem_max_mhz": 2620}, {"sm_clock_max_hz": 1_980_000_000, "mem_clock_max_hz": 2_620_000_000}),
    ({"clock_reasons": 0x24}, {"clock_event_reasons": 0x24}),
    (
        {"throttled_power_ns": 1_500_000_000, "throttled_thermal_ns": 2_500_000_000, "throttled_sync_boost_ns": 3},
        {"throttled_power_s": 1.5, "throttled_thermal_s": 2.5, "throttled_sync_boost_s": 3e-9},
    ),
    (
        {"throttled_board_limit_ns": 4 * S, "throttled_reliability_ns": 5 * S, "throttled_sw_thermal_ns": 6 * S},
        {"throttled_board_limit_s": 4, "throttled_reliability_s": 5, "throttled_sw_thermal_s": 6},
    ),
    (
        {"throttled_hw_thermal_ns": 7 * S, "throttled_power_brake_ns": 8 * S},
        {"throttled_hw_thermal_s": 7, "throttled_power_brake_s": 8},
    ),
    (
        {"ecc_corrected_volatile": 1, "ecc_uncorrected_volatile": 2},
        {"ecc_corrected_volatile": 1, "ecc_uncorrected_volatile": 2},
    ),
    (
        {"ecc_corrected_aggregate": 3, "ecc_uncorrected_aggregate": 4},
        {"ecc_corrected_aggregate": 3, "ecc_uncorrected_aggregate": 4},
    ),
    (
        {"sram_parity": 2, "sram_secded": 3, "sram_threshold": 1},
        {"sram_ecc_uncorrected": 5, "sram_ecc_threshold_exceeded": 1},
    ),
    (
        {"remap_correctable": 5, "remap_uncorrectable": 6},
        {"rows_remapped_correctable": 5, "rows_remapped_uncorrectable": 6},
    ),
    ({"remap_pending": 1, "remap_failed": 0}, {"row_remap_pending": 1, "row_remap_failed": 0}),
    ({"remap_banks": "630,4,3,2,1"}, {"remap_banks_spent": 1}),
    ({"recovery_action": 4}, {"recovery_action": 4}),
    (
        {"gpm.1": 99, "gpm.2": 87.5, "gpm.3": 42, "gpm.5": 61.25},
        {
            "graphics_active_ratio": 0.99, "sm_active_ratio": 0.875, "sm_occupancy_ratio": 0.42,
            "tensor_active_ratio": 0.6125,
        },
    ),
    (
        {"gpm.10": 55, "gpm.11": 1, "gpm.12": 2, "gpm.13": 3},
        {"dram_active_ratio": 0.55, "fp64_active_ratio": 0.01, "fp32_active_ratio": 0.02, "fp16_active_ratio": 0.03},
    ),
    ({"gpm.20": 100, "gpm.21": 200}, {"pcie_tx_bytes_per_s": 100 * MIB, "pcie_rx_bytes_per_s": 200 * MIB}),
    ({"gpm.60": 1024, "gpm.61": 2048}, {"nvlink_rx_bytes_per_s": 1024 * MIB, "nvlink_tx_bytes_per_s": 2048 * MIB}),
    ({"pcie_tx_bytes": 77, "pcie_rx_bytes": 88}, {"pcie_tx_bytes": 0, "pcie_rx_bytes": 0}),  # nothing has moved since
    (
        {"pcie_replay": 9, "pcie_correctable_errors": 10, "pcie_nonfatal_errors": 11, "pcie_fatal_errors": 12},
        {"pcie_replays": 9, "pcie_correctable_errors": 10, "pcie_nonfatal_errors": 11, "pcie_fatal_errors": 12},
    ),
    (
        {"pcie_gen": 4, "pcie_width": 8, "pcie_gen_max": 5, "pcie_width_max": 16},
        {"pcie_link_gen": 4, "pcie_link_width": 8, "pcie_link_gen_max": 5, "pcie_link_width_max": 16},
    ),
    ({"nvlink_links": 18, "nvlink_down": "3,5"}, {"nvlink_links": 18, "nvlink_links_up": 16}),
    ({"nvlink_tx_kib": 1_000_000, "nvlink_rx_kib": 5}, {"nvlink_tx_bytes": 1_024_000_000, "nvlink_rx_bytes": 5 * KIB}),
    (
        {"nvlink_crc_flit": 1, "nvlink_crc_data": 2, "nvlink_replay": 3, "nvlink_recovery": 4, "nvlink_ecc": 5},
        {
            "nvlink_crc_flit_errors": 1, "nvlink_crc_data_errors": 2, "nvlink_replay_errors": 3,
            "nvlink_recovery_errors": 4, "nvlink_ecc_errors": 5,
        },
    ),
]  # fmt: skip
#: What no Hopper has.
ELSEWHERE = {"retired_pages", "nvlink_link_recoveries", "nvlink_link_recoveries_failed"}
#: What the daemon itself puts in.
OF_THE_PARENT = {"last_xid"}


def sample(reading: GpuReading, gpu: int) -> GpuSample:
    return next(s for s in reading.samples if s.gpu == gpu)


def test_every_value_of_a_hopper_is_the_drivers_in_the_samples_unit(library, tmp_path, monkeypatch, start):
    driver = FakeDriver(library, tmp_path / "state", 2, profile="h100").installed(monkeypatch)
    expected: dict[str, float] = {}
    for says, holds in SAYS:
        driver.gpu(1, says)
        expected |= holds
    source = start()
    until(lambda: sample(source.read(), 1).sm_active_ratio is not None)
    got = sample(source.read(), 1)
    assert {name: getattr(got, name) for name in expected} == pytest.approx(expected, abs=1e-9)
    assert isinstance(got.energy_counter_mj, int)
    assert got.energy_counter_mj == expected["energy_counter_mj"]
    assert expected.keys() | ELSEWHERE | OF_THE_PARENT == {metric.attribute for metric in metrics_of(GpuSample)}
    assert {getattr(got, name) for name in ELSEWHERE} == {None}


def test_the_child_tells_every_metric_of_the_table_and_nothing_else():
    assert BELIEFS.keys() | OF_THE_PARENT == {metric.attribute for metric in metrics_of(GpuSample)}
    assert {field.name for field in fields(GpuSample)} >= BELIEFS.keys() >= MIG_BELIEFS.keys()


def test_older_boards_count_retired_pages(library, tmp_path, monkeypatch, start):
    driver = FakeDriver(library, tmp_path / "state", 1, profile="v100").installed(monkeypatch)
    driver.gpu(0, retired_sbe=3, retired_dbe=4)
    got = sample(start().read(), 0)
    assert (got.retired_pages, got.rows_remapped_correctable, got.sm_active_ratio) == (7, None, None)
    assert (got.power_w, got.power_instant_w) == (55.0, 55.0)


def test_a_blackwell_tells_the_recoveries_of_its_links_one_by_one(library, tmp_path, monkeypatch, start):
    driver = FakeDriver(library, tmp_path / "state", 1, profile="b200").installed(monkeypatch)
    driver.gpu(0, {"field.215.0": 2, "field.215.17": 3, "field.214.4": 1})
    got = sample(start().read(), 0)
    assert (got.nvlink_link_recoveries, got.nvlink_link_recoveries_failed) == (5, 1)
    assert got.nvlink_crc_flit_errors is None


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("d:81.5", 81.5), ("u:81", 81), ("ul:81", 81), ("ull:81", 81), ("sll:81", 81), ("s:81", 81), ("us:81", 81),
        ("u:4294967295", None), ("ull:18446744073709551615", None), ("us:65535", None), ("!999", None), ("!3", None),
    ],
)  # fmt: skip
def test_a_field_is_read_by_the_type_it_comes_with_and_all_ones_mean_unknown(driver, start, said, value):
    driver.gpu(0, {"field.82": said})
    assert sample(start().read(), 0).hbm_temp_c == value


def test_memory_without_a_sensor_is_not_at_zero_degrees(driver, start):
    driver.gpu(0, {"field.82": 0})
    assert sample(start().read(), 0).hbm_temp_c is None


def test_a_counter_of_32_bits_is_lengthened_by_the_rate_beside_it(driver, start):
    turns = 3
    driver.gpu(0, {"gpm": 1, "gpm.20": 0}, pcie_tx_bytes=2**32 - 10)
    source = start()
    until(lambda: sample(source.read(), 0).pcie_tx_bytes == 0)
    # As many MiB/s as make three turns in an interval, while the counter shows none of them.
    driver.gpu(0, {"gpm.20": turns * 2**12 / 0.2}, pcie_tx_bytes=5)
    until(lambda: (sample(source.read(), 0).pcie_tx_bytes or 0) > 2 * 2**32)


def test_a_counter_of_32_bits_without_a_rate_is_unknown(driver, start):
    driver.gpu(0, gpm=0, pcie_tx_bytes=77)
    assert sample(start().read(), 0).pcie_tx_bytes is None


def test_each_process_has_its_share_and_its_instance(driver, start):
    me, parent = os.getpid(), os.getppid()
    driver.gpu(0, compute=f"{me}:1048576", mps=f"{parent}:5", proc_util=f"{me}:40:10:0:0")
    driver.mig(1, 0, gi=9, ci=0)
    driver.gpu(1, compute=f"{me}:77:9:0")
    source = start()
    until(lambda: any(p.sm_util_ratio for p in sample(source.read(), 0).processes))
    mine, under_mps = sample(source.read(), 0).processes
    assert (mine.pid, mine.sm_util_ratio, mine.instance) == (me, 0.4, None)
    assert (under_mps.pid, under_mps.mem_used_bytes) == (parent, 5)
    (cut,) = sample(source.read(), 1).processes
    assert (cut.instance, cut.sm_util_ratio) == ("9/0", None)


def test_mig_instances_tell_their_memory_and_activity(driver, start):
    driver.mig(2, 0, {"gpm.2": 30, "gpm.5": 20, "gpm.10": 10}, gi=9, ci=0, name="NVIDIA H100 MIG 1g.10gb")
    driver.mig(2, 1, gi=11, ci=1, mem_total=20 * GIB, mem_used=3 * GIB)
    source = start()
    until(lambda: len(source.read().migs) == 2 and source.read().migs[0].sm_active_ratio is not None)
    first, second = sorted(source.read().migs, key=lambda mig: mig.instance)[::-1]
    assert (first.gpu, first.instance, first.uuid, first.profile) == (2, "9/0", "MIG-fake-0002-0", "1g.10gb")
    assert (first.sm_active_ratio, first.tensor_active_ratio, first.dram_active_ratio) == (0.3, 0.2, 0.1)
    assert (second.instance, second.mem_total_bytes, second.mem_used_bytes) == ("11/1", 20 * GIB, 3 * GIB)
    assert sample(source.read(), 2).util_ratio is None
    assert sample(source.read(), 2).power_w == 100.502
    assert sample(source.read(), 1).util_ratio == 0.11


def test_a_gpu_that_is_cut_and_made_whole_is_asked_anew_what_it_supports(driver, start):
    source = start()
    driver.mig(0, 0)
    until(lambda: sample(source.read(), 0).util_ratio is None and len(source.read().migs) == 1, within_s=30)
    assert source.read().cut == {0}
    driver.mig(0, 0, gi=None)
    driver.gpu(0, mig_mode=0)
    until(lambda: sample(source.read(), 0).util_ratio == 0.1 and not source.read().migs, within_s=30)
    assert source.read().cut == frozenset()


def test_an_instance_that_is_made_anew_under_its_old_name_is_read_again(driver, start):
    driver.mig(0, 0)
    source = start()
    until(lambda: [mig.mem_total_bytes for mig in source.read().migs] == [10 * GIB])
    driver.mig(0, 0, gi=None)
    until(lambda: source.read().migs == ())
    assert source.read().unread == (), "it is gone, and not only silent"
    driver.mig(0, 0)
    until(lambda: [mig.mem_total_bytes for mig in source.read().migs] == [10 * GIB])
    driver.mig(0, 0, {"error.memory": 2})  # as the driver answers for a handle from before
    until(lambda: [mig.mem_total_bytes for mig in source.read().migs] == [None])
    driver.mig(0, 0, {"error.memory": None})
    until(lambda: [mig.mem_total_bytes for mig in source.read().migs] == [10 * GIB])


def test_a_gpu_is_not_whole_because_the_driver_cannot_tell_for_a_moment(driver, start):
    driver.mig(0, 0)
    source = start()
    until(lambda: source.read().cut == {0})
    driver.gpu(0, {"error.mig_mode": 999})
    until(lambda: source.read().migs == (), within_s=30)
    assert source.read().cut == {0}
    assert [mig.instance for mig in source.read().unread] == ["7/0"]
    driver.gpu(0, {"error.mig_mode": None})
    until(lambda: len(source.read().migs) == 1)


def test_a_gpu_that_is_cut_into_nothing_says_so_to_a_daemon_that_knew_instances(driver, start):
    driver.gpu(0, mig_mode=1)
    source = start()
    until(lambda: source.read().cut == {0})
    assert (source.read().migs, source.read().unread) == ((), ())


def test_a_gpu_that_is_cut_tells_anew_which_device_node_it_has(driver, start):
    source = start()
    assert source.read().gpus[0].minor == 7
    driver.gpu(0, minor=5)
    driver.mig(0, 0)
    until(lambda: source.read().cut == {0})
    assert source.read().gpus[0].minor == 5


def test_an_instance_keeps_its_size_when_the_driver_cannot_tell_it_for_a_moment(driver, start):
    driver.mig(0, 0)
    source = start()
    until(lambda: [mig.mem_used_bytes for mig in source.read().migs] == [64 * MIB])
    driver.mig(0, 0, {"error.memory": 999})
    until(lambda: [mig.mem_used_bytes for mig in source.read().migs] == [None])
    assert [mig.mem_total_bytes for mig in source.read().migs] == [10 * GIB]

"""Meters over restarts and refused bookings, usage, and cost."""

from dataclasses import replace

import pytest

from dcdaemon.core.energy import IDLE
from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.ports import MeterState, UsageDelta
from dcdaemon.core.samples import GpuReading, GpuSample
from dcdaemon.energy.attribute import Holding
from dcdaemon.energy.cost import carbon_g, cost, kwh
from dcdaemon.energy.ledger import Ledger
from dcdaemon.energy.meter import Meter
from dcdaemon.energy.usage import merge, usage_deltas

GPU = GpuInfo(index=0, uuid="GPU-a", name="NVIDIA H200", mem_total_bytes=None)
JOB_5 = Holding(5, gpu=0, from_at=0.0)


def sample(at: float, counter_mj: int | None, **values) -> GpuSample:
    return GpuSample(**{"at": at, "monotonic_s": at, "gpu": 0, "energy_counter_mj": counter_mj, **values})


def reading(*samples: GpuSample, gpu: GpuInfo = GPU) -> GpuReading:
    return GpuReading(gpus=(gpu,), samples=samples)


def test_the_first_sample_only_sets_the_meter():
    meter, metered = Meter("node1", 0, "GPU-a").advance(sample(100.0, 5000), [])
    assert metered is None
    assert meter.advance(sample(101.0, 5300), [])[1].energy_mj == 300


def test_a_sample_that_says_nothing_of_energy_is_spanned_by_the_next():
    meter, _ = Meter("node1", 0, "GPU-a").advance(sample(100.0, 5000), [])
    meter, metered = meter.advance(sample(101.0, None, error="GPU is lost"), [])
    assert metered is None
    metered = meter.advance(sample(102.0, 5500), [])[1]
    assert (metered.energy_mj, metered.from_at) == (500, 100.0)


def test_a_meter_goes_on_where_the_store_left_it():
    meter = Meter.resume("node1", 0, "GPU-a", [MeterState(0, "GPU-a", 100.0, 5000)])
    metered = meter.advance(sample(160.0, 65_000, monotonic_s=2.0), [Holding(5, 0, 90.0, to_at=130.0)])[1]
    assert {share.job_id: share.energy_mj for share in metered.shares} == {5: 30_000, IDLE: 30_000}


def test_a_meter_of_another_board_in_the_same_slot_starts_anew():
    meter = Meter.resume("node1", 0, "GPU-b", [MeterState(0, "GPU-a", 100.0, 5000)])
    assert meter.advance(sample(160.0, 65_000), [])[1] is None


def test_a_board_that_moved_to_another_slot_keeps_its_meter():
    meter = Meter.resume("node1", 3, "GPU-a", [MeterState(0, "GPU-a", 100.0, 5000)])
    assert meter.advance(sample(160.0, 65_000, gpu=3), [])[1].energy_mj == 60_000


def test_a_refused_booking_is_measured_again_from_the_kept_ledger():
    ledger, _ = Ledger("node1").advance(reading(sample(100.0, 5000)), [JOB_5])
    _, refused = ledger.advance(reading(sample(101.0, 5300)), [JOB_5])
    _, retried = ledger.advance(reading(sample(102.0, 5500)), [JOB_5])
    assert refused.metered[0].energy_mj == 300
    assert retried.metered[0].energy_mj == 500


def test_the_ledger_books_a_sample_once():
    ledger, _ = Ledger("node1").advance(reading(sample(100.0, 5000)), [JOB_5])
    newest = reading(sample(101.0, 5300, util_ratio=0.5, mem_used_bytes=7))
    ledger, first = ledger.advance(newest, [JOB_5])
    _, second = ledger.advance(newest, [JOB_5])
    assert first.usage == (UsageDelta(5, util_s=0.5, sampled_s=1.0, mem_peak_bytes=7),)
    assert (second.metered, second.usage) == ((), ())


def test_the_ledger_resumes_stored_meters_and_notices_a_new_board():
    ledger = Ledger("node1", states=(MeterState(0, "GPU-a", 100.0, 5000),))
    ledger, booking = ledger.advance(reading(sample(110.0, 6000)), [])
    assert [metered.energy_mj for metered in booking.metered] == [1000]
    swapped = replace(GPU, uuid="GPU-b")
    _, booking = ledger.advance(reading(sample(111.0, 90_000), gpu=swapped), [])
    assert booking.metered == ()


def test_one_utilisation_does_not_speak_for_a_long_silence():
    ledger, _ = Ledger("node1").advance(reading(sample(100.0, 5000, util_ratio=1.0)), [JOB_5])
    _, booking = ledger.advance(reading(sample(140.0, 9000, util_ratio=1.0)), [JOB_5])
    assert (booking.metered[0].energy_mj, booking.usage) == (4000, ())


def test_usage_adds_up_the_gpus_of_a_gang_and_keeps_the_largest_memory():
    samples = [
        sample(10.0, None, util_ratio=0.5, mem_used_bytes=100),
        sample(10.0, None, gpu=1, util_ratio=1.0, mem_used_bytes=300),
    ]
    holdings = [Holding(5, 0, 0.0), Holding(5, 1, 0.0)]
    assert usage_deltas(samples, holdings, 2.0) == [UsageDelta(5, 3.0, 4.0, 300)]


def test_unknown_utilisation_is_not_zero():
    usage = usage_deltas([sample(10.0, None, mem_used_bytes=100)], [JOB_5], 2.0)
    assert usage == [UsageDelta(5, util_s=0.0, sampled_s=0.0, mem_peak_bytes=100)]


def test_memory_seen_after_a_job_ended_is_not_its_own():
    holdings = [Holding(5, 0, 0.0, to_at=9.0), Holding(6, 0, 9.0)]
    usage = usage_deltas([sample(10.0, None, util_ratio=1.0, mem_used_bytes=100)], holdings, 2.0)
    assert usage == [UsageDelta(5, 1.0, 1.0, None), UsageDelta(6, 1.0, 1.0, 100)]


def test_jobs_that_share_a_gpu_are_each_told_the_memory_of_their_own_processes():
    processes = (
        GpuProcess(1, 60, job_id=5),
        GpuProcess(2, 20, job_id=6),
        GpuProcess(3, 10, job_id=6),
        GpuProcess(4, 9),
    )
    shared = sample(10.0, None, util_ratio=0.5, mem_used_bytes=99, processes=processes)
    holdings = [Holding(5, 0, 0.0, weight=30.0), Holding(6, 0, 0.0, weight=10.0), Holding(7, 0, 0.0, weight=40.0)]
    usage = {delta.job_id: delta for delta in usage_deltas([shared], holdings, 8.0)}
    assert {job_id: delta.mem_peak_bytes for job_id, delta in usage.items()} == {5: 60, 6: 30, 7: None}
    assert {job_id: delta.sampled_s for job_id, delta in usage.items()} == {5: 3.0, 6: 1.0, 7: 4.0}


def test_a_job_on_an_instance_is_not_told_the_memory_of_the_others():
    processes = (GpuProcess(1, 300, job_id=7, instance="7/0"), GpuProcess(2, 9000, instance="8/0"))
    [delta] = usage_deltas([sample(1.0, None, mem_used_bytes=9300, processes=processes)], [Holding(7, 0, 0.0)], 1.0)
    assert delta.mem_peak_bytes == 300


def test_merging_nothing_is_nothing():
    assert merge([]) == []


def test_money_and_carbon():
    assert kwh(3_600_000_000) == 1.0
    assert cost(1_800_000_000, 0.30) == pytest.approx(0.15)
    assert carbon_g(1_800_000_000, 400.0) == pytest.approx(200.0)


def test_without_a_tariff_there_is_no_price():
    assert cost(1_800_000_000, None) is None
    assert carbon_g(1_800_000_000, None) is None

"""What every source of GPUs keeps to, simulated or real."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from fake_nvml.quick_plan import quick_plan
from patience import until

from dcdaemon.core.metric import metrics_of
from dcdaemon.core.ports import GpuSource
from dcdaemon.core.samples import GpuSample
from dcdaemon.fakes.gpus import GpuLoad, SimulatedGpus
from dcdaemon.telemetry.gpu_plan import Patience
from dcdaemon.telemetry.gpu_source import NvmlSource
from dcdaemon.telemetry.gpu_supervisor import Upkeep

INTERVAL_S = 0.1


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@pytest.fixture(params=["simulated", "nvml"])
def source(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuSource]:
    if request.param == "simulated":
        made: GpuSource = SimulatedGpus(3, lambda: {1: GpuLoad(0.5)}, SystemClock(), INTERVAL_S)
    else:
        driver = FakeDriver(build(tmp_path), tmp_path / "state", count=3, profile="h100").installed(monkeypatch)
        for gpu, util in enumerate((0, 1, 0)):
            driver.load(gpu, util, ago_s=60)
            driver.gpu(gpu, mem_used=1 << 30)
        made = NvmlSource(upkeep=Upkeep(quick_plan(INTERVAL_S), Patience()))
    yield made
    made.close()


def complete(source: GpuSource) -> bool:
    return len(source.read().samples) == 3


def test_gpus_are_told_in_order_with_a_sample_each(source):
    source.start()
    until(lambda: complete(source))
    reading = source.read()
    assert [gpu.index for gpu in reading.gpus] == [sample.gpu for sample in reading.samples] == [0, 1, 2]
    assert len({gpu.uuid for gpu in reading.gpus}) == 3
    assert len({gpu.pci_bus_id for gpu in reading.gpus}) == 3
    assert reading.driver_error is None
    assert reading.driver_version
    assert reading.lost == frozenset()


def test_values_are_possible_and_stamped_with_now(source):
    source.start()
    until(lambda: complete(source))
    for gpu, sample in zip(source.read().gpus, source.read().samples, strict=True):
        assert 0 <= sample.util_ratio <= 1
        assert 0 < sample.mem_used_bytes <= sample.mem_total_bytes == gpu.mem_total_bytes
        assert 0 < sample.power_w <= sample.power_limit_w == gpu.power_limit_w
        assert isinstance(sample.energy_counter_mj, int)
        assert sample.simulated == gpu.simulated
        assert abs(time.time() - sample.at) < 5
        assert abs(time.monotonic() - sample.monotonic_s) < 5


def test_the_units_of_a_busy_gpu_are_busy_and_every_value_is_in_its_range(source):
    source.start()
    until(lambda: complete(source) and source.read().samples[1].sm_active_ratio)
    idle, busy, _ = source.read().samples
    for sample in (idle, busy):
        for metric in metrics_of(GpuSample):
            value = getattr(sample, metric.attribute)
            assert value is None or value >= 0, metric.attribute
            if metric.attribute.endswith("_ratio"):
                assert value is None or value <= 1, metric.attribute
        assert sample.mem_used_bytes + sample.mem_free_bytes <= sample.mem_total_bytes
        assert sample.sm_clock_hz <= sample.sm_clock_max_hz
    assert busy.sm_active_ratio > busy.tensor_active_ratio > 0
    assert (idle.util_ratio, idle.clock_event_reasons) == (0, 1)


def test_a_released_source_tells_what_there_is_and_no_value_until_it_is_taken_back(source):
    source.start()
    until(lambda: complete(source))
    source.release(600)
    reading = source.read()
    assert (len(reading.gpus), reading.samples, reading.lost) == (3, (), frozenset())
    assert abs(reading.released_until - time.time() - 600) < 60
    assert "dcd gpus release --end" in reading.driver_error
    source.release(0)
    until(lambda: complete(source))
    assert (source.read().released_until, source.read().driver_error) == (None, None)


def test_a_release_is_over_by_itself(source):
    source.start()
    until(lambda: complete(source))
    source.release(0.05)
    until(lambda: complete(source) and source.read().released_until is None)


def test_samples_renew_themselves_and_energy_does_not_run_back(source):
    source.start()
    until(lambda: complete(source))
    before = source.read().samples
    until(
        lambda: (
            complete(source)
            and all(b.monotonic_s < a.monotonic_s for b, a in zip(before, source.read().samples, strict=True))
        )
    )
    for earlier, later in zip(before, source.read().samples, strict=True):
        assert later.energy_counter_mj >= earlier.energy_counter_mj


def test_close_is_quick_and_may_come_twice_or_before_the_start(source):
    before = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - before < 1


def test_a_closed_source_still_answers(source):
    source.start()
    until(lambda: complete(source))
    before = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - before < 1
    assert len(source.read().gpus) == 3

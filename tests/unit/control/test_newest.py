"""The newest samples: how old they are, and when they are no longer shown."""

import pytest

from dcdaemon.control.newest import Newest, device
from dcdaemon.core.samples import KINDS, DriveSample, GpuSample, HostSample, MigSample, SwitchSample

GPU = ("gpu", 0)


def gpu(at: float, index: int = 0, **values: object) -> GpuSample:
    return GpuSample(at, at, index, **values)


def ages(newest: Newest, now_s: float) -> dict[tuple, float]:
    return {device(sample): age_s for sample, age_s in newest.fresh(now_s)}


def test_each_device_has_one_newest_sample_with_its_age():
    newest = Newest()
    newest.take([gpu(100.0), gpu(100.5, 1)], 101.0)
    newest.take([gpu(101.0)], 101.2)
    newest.take([HostSample(at=7.0)], 100.0)
    assert ages(newest, 102.0) == {GPU: 1.0, ("gpu", 1): 1.5, ("host",): 2.0}


def test_a_sample_is_withdrawn_after_three_missed_readings_and_not_before():
    newest = Newest()
    newest.take([gpu(100.0)], 100.0)
    newest.take([HostSample(at=1.0)], 100.0)
    assert ages(newest, 103.0).keys() == {GPU, ("host",)}
    assert ages(newest, 103.1).keys() == {("host",)}
    assert ages(newest, 115.0).keys() == {("host",)}
    assert ages(newest, 115.1) == {}


def test_slow_kinds_are_kept_for_as_long_as_their_own_readings_take():
    newest = Newest()
    newest.take([DriveSample(at=1.0, device="nvme0"), SwitchSample(at=1.0, switch="tor")], 0.0)
    assert ages(newest, 180.0).keys() == {("drive", "nvme0"), ("switch", "tor")}
    assert ages(newest, 1800.0).keys() == {("drive", "nvme0")}
    assert ages(newest, 1801.0) == {}


def test_a_rarer_poll_than_the_table_says_keeps_samples_longer_but_a_quicker_one_not_shorter():
    newest = Newest({"gpu": 10.0, "drive": 5.0})
    newest.take([gpu(100.0), DriveSample(at=1.0, device="a")], 100.0)
    assert ages(newest, 130.0).keys() == {GPU, ("drive", "a")}
    assert ages(newest, 131.0).keys() == {("drive", "a")}
    assert newest.kept_s(DriveSample) == 1800.0


def test_a_sample_that_is_shown_again_does_not_become_younger():
    newest = Newest()
    stuck = MigSample(at=50.0, gpu=0, instance="1/0")
    newest.take([stuck], 100.0)
    newest.take([stuck], 110.0)
    assert ages(newest, 112.0) == {("mig", 0, "1/0"): 12.0}
    newest.take([stuck], 115.1)
    assert ages(newest, 115.1) == {}
    newest.take([MigSample(at=65.0, gpu=0, instance="1/0")], 115.2)
    assert ages(newest, 115.2) == {("mig", 0, "1/0"): 0.0}


def test_a_later_form_of_the_same_reading_replaces_it_at_its_age():
    newest = Newest()
    newest.take([gpu(100.0)], 100.0)
    newest.take([gpu(100.0, simulated=True)], 101.0)
    [(sample, age_s)] = newest.fresh(101.0)
    assert (sample.simulated, age_s) == (True, 1.0)


def test_the_age_of_a_withdrawn_device_is_told_for_an_hour_then_it_is_forgotten():
    newest = Newest()
    newest.take([gpu(100.0)], 100.0)
    assert newest.fresh(2000.0) == []
    assert newest.age_s(GPU, 2000.0) == 1900.0
    assert newest.age_s(("gpu", 5), 2000.0) is None
    newest.fresh(100.0 + 3604.0)
    assert newest.age_s(GPU, 4000.0) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sample_has_a_time_and_names_its_device(kind):
    assert {"at", *kind.KEYS} <= set(kind.__dataclass_fields__)
    assert Newest().kept_s(kind) >= 3.0

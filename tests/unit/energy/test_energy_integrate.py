"""Energy between two readings: counter first, power second, nothing invented."""

from dataclasses import replace
from math import inf, nan

import pytest

from dcdaemon.core.energy import EnergyMethod
from dcdaemon.core.samples import GpuSample
from dcdaemon.energy.integrate import MeterReading, measure, read, tells_energy

EARLIER = MeterReading(at=1000.0, monotonic_s=50.0, counter_mj=7_000_000, power_w=300.0, power_limit_w=700.0)


def sample(after_s: float = 1.0, **values) -> GpuSample:
    fields = {"at": 1000.0 + after_s, "monotonic_s": 50.0 + after_s, "gpu": 0, "power_limit_w": 700.0}
    return GpuSample(**{**fields, **values})


def test_two_counters_give_their_difference():
    measured = measure(EARLIER, sample(energy_counter_mj=7_350_000, power_w=100.0))
    assert (measured.energy_mj, measured.method) == (350_000, EnergyMethod.COUNTER)
    assert (measured.from_at, measured.to_at) == (1000.0, 1001.0)
    assert (measured.gap_s, measured.reset, measured.implausible) == (0.0, False, False)
    assert measured.uncertainty_pct == 5.0


def test_a_counter_spans_a_gap_of_hours():
    measured = measure(EARLIER, sample(7200.0, energy_counter_mj=7_000_000 + 720_000_000))
    assert (measured.energy_mj, measured.gap_s) == (720_000_000, 0.0)


def test_a_counter_that_started_anew_gives_what_it_shows_and_says_so():
    measured = measure(EARLIER, sample(energy_counter_mj=120_000, power_w=300.0))
    assert (measured.energy_mj, measured.reset, measured.uncertainty_pct) == (120_000, True, None)


@pytest.mark.parametrize(
    "counter_mj",
    [
        pytest.param(7_000_000 + 1_680_001, id="jump past twice the limit"),
        pytest.param(7_000_000 - 1, id="reset to more than any board draws"),
        pytest.param(2**63, id="wrapped"),
    ],
)
def test_an_implausible_counter_gives_way_to_power(counter_mj):
    measured = measure(EARLIER, sample(energy_counter_mj=counter_mj, power_w=500.0))
    assert (measured.energy_mj, measured.method, measured.implausible) == (400_000, EnergyMethod.POWER, True)


def test_the_largest_plausible_step_is_still_counted():
    measured = measure(EARLIER, sample(energy_counter_mj=7_000_000 + 1_680_000))
    assert measured.method is EnergyMethod.COUNTER


def test_a_limit_lowered_just_now_does_not_make_the_past_implausible():
    measured = measure(EARLIER, sample(energy_counter_mj=7_700_000, power_limit_w=200.0))
    assert (measured.energy_mj, measured.method) == (700_000, EnergyMethod.COUNTER)


def test_without_a_counter_power_is_integrated_as_a_trapezoid():
    measured = measure(EARLIER, sample(2.0, power_w=500.0))
    assert (measured.energy_mj, measured.method) == (800_000, EnergyMethod.POWER)
    assert measured.uncertainty_pct == 7.0


def test_one_known_power_stands_for_the_interval():
    assert measure(replace(EARLIER, power_w=None), sample(power_w=500.0)).energy_mj == 500_000
    assert measure(EARLIER, sample()).energy_mj == 300_000


def test_a_long_gap_without_counter_invents_nothing():
    measured = measure(EARLIER, sample(30.5, power_w=500.0))
    assert (measured.energy_mj, measured.gap_s, measured.uncertainty_pct) == (0, 30.5, None)


def test_fractions_of_a_millijoule_are_carried():
    reading, total_mj = replace(EARLIER, power_w=0.0001), 0
    for tick in range(1, 31):
        measured = measure(reading, sample(float(tick), power_w=0.0001))
        reading = read(sample(float(tick), power_w=0.0001), measured.unbooked_mj)
        total_mj += measured.energy_mj
    assert total_mj + reading.unbooked_mj == pytest.approx(3.0)
    assert total_mj in {2, 3}


@pytest.mark.parametrize("power_w", [nan, inf, -40.0, 3.69e12, None])
def test_impossible_watts_are_unknown(power_w):
    assert not tells_energy(sample(power_w=power_w))
    assert measure(EARLIER, sample(power_w=power_w)).energy_mj == 300_000


def test_a_sample_seen_before_measures_nothing():
    assert measure(EARLIER, sample(0.0, energy_counter_mj=9_000_000)) is None
    assert measure(EARLIER, sample(-1.0, energy_counter_mj=9_000_000)) is None


def test_a_wall_clock_set_back_changes_neither_energy_nor_length():
    measured = measure(EARLIER, sample(at=1000.0 - 3599.0, power_w=500.0))
    assert (measured.energy_mj, measured.to_at - measured.from_at) == (400_000, 1.0)


def test_after_a_restart_the_counter_gives_the_energy_of_the_downtime():
    stored = MeterReading(at=1000.0, monotonic_s=None, counter_mj=7_000_000)
    measured = measure(stored, sample(600.0, energy_counter_mj=7_000_000 + 60_000_000, monotonic_s=3.0))
    assert (measured.energy_mj, measured.from_at, measured.to_at) == (60_000_000, 1000.0, 1600.0)


def test_after_a_restart_without_counter_even_a_short_downtime_is_a_gap():
    stored = MeterReading(at=1000.0, monotonic_s=None, counter_mj=None)
    measured = measure(stored, sample(4.0, power_w=500.0))
    assert (measured.energy_mj, measured.gap_s) == (0, 4.0)


def test_after_a_restart_into_the_past_an_unjudgeable_counter_is_not_believed():
    stored = MeterReading(at=5000.0, monotonic_s=None, counter_mj=7_000_000)
    measured = measure(stored, sample(energy_counter_mj=7_900_000))
    assert (measured.energy_mj, measured.implausible) == (0, True)

"""When a filesystem will be full: no single burst makes a trend, and no trend is made of noise."""

import random

import pytest

from dcdaemon.telemetry.trend import FillTrend

GB = 10**9
HOUR_S = 3600.0


def told(available, hours: float, every_s: float = 10.0) -> float | None:
    """Feed a trend with a function of seconds, as often as filesystems are read; return the last estimate."""
    trend, estimate = FillTrend(), None
    for step in range(int(hours * HOUR_S / every_s) + 1):
        estimate = trend.full_in_s(step * every_s, int(available(step * every_s)))
    return estimate


def test_an_even_fill_is_told_to_the_minute():
    assert told(lambda s: 100 * GB - s * GB / 60, hours=0.5) == pytest.approx(70 * 60, rel=0.01)


def test_a_slow_fill_is_told_in_days():
    days = told(lambda s: 1000 * GB - s * GB / 3600, hours=7) / 86400
    assert days == pytest.approx(993 / 24, rel=0.01)


def test_nothing_is_told_before_there_are_ten_points():
    assert told(lambda s: 100 * GB - s * GB / 60, hours=0.14) is None
    assert told(lambda s: 100 * GB - s * GB / 60, hours=0.16) is not None


def test_what_lies_far_ahead_waits_for_the_long_window():
    slow = lambda s: 1000 * GB - s * GB / 3600  # noqa: E731
    assert told(slow, hours=0.7) is None
    assert told(slow, hours=1.1) is not None


@pytest.mark.parametrize("available", [lambda _: 5 * GB, lambda s: 5 * GB + s * GB / 60])
def test_a_filesystem_that_does_not_fill_has_no_end(available):
    assert told(available, hours=2) is None


def test_noise_is_no_trend():
    rng = random.Random(7)  # noqa: S311
    trend = FillTrend()
    minutes = range(3 * 24 * 60)
    assert {trend.full_in_s(m * 60.0, int(500 * GB + rng.uniform(-1, 1) * 10**6)) for m in minutes} == {None}


def test_one_large_file_that_comes_and_goes_does_not_tilt_the_line():
    def available(s: float) -> float:
        burst = 200 * GB if 5 * HOUR_S < s < 5.5 * HOUR_S else 0
        return 1000 * GB - s * GB / 3600 - burst

    days = told(available, hours=7) / 86400
    assert days == pytest.approx(993 / 24, rel=0.1)


def test_a_sudden_fill_is_told_within_the_hour():
    def available(s: float) -> float:
        return 1000 * GB - max(s - 6 * HOUR_S, 0) * GB / 6

    left_s = told(available, hours=6.75)
    assert left_s == pytest.approx((1000 - 450) * 6, rel=0.1)


def test_a_full_filesystem_is_full_now():
    assert told(lambda _: 0, hours=0) == 0.0


def test_nothing_is_told_of_what_is_more_than_90_days_ahead():
    assert told(lambda s: 10**15 - s * 1000, hours=7) is None


def test_memory_is_bounded():
    trend = FillTrend()
    for minute in range(5000):
        trend.full_in_s(minute * 60.0, 10**12 - minute)
    assert (len(trend.near), len(trend.far)) == (60, 60)

"""The clock of the tests keeps the two times apart."""

import pytest

from dcdaemon.fakes.clock import FakeClock


def test_time_passes_on_both_clocks():
    clock = FakeClock(now=1000.0, monotonic=5.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (1002.5, 7.5)


def test_a_step_moves_the_wall_clock_only():
    clock = FakeClock(now=1000.0, monotonic=5.0)
    clock.step_wall(-3600.0)
    assert (clock.now(), clock.monotonic()) == (-2600.0, 5.0)


def test_time_does_not_pass_backwards():
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(-1.0)

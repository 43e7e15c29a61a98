"""The ticker: whatever one duty or the wall clock does, the others tick on."""

import logging
import threading
import time
from itertools import pairwise

import pytest

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.daemon.lifecycle import Stop
from dcdaemon.daemon.ticker import Ticker
from dcdaemon.fakes.clock import FakeClock

HOUR_S = 3600.0


class Duty:
    """Notes when it ticked, and does what the test says."""

    def __init__(self, name: str = "duty", every_s: float = 0.02, act=None) -> None:
        self.name, self.every_s, self._act = name, every_s, act
        self.ticks: list[float] = []

    def tick(self) -> None:
        self.ticks.append(time.monotonic())
        if self._act is not None:
            self._act()

    def gaps_s(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.ticks)]


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def ticker(stop):
    ticker = Ticker(stop.failed)
    yield ticker
    ticker.stop()


def test_every_duty_ticks_at_once_and_then_again_and_again(ticker, until):
    rare, frequent = Duty("rare", every_s=3600.0), Duty("frequent")
    for duty in (rare, frequent):
        ticker.add(duty)
    ticker.start()
    until(lambda: len(frequent.ticks) >= 5)
    assert len(rare.ticks) == 1
    reports = {report.name: report for report in ticker.reports()}
    assert reports["rare"].ticks == 1
    assert reports["frequent"].ticks >= 4
    assert reports["frequent"].last_tick_age_s < 5
    assert not any(report.late or report.error for report in reports.values())


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_wall_clock_stepped_by_an_hour_delays_no_duty(ticker, until, monkeypatch, step_s):
    """A ticker that looked at the wall clock would sleep for an hour, or tick without end."""
    duty = Duty(every_s=0.1)
    ticker.add(duty)
    ticker.start()
    until(lambda: len(duty.ticks) >= 2)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + step_s)
    stepped_at = time.monotonic()
    until(lambda: duty.ticks[-1] > stepped_at + 0.5)
    slack_s = 1.0  # of a machine that has other things to do
    assert max(duty.gaps_s()) < 2 * duty.every_s + slack_s
    assert len(duty.ticks) <= 3 + (duty.ticks[-1] - duty.ticks[0]) / duty.every_s


def test_a_wall_clock_that_runs_wild_makes_no_duty_late():
    clock = FakeClock()
    ticker = Ticker(lambda *_: None, clock.monotonic)
    ticker.add(Duty(every_s=1.0))
    for step_s in (HOUR_S, -2 * HOUR_S, HOUR_S):
        clock.step_wall(step_s)
        clock.advance(1.0)
        [report] = ticker.reports()
        assert not report.late


@pytest.mark.parametrize(("every_s", "late_after_s"), [(1.0, 15.0), (5.0, 15.0), (20.0, 40.0)])
def test_a_duty_is_late_after_two_intervals_but_a_slow_disk_is_forgiven(every_s, late_after_s):
    clock = FakeClock()
    ticker = Ticker(lambda *_: None, clock.monotonic)
    ticker.add(Duty(every_s=every_s))
    clock.advance(late_after_s)
    assert [report.late for report in ticker.reports()] == [False]
    clock.advance(0.001)
    assert [report.late for report in ticker.reports()] == [True]


def test_a_failing_duty_brings_the_daemon_down_loudly(ticker, stop, until, caplog):
    def fail():
        raise ValueError("a bug")

    failing, other = Duty("failing", act=fail), Duty("other")
    for duty in (failing, other):
        ticker.add(duty)
    ticker.start()
    until(lambda: stop.asked)
    assert (stop.exit_code, stop.reason) == (1, "failing failed: a bug")
    [record] = [record for record in caplog.records if record.__dict__.get("action") == "part_failed"]
    assert (record.levelno, record.__dict__["part"]) == (logging.CRITICAL, "failing")
    assert isinstance(record.exc_info[1], ValueError)
    seen = len(other.ticks)
    until(lambda: len(other.ticks) > seen)
    assert len(failing.ticks) == 1


def test_trouble_that_may_pass_is_reported_and_passes(ticker, stop, until, caplog):
    caplog.set_level(logging.INFO)
    trouble = threading.Event()
    trouble.set()

    def act():
        if trouble.is_set():
            raise StoreUnavailable("the disk is full", "make room")

    duty = Duty(act=act)
    ticker.add(duty)
    ticker.start()
    until(lambda: len(duty.ticks) >= 4)
    assert ticker.reports()[0].error == "the disk is full"
    trouble.clear()
    until(lambda: ticker.reports()[0].error is None)
    assert not stop.asked
    actions = [record.__dict__.get("action") for record in caplog.records if record.name == "dcdaemon.daemon.ticker"]
    assert actions == ["duty_trouble", "duty_well"], "told once, not at every tick"


def test_a_slow_duty_delays_no_other_and_makes_up_for_nothing(ticker, until):
    hanging = threading.Event()
    first = iter([hanging.wait])

    def hang_once():
        next(first, lambda: None)()

    slow, quick = Duty("slow", every_s=0.05, act=hang_once), Duty("quick", every_s=0.05)
    for duty in (slow, quick):
        ticker.add(duty)
    ticker.start()
    until(lambda: len(quick.ticks) >= 8)
    assert len(slow.ticks) == 1
    hanging.set()
    until(lambda: len(slow.ticks) >= 4)
    after = slow.gaps_s()[1:3]
    assert min(after) > 0.025, "eight missed intervals are not made up for in a burst"


def test_a_duty_that_hangs_is_left_behind_at_the_end(stop, until):
    released = threading.Event()
    ticker = Ticker(stop.failed)
    hanging, other = Duty("hanging", act=released.wait), Duty("other")
    for duty in (hanging, other):
        ticker.add(duty)
    ticker.start()
    until(lambda: hanging.ticks and other.ticks)
    began = time.monotonic()
    ticker.stop(within_s=0.1)
    assert time.monotonic() - began < 5
    seen = len(other.ticks)
    released.set()
    for thread in ticker._threads:
        thread.join(5)
    assert len(other.ticks) == seen
    assert len(hanging.ticks) == 1

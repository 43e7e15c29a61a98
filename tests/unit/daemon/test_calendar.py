"""Calendar work: registered, done, and not ended by an error."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from scene import Scene

from dcdaemon.config.model import Config
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.daemon.calendar_work import make_calendar
from dcdaemon.daemon.timers import Calendar, CalendarJob
from dcdaemon.runner.envs import EnvFiles


@pytest.fixture
def calendar():
    calendar = Calendar()
    yield calendar
    calendar.stop()


def do_now(calendar: Calendar, name: str) -> None:
    calendar._scheduler.modify_job(name, next_run_time=datetime.now(calendar._scheduler.timezone))


@pytest.fixture
def failing_once(calendar: Calendar):
    """Add work that raises the given error the first time."""
    done: list[int] = []

    def add(error: Exception) -> list[int]:
        def work():
            done.append(len(done))
            if len(done) == 1:
                raise error

        calendar.add(CalendarJob("roll-up", "0", "3", work))
        calendar.start()
        do_now(calendar, "roll-up")
        return done

    return add


def test_work_that_a_full_disk_keeps_from_being_done_is_told_in_one_line(calendar, failing_once, until, caplog):
    done = failing_once(StoreUnavailable("the disk is full", "make room"))
    until(lambda: done and caplog.records)
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "roll-up failed: the disk is full")
    assert (record.__dict__["action"], record.__dict__["work"], record.exc_info) == ("calendar_failed", "roll-up", None)


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full", "make room"), ZeroDivisionError("a bug")])
def test_work_that_failed_is_done_again_the_next_time(calendar, failing_once, until, caplog, error):
    done = failing_once(error)
    until(lambda: done and caplog.records)
    do_now(calendar, "roll-up")
    until(lambda: len(done) == 2)
    assert calendar._scheduler.get_job("roll-up") is not None


def test_work_that_was_missed_for_days_is_made_up_for_once(calendar, until):
    done, also = [], []
    calendar.add(CalendarJob("retention", "17", "*", lambda: done.append(1)))
    calendar.add(CalendarJob("after", "0", "3", lambda: also.append(1)))
    calendar.start()
    zone = calendar._scheduler.timezone
    calendar._scheduler.modify_job("retention", next_run_time=datetime.now(zone) - timedelta(days=3))
    until(lambda: done)
    do_now(calendar, "after")
    until(lambda: also)
    assert len(done) == 1


def test_a_clock_that_was_set_back_does_not_stop_what_is_due_each_minute(calendar):
    calendar.add(CalendarJob("roll-up", "*", "*", lambda: None))
    calendar.start()
    zone = calendar._scheduler.timezone
    # As it looks when the clock has been set back by an hour since the next run was planned.
    calendar._scheduler.modify_job("roll-up", next_run_time=datetime.now(zone) + timedelta(hours=1))
    calendar.clock_set(-3600.0)
    assert calendar._scheduler.get_job("roll-up").next_run_time <= datetime.now(zone) + timedelta(minutes=1)


def test_what_became_due_because_the_clock_was_set_ahead_is_done_at_once(calendar, until, monkeypatch):
    done = []
    calendar.add(CalendarJob("backup", "0", "3", lambda: done.append(1)))
    calendar.start()
    due = calendar._scheduler.get_job("backup").next_run_time

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return due.astimezone(tz) + timedelta(minutes=5)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Ahead)
    calendar.clock_set(3600.0)
    until(lambda: done)


def test_what_never_began_can_be_stopped():
    Calendar().stop()


def test_the_daemon_s_calendar_is_registered(scene: Scene, tmp_path: Path):
    calendar = make_calendar(Config(), scene.desk, EnvFiles(tmp_path / "env"))
    registered = {job.id: str(job.trigger) for job in calendar._scheduler.get_jobs()}
    assert registered["roll-up"] == "cron[hour='*', minute='*']"
    assert registered["retention"] == "cron[hour='*', minute='17']"
    assert "backup" not in registered, "only where a place for it is configured"


def test_the_libraries_under_it_stay_quiet_about_ordinary_things(calendar, until, caplog):
    caplog.set_level(logging.WARNING)
    done = []
    calendar.add(CalendarJob("roll-up", "*", "*", lambda: done.append(1)))
    calendar.start()
    do_now(calendar, "roll-up")
    until(lambda: done)
    assert caplog.records == []

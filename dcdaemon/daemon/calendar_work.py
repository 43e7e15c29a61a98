"""What the daemon does by the calendar: roll-up, retention, the daily report and backup."""

import logging
from pathlib import Path

from dcdaemon.config.model import Config
from dcdaemon.control.daily import daily_report
from dcdaemon.control.desk import Desk
from dcdaemon.control.slow_gpus import learn_speeds
from dcdaemon.core.ports import Store
from dcdaemon.daemon.backups import DailyBackup
from dcdaemon.daemon.clock import SystemClock
from dcdaemon.daemon.timers import Calendar, CalendarJob
from dcdaemon.runner.envs import EnvFiles

log = logging.getLogger(__name__)

#: How long the environment of an ended job is kept, so that it can be requeued.
_ENVS_KEPT_S = 30 * 86400.0


def make_calendar(config: Config, desk: Desk, envs: EnvFiles) -> Calendar:
    """Return the calendar work: roll-up each minute, retention each hour, report and (where asked) backup each day."""
    store = desk.store
    clock = SystemClock()
    calendar = Calendar()
    calendar.add(CalendarJob("roll-up", "*", "*", lambda: store.roll_up(clock.now())))
    calendar.add(CalendarJob("retention", "17", "*", lambda: forget_old(store, envs, clock.now())))
    calendar.add(CalendarJob("speeds", "3", "*", lambda: learn_speeds(desk)))
    calendar.add(CalendarJob("report", "5", "0", lambda: report_day(desk)))
    if config.storage.backup_dir:
        hour, minute = config.storage.backup_at.split(":")
        envs_dir, tell = Path(config.daemon.state_dir) / "env", desk.board.events.tell
        daily = DailyBackup(store, config.storage, config.node.name, envs_dir, tell)
        calendar.add(CalendarJob("backup", minute, hour, lambda: daily.make(clock.now())))
    return calendar


def report_day(desk: Desk) -> None:
    """Write the report of the last 24 hours to the log."""
    log.info("the last 24 hours: %s", daily_report(desk), extra={"action": "daily_report"})


def forget_old(store: Store, envs: EnvFiles, now: float) -> None:
    """Delete samples past their retention, and environments that no job can be run again with."""
    store.prune(now)
    # Asked for after the listing would be too late for a job that is being submitted just then.
    envs.keep_only(lambda: store.env_refs(now - _ENVS_KEPT_S))

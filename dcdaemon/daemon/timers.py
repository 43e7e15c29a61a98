"""Calendar work by APScheduler: roll-up, retention and backups; everything of a minute or less ticks in ticker.py."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from dcdaemon.core.errors import DcdError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CalendarJob:
    """Work at times of the calendar; `cron` is minute and hour as crontab(5) writes them."""

    name: str
    minute: str
    hour: str
    work: Callable[[], object]


class Calendar:
    """Runs calendar work one at a time and never twice at once; a missed run is made up for once."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            executors={"default": {"type": "threadpool", "max_workers": 1}},
            daemon=True,
        )

    def add(self, job: CalendarJob) -> None:
        """Take on one piece of work."""
        trigger = CronTrigger(minute=job.minute, hour=job.hour)
        self._scheduler.add_job(_guarded(job), trigger, id=job.name, name=job.name)

    def clock_set(self, step_s: float) -> None:
        """Go by the new wall clock, which was set by so much: do what is due by it, wait no longer than it says.

        Without it what is due every minute would stand still for as long as the clock was set back.
        """
        if step_s < 0:
            for job in self._scheduler.get_jobs():
                self._scheduler.reschedule_job(job.id, trigger=job.trigger)
        else:
            self._scheduler.wakeup()

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, if it ever began; work under way is not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def _guarded(job: CalendarJob) -> Callable[[], None]:
    def run() -> None:
        try:
            job.work()
        except DcdError as error:
            log.warning("%s failed: %s", job.name, error.message, extra={"action": "calendar_failed", "work": job.name})

    return run

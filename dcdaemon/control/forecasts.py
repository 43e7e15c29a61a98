"""How well it was foretold when jobs start: each is scored once it has started."""

import threading
from collections.abc import Iterable

from dcdaemon.core.job import Job, JobState
from dcdaemon.scheduler.start_time_score import KEPT, StartAccuracy, StartScore, Told


class Forecasts:
    """How the forecasts of a node's jobs turned out; safe to use from any thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._score = StartScore()

    def noted(self, job: Job) -> None:
        """Score a job that has started; a listener of the desk."""
        if job.state is JobState.RUNNING:
            self._note(job)

    def recall(self, jobs: Iterable[Job]) -> None:
        """Score jobs that have started before this daemon did."""
        started = [job for job in jobs if job.started_at is not None]
        for job in sorted(started, key=lambda job: (job.started_at, job.id))[-KEPT:]:
            self._note(job)

    def accuracy(self, unfinished: Iterable[Job], now: float) -> StartAccuracy:
        """Return how well the last forecasts turned out; those who wait for longer than they were told count, too."""
        late = sum(_is_late(job, now) for job in unfinished)
        with self._lock:
            return self._score.accuracy(late)

    def _note(self, job: Job) -> None:
        told = _told(job)
        # Of a later attempt nothing was foretold.
        if told is not None and job.started_at is not None and job.attempt == 1:
            with self._lock:
                self._score.started(job.id, told, job.started_at)


def _told(job: Job) -> Told | None:
    if job.forecast_at is None or job.forecast_low_at is None or job.forecast_high_at is None:
        return None
    return Told(job.submitted_at, job.forecast_low_at, job.forecast_at, job.forecast_high_at)


def _is_late(job: Job, now: float) -> bool:
    told, waits = _told(job), job.state is JobState.WAITING and not job.held and job.attempt == 0
    return waits and told is not None and told.high_at < now

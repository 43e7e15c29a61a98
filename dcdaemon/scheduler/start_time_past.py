"""The jobs of the past once more, so that forecasts are as good after a restart as they were before."""

from collections.abc import Iterable, Iterator
from enum import IntEnum

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.memory import Past
from dcdaemon.scheduler.start_time import StartTimes


class _What(IntEnum):
    """What happened, in the order in which it counts at one moment."""

    END = 0
    SUBMIT = 1
    START = 2


def replay(starts: StartTimes, pasts: Iterable[Past]) -> None:
    """Let forecasts be made for these jobs as if they came now, and learn how they would have turned out.

    Where they ran is not known any more: a job is taken to fit when the cluster as a whole has room for it.
    """
    told = {past.job_id: past for past in pasts}
    for at, what, job_id in sorted(event for past in told.values() for event in _events(past)):
        if what is _What.END:
            starts.left(job_id)
        elif what is _What.START:
            starts.started(job_id, at)
        else:
            _submit(starts, told[job_id], at)


def _events(past: Past) -> Iterator[tuple[float, _What, int]]:
    if past.started_at is None:
        return
    yield past.queued_at, _What.SUBMIT, past.job_id
    start = max(past.started_at, past.queued_at)
    yield start, _What.START, past.job_id
    if past.run_s is not None:
        # A run of no time at all ends after it has begun.
        yield start + max(past.run_s, 1e-6), _What.END, past.job_id


def _submit(starts: StartTimes, past: Past, at: float) -> None:
    job = QueuedJob(
        past.job_id, past.job_id, 50, past.gpus, 0, 0, None, queued_at=at, predicted_s=past.predicted_s,
    )  # fmt: skip
    foretold = starts.foretell(job, starts.room(job), at)
    if foretold is not None:
        starts.watch(job.id, foretold)
    starts.queued(job)

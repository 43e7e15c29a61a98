"""Foretell: when jobs are expected to start that are being submitted."""

from collections import Counter
from collections.abc import Sequence

from dcdaemon.control.desk import Desk
from dcdaemon.control.remember import take_news
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.prediction import ExpectedStart, Prediction
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.order import lasting_s, length_class
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.start_time import StartForecast, StartTimes
from dcdaemon.scheduler.start_time_room import Rooms

Foretold = Sequence[StartForecast | None]


def foretell(desk: Desk, specs: Sequence[JobSpec], expected: Sequence[Prediction], now: float) -> Foretold:
    """Return when jobs that are about to be stored will start; None for those that wait for more than room."""
    with desk.book.lock:
        starts = desk.memory.starts
        if starts is None:
            return [None] * len(specs)
        take_news(desk, now)
        return _foretell(desk, starts, specs, expected, now)


def with_starts(expected: Sequence[Prediction], foretold: Foretold) -> list[Prediction]:
    """Return the predictions with what is foretold of the starts."""
    return [
        one if start is None else one._replace(start=ExpectedStart(start.at, start.low_at, start.high_at))
        for one, start in zip(expected, foretold, strict=True)
    ]


def watch(desk: Desk, jobs: Sequence[Job], foretold: Foretold) -> None:
    """Learn later how the forecasts of these jobs turn out."""
    with desk.book.lock:
        for job, one in zip(jobs, foretold, strict=True):
            if one is not None and desk.memory.starts is not None:
                desk.memory.starts.watch(job.id, one)


def _foretell(
    desk: Desk, starts: StartTimes, specs: Sequence[JobSpec], expected: Sequence[Prediction], now: float
) -> Foretold:
    view = desk.book.view()
    rooms, tally, alike = Rooms(spaces_of(view), desk.memory.reserved, desk.policy, now), Tally.of(view), _Alike()
    found: list[StartForecast | None] = []
    for spec, one in zip(specs, expected, strict=True):
        job = None if _waits_for_more(spec) else desk.book.as_queued(_job(desk, spec, one, now))
        if job is None or tally.refusing(job) is not None or alike.in_array(spec):
            found.append(None)
            continue
        tally.take(job)
        found.append(starts.foretell(job, rooms.of(job), now, alike.before(job)))
    return found


class _Alike:
    """How many jobs of one request are alike, and how many tasks of an array there have been."""

    def __init__(self) -> None:
        self._jobs = Counter[tuple[object, ...]]()
        self._tasks = Counter[int]()

    def in_array(self, spec: JobSpec) -> bool:
        """Count a task, and say whether it waits for tasks of its own array to end."""
        if spec.array_id is None:
            return False
        self._tasks[spec.array_id] += 1
        return spec.array_limit is not None and self._tasks[spec.array_id] > spec.array_limit

    def before(self, job: QueuedJob) -> int:
        """Count a job, and return how many like it were before."""
        kind = (
            job.priority, job.queue, job.gpus, job.cpus, job.mem_bytes, job.gpu_mem_bytes, length_class(lasting_s(job)),
        )  # fmt: skip
        self._jobs[kind] += 1
        return self._jobs[kind] - 1


def _waits_for_more(spec: JobSpec) -> bool:
    return spec.held or bool(spec.dependencies) or spec.begin_at is not None


def _job(desk: Desk, spec: JobSpec, expected: Prediction, now: float) -> Job:
    return Job(
        0, desk.node, spec, JobState.WAITING, submitted_at=now, queued_at=now, priority=spec.priority,
        predicted_s=expected.run_s,
    )  # fmt: skip

"""Hangs: a job that says nothing any more while a rank of it does nothing has not crashed, and will not end either."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dcdaemon.control.change import end_hung
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import DcdError
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.vitals import RankVitals, Vitals

log = logging.getLogger(__name__)

#: A rank that used less of a core than this did nothing: training needs more to launch kernels alone.
IDLE_BELOW = 0.005
#: So many looks fall into the time after which a job hangs.
_LOOKS = 6


@dataclass(frozen=True, slots=True)
class Hang:
    """A job that hangs: since when it is silent, and each rank with the CPU seconds it has used since then."""

    job: Job
    silent_s: float
    ranks: tuple[tuple[RankVitals, float], ...]


@dataclass(frozen=True, slots=True)
class _Since:
    """What a job had written and used when it last said something, and when to look again; monotonic seconds."""

    attempt: int
    at_s: float
    vitals: Vitals
    look_s: float = 0.0
    hang: Hang | None = None


class HangWatch:
    """Looks at running jobs with a launcher, or with a time after which they are to be ended as hung.

    `after_s` is when a job without such a time of its own counts as hung: that is only told.
    """

    def __init__(self, desk: Desk, after_s: float | None) -> None:
        self._desk = desk
        self._after_s = after_s
        self._since: dict[int, _Since] = {}

    def look(self) -> tuple[Hang, ...]:
        """Return the jobs that hang, and end those that asked for it."""
        watched = dict(self._watched())
        self._since = {job_id: since for job_id, since in self._since.items() if job_id in watched}
        hangs = [hang for job, after_s in watched.values() if (hang := self._look_at(job, after_s)) is not None]
        for hang in hangs:
            self._end(hang)
        return tuple(hangs)

    def _watched(self) -> Iterator[tuple[int, tuple[Job, float]]]:
        for job in self._desk.book.active():
            told_after_s = self._after_s if job.spec.launcher is not None else None
            after_s = job.spec.hang_after_s or told_after_s
            if job.state is JobState.RUNNING and after_s is not None:
                yield job.id, (job, after_s)

    def _look_at(self, job: Job, after_s: float) -> Hang | None:
        now_s = self._desk.clock.monotonic()
        since = self._since.get(job.id)
        if since is not None and since.attempt == job.attempt and now_s < since.look_s:
            return since.hang
        vitals, look_s = self._desk.engine.vitals(job), now_s + after_s / _LOOKS
        if since is None or since.attempt != job.attempt or vitals.written_bytes != since.vitals.written_bytes:
            self._since[job.id] = _Since(job.attempt, now_s, vitals, look_s)
            return None
        hang = _judge(job, since, vitals, now_s - since.at_s) if now_s - since.at_s >= after_s else None
        if hang is None and now_s - since.at_s >= after_s:
            # It works in silence; from here on anew, so that a rank which stops later is seen.
            since = replace(since, at_s=now_s, vitals=vitals)
        self._since[job.id] = replace(since, look_s=look_s, hang=hang)
        return hang

    def _end(self, hang: Hang) -> None:
        if hang.job.spec.hang_after_s is None:
            return
        try:
            end_hung(self._desk, hang.job.id)
        except DcdError as error:
            log.info("hung job not ended: %s", error.message, extra={"action": "hang_not_ended", "job": hang.job.id})


def _judge(job: Job, since: _Since, vitals: Vitals, silent_s: float) -> Hang | None:
    """Return the hang where a rank did nothing; a job without ranks must have done nothing at all."""
    before = {one.pid: one.cpu_s for one in since.vitals.ranks}
    used = tuple((one, max(0.0, one.cpu_s - before.get(one.pid, 0.0))) for one in vitals.ranks)
    ranked = [used_s for one, used_s in used if one.rank is not None]
    least_s = min(ranked) if ranked else sum(used_s for _, used_s in used)
    return Hang(job, silent_s, used) if used and least_s < IDLE_BELOW * silent_s else None

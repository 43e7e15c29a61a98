"""Who goes before a waiting job, and why: read off the same ranks that decide."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from dcdaemon.core.reasons import Ahead, Before
from dcdaemon.core.view import ClusterView, QueuedJob
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.grammar import NAMED_AT_MOST
from dcdaemon.scheduler.order import (
    AGEING,
    OVERDUE,
    WIDTH_EXPONENT,
    Rank,
    Ranking,
    is_in_time,
    lasting_s,
    length_class,
    typical_s,
)
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.space import spaces_of


class Key(NamedTuple):
    """A job's place in the order of one moment, the smallest first."""

    rank: Rank
    sequence: int
    job_id: int

    @classmethod
    def of(cls, job: QueuedJob, ranking: Ranking) -> Self:
        """Return the place of a job."""
        return cls(ranking.rank_of(job), job.sequence, job.id)


@dataclass(frozen=True, slots=True)
class Line:
    """All waiting jobs in the order of one moment, those that are not ready among them."""

    queue: QueueIndex
    ranking: Ranking
    keys: Sequence[Key]

    @classmethod
    def of(cls, view: ClusterView, queue: QueueIndex, policy: Policy, now: float) -> Self:
        """Line the queue up; costs as many ranks as jobs wait."""
        ranking = Ranking(policy, now, view.standing, Tally.of(view), spaces_of(view))
        queue.line_up(ranking)
        return cls(queue, ranking, sorted(Key.of(job, ranking) for job in queue))

    def place(self, job_id: int) -> int:
        """Return how many waiting jobs stand before this one, ready or not."""
        return bisect_left(self.keys, Key.of(self.job(job_id), self.ranking))

    def job(self, job_id: int) -> QueuedJob:
        """Return a job of the line; raises KeyError."""
        job = self.queue.get(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def ready_before(self, job_id: int) -> list[QueuedJob]:
        """Return the ready jobs that stand before this one, in order."""
        before = (self.job(key.job_id) for key in self.keys[: self.place(job_id)])
        return [job for job in before if is_ready(job)]

    def why_ahead(self, job_id: int) -> list[Ahead]:
        """Return how many ready jobs go first for which reason, the reason that weighs most first."""
        job, found = self.job(job_id), dict[Before, list[int]]()
        mine = Key.of(job, self.ranking)
        for key in self.keys[: self.place(job_id)]:
            other = self.job(key.job_id)
            if is_ready(other):
                found.setdefault(_why(other, key, job, mine, self.ranking), []).append(other.id)
        in_order = ((why, found[why]) for why in Before if why in found)
        return [self._ahead(why, ids) for why, ids in in_order]

    def _ahead(self, why: Before, ids: Sequence[int]) -> Ahead:
        ahead = Ahead(why=why.value, count=len(ids), jobs=list(ids[:NAMED_AT_MOST]))
        deadline_at = self.job(ids[0]).deadline_at
        if why is Before.DUE and len(ids) == 1 and deadline_at is not None:
            ahead["due_in_s"] = deadline_at - self.ranking.now
        return ahead


def _why(other: QueuedJob, theirs: Key, job: QueuedJob, mine: Key, ranking: Ranking) -> Before:
    first, second = theirs.rank, mine.rank
    for why, place in ((Before.PRIORITY, 0), (Before.QUOTA, 1), (Before.QUEUE, 2)):
        if first[place] != second[place]:
            return why
    if first.line == OVERDUE:
        return _among_the_overdue(other, first, second, ranking)
    if first.line != second.line:
        return Before.OTHER_ORDER
    return Before.EARLIER if first[4:] == second[4:] else _in_one_order(other, job, ranking)


def _among_the_overdue(other: QueuedJob, first: Rank, second: Rank, ranking: Ranking) -> Before:
    if any(kept.job_id == other.id and kept.promised for kept in ranking.standing.kept):
        return Before.PROMISED
    return Before.EARLIER if first[:5] == second[:5] else Before.OVERDUE


def _in_one_order(other: QueuedJob, job: QueuedJob, ranking: Ranking) -> Before:
    order = ranking.policy.order_in(job.queue)
    if order is Order.FIFO:
        return Before.EARLIER
    if order is Order.FAIR_SHARE:
        return Before.SHARE
    if order is Order.DEADLINE:
        return _by_deadline(other, job, ranking.now)
    return _in_shortest(other, job, ranking.now)


def _by_deadline(other: QueuedJob, job: QueuedJob, now: float) -> Before:
    if other.deadline_at is None:
        return Before.EARLIER
    theirs, mine = (is_in_time(one, length_class(lasting_s(one)), now) for one in (other, job))
    too_late = job.deadline_at is not None and not mine
    return Before.IN_TIME if too_late and theirs else Before.DUE


def _in_shortest(other: QueuedJob, job: QueuedJob, now: float) -> Before:
    """Return which part of the score sets them apart most; it is their product that decides."""
    their_s, my_s = (typical_s(length_class(lasting_s(one))) for one in (other, job))
    parts = {
        Before.SHORTER: my_s / their_s,
        Before.NARROWER: (max(1, job.gpus) / max(1, other.gpus)) ** WIDTH_EXPONENT,
        Before.WAITED: _aged(other, their_s, now) / _aged(job, my_s, now),
    }
    return max(parts, key=lambda part: parts[part])


def _aged(job: QueuedJob, run_s: float, now: float) -> float:
    return 1 + max(0.0, now - job.queued_at) / (AGEING * run_s)

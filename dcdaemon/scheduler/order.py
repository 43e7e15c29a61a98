"""Who goes first: the orders of the queues, and when a job has waited long enough to go before all others."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.policy import Order, Policy

#: Shorter predictions are not told apart.
SHORTEST_S = 300.0
#: What a job is taken to run when nothing is known of it.
USUAL_S = 3600.0
#: How much a GPU more counts against a job beside its time; found on traces, see docs/scheduler.md.
WIDTH_EXPONENT = 0.6
#: A job that has waited so many times its own length counts half.
AGEING = 4.0
#: Nobody is overdue sooner.
LEAST_PATIENCE_S = 3600.0
#: A job of so many GPUs or more is wide, and overdue at that share of the time.
WIDE_GPUS = 16
WIDE_SHARE = 0.75


class Rank(NamedTuple):
    """A job's place in the order of one pass, the smallest first; line -1 is that of the overdue."""

    minus_priority: int
    minus_tier: int
    line: int
    not_promised: int
    value: float


def lasting_s(job: QueuedJob) -> float:
    """Return how long the job is thought to run."""
    if job.predicted_s is not None:
        return job.predicted_s
    return USUAL_S if job.limit_s is None else min(job.limit_s, USUAL_S)


def length_class(seconds: float) -> int:
    """Return the quarter of an octave that a run falls into; jobs of one class are not told apart."""
    return round(4 * math.log2(max(seconds, SHORTEST_S)))


def typical_s(length: int) -> float:
    """Return the run time in the middle of a class."""
    return float(2.0 ** (length / 4))


@dataclass(slots=True)
class Ranking:
    """The order of one pass: at this time, with this past."""

    policy: Policy
    now: float
    standing: Standing
    #: Where two queues of one tier have different orders: which order goes first.
    lines: Mapping[Order, int] = field(default_factory=dict)
    promised: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.promised = {kept.job_id: place for place, kept in enumerate(self.standing.promises)}

    def line_up(self, jobs: Iterable[QueuedJob]) -> None:
        """Let that order go first whose oldest job waits longest; where there is only one order, nothing is asked."""
        if not any(rule.order not in (None, self.policy.order) for rule in self.policy.queues.values()):
            return
        oldest: dict[Order, int] = {}
        for job in jobs:
            order = self.policy.order_in(job.queue)
            oldest[order] = min(job.sequence, oldest.get(order, job.sequence))
        self.lines = {order: place for place, order in enumerate(sorted(oldest, key=lambda order: oldest[order]))}

    def rank_of(self, job: QueuedJob) -> Rank:
        """Return where a job stands."""
        return self.rank(job, length_class(lasting_s(job)))

    def rank(self, job: QueuedJob, length: int) -> Rank:
        """Return where a job of this length class stands."""
        order, tier = self.policy.order_in(job.queue), self.policy.tier_of(job.queue)
        place = self.promised.get(job.id)
        if place is not None:
            return Rank(-job.priority, -tier, -1, 0, place)
        line = self.lines.get(order, 0)
        if order is Order.FIFO:
            return Rank(-job.priority, -tier, line, 1, job.sequence)
        waited_s = self.now - job.queued_at
        if waited_s > self.patience_s(job.gpus):
            return Rank(-job.priority, -tier, -1, 1, job.sequence)
        if order is Order.FAIR_SHARE:
            return Rank(-job.priority, -tier, line, 1, self.standing.shares_used.get((job.account, job.user), 0.0))
        return Rank(-job.priority, -tier, line, 1, score(typical_s(length), job.gpus, waited_s))

    def is_overdue(self, job: QueuedJob) -> bool:
        """Say whether the job goes before all others of its priority, and is promised a start."""
        if job.id in self.promised:
            return True
        if self.policy.order_in(job.queue) is Order.FIFO:
            return False
        return self.now - job.queued_at > self.patience_s(job.gpus)

    def patience_s(self, gpus: int) -> float:
        """Return how long a job of this width may wait before it goes first."""
        longest_s = self.standing.fifo_wait_s
        if longest_s is None:
            return math.inf
        share = WIDE_SHARE if gpus >= WIDE_GPUS else 1.0
        return max(LEAST_PATIENCE_S, self.policy.patience * share * longest_s)


def score(run_s: float, gpus: int, waited_s: float) -> float:
    """Return what a job costs the others, less the longer it waits; the smallest goes first."""
    return float(run_s * max(1, gpus) ** WIDTH_EXPONENT / (1 + max(0.0, waited_s) / (AGEING * run_s)))

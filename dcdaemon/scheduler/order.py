"""Who goes first: the orders of the queues, and when a job has waited long enough to go before all others."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.fair_share import Claims
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


#: The line of those that go before all others of their priority and tier, and are promised a start.
OVERDUE = -1


class Rank(NamedTuple):
    """A job's place in the order of one pass, the smallest first."""

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


@cache
def typical_s(length: int) -> float:
    """Return the run time in the middle of a class."""
    return float(2.0 ** (length / 4))


@dataclass(slots=True)
class Ranking:
    """The order of one pass: at this time, with this past, and beside what runs.

    While the pass starts jobs, others move back: those of users who have had their share or quota now.
    """

    policy: Policy
    now: float
    standing: Standing
    tally: Tally = field(default_factory=lambda: Tally({}))
    #: Where two queues of one tier have different orders: which order goes first.
    lines: Mapping[Order, int] = field(default_factory=dict)
    promised: Mapping[int, int] = field(init=False)
    #: Asked for every group of every pass, worked out once.
    _rules: dict[str, tuple[Order, int]] = field(default_factory=dict)
    _patience_s: dict[int, float] = field(default_factory=dict)

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
        beyond = int(self.is_beyond(job))
        place = self.promised.get(job.id)
        if place is not None and not beyond:
            return Rank(-job.priority, beyond, -tier, -1, 0, place)
        line = self.lines.get(order, 0)
        if order is Order.FIFO:
            return Rank(-job.priority, beyond, -tier, line, 1, job.sequence)
        if order is Order.FAIR_SHARE:
            return Rank(-job.priority, beyond, -tier, line, 1, *self.claims.key((job.account, job.user)))
        waited_s = self.now - job.queued_at
        if waited_s > self.patience_s(job.gpus) and not beyond:
            return Rank(-job.priority, beyond, -tier, -1, 1, job.sequence)
        return Rank(-job.priority, beyond, -tier, line, 1, score(typical_s(length), job.gpus, waited_s))

    def moves(self, job: QueuedJob) -> bool:
        """Say whether the job's place depends on what this very pass starts."""
        return bool(job.caps) or self.policy.order_in(job.queue) is Order.FAIR_SHARE

    def is_beyond(self, job: QueuedJob) -> bool:
        """Say whether the job would exceed a quota, and so comes after all others of its priority."""
        return self.tally.beyond(job) is not None

    def is_overdue(self, job: QueuedJob) -> bool:
        """Say whether the job goes before all others of its priority, and is promised a start.

        Nobody is promised what is only lent. In the other orders it is not age that decides.
        """
        if self.is_beyond(job):
            return False
        return job.id in self.promised or (
            self.policy.order_in(job.queue) is Order.SHORTEST and self._waited_s(job) > self.patience_s(job.gpus)
        )

    def keeps_limits(self, job: QueuedJob) -> bool:
        """Say whether a job that a limit refuses has waited so long that what is left of the limit is kept for it."""
        if self.policy.order_in(job.queue) is Order.SHORTEST:
            return self.is_overdue(job)
        return self._waited_s(job) > LEAST_PATIENCE_S

    def take(self, job: QueuedJob) -> None:
        """Count a job that starts."""
        self.tally.take(job)
        self.claims.start((job.account, job.user), job.gpus)

    def _waited_s(self, job: QueuedJob) -> float:
        return self.now - job.queued_at

    def patience_s(self, gpus: int) -> float:
        """Return how long a job of this width may wait before it goes first."""
        known = self._patience_s.get(gpus)
        return self._work_out_patience(gpus) if known is None else known

    def _work_out_patience(self, gpus: int) -> float:
        longest_s, share = self.standing.fifo_wait_s, WIDE_SHARE if gpus >= WIDE_GPUS else 1.0
        patience_s = math.inf if longest_s is None else max(LEAST_PATIENCE_S, self.policy.patience * share * longest_s)
        self._patience_s[gpus] = patience_s
        return patience_s

    def _learn_rule(self, queue: str) -> tuple[Order, int]:
        rule = self._rules[queue] = (self.policy.order_in(queue), -self.policy.tier_of(queue))
        return rule


def score(run_s: float, gpus: int, waited_s: float) -> float:
    """Return what a job costs the others, less the longer it waits; the smallest goes first."""
    return run_s * width_weight(gpus) / (1 + max(0.0, waited_s) / (AGEING * run_s))


@cache
def width_weight(gpus: int) -> float:
    """Return how much so many GPUs count against a job; one without any counts as one with one."""
    return float(max(1, gpus) ** WIDTH_EXPONENT)

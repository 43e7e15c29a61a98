"""Who goes first: the orders of the queues, and when a job has waited long enough to go before all others."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.fair_share import Claims
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.space import NodeSpace, drains_s

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
#: How many nodes a wide job needs is reckoned with this size.
NODE_GPUS = 8
#: A job of more GPUs than this is wide, and overdue at that share of the time: it waits on when its turn has come.
#: With a patience above 1 it is not: who lets all wait longer than first in, first out wants short jobs to go first.
WIDE_GPUS = 8
WIDE_SHARE = 0.85
#: A job that has run already may wait so many times as long, in all, before it is overdue.
AGAIN = 2.0
#: However long nodes take to empty, nobody goes first before this part of the time: on one node with a week's job all
#: would be overdue at once.
EARLIEST = 0.5
#: Once a job has waited so many times as long as makes it overdue, its start is promised though no limit tells when.
PROMISED_AFTER = 2.0


#: Where deadlines decide: those that can still be met go first, then those that cannot, then jobs without one.
IN_TIME, TOO_LATE, NEVER_DUE = 0.0, 1.0, 2.0
#: In these orders a job that has waited too long is overdue.
AGES = frozenset({Order.SHORTEST, Order.DEADLINE})

#: The line of those that go before all others of their priority and tier, and are promised a start.
OVERDUE = -1


class Rank(NamedTuple):
    """A job's place in the order of one pass, the smallest first."""

    minus_priority: int
    #: 1 for a job that would exceed a quota.
    beyond: int
    minus_tier: int
    line: int
    not_promised: int
    value: float
    second_value: float = 0.0

    @property
    def before_share(self) -> tuple[int, ...]:
        """All that counts before the share does, where fair-share decides."""
        return self[:5]


def lasting_s(job: QueuedJob) -> float:
    """Return how long the job is thought to run."""
    if job.predicted_s is not None:
        return job.predicted_s
    return USUAL_S if job.limit_s is None else min(job.limit_s, USUAL_S)


def length_class(seconds: float) -> int:
    """Return the quarter of an octave that a run falls into; jobs of one class are not told apart."""
    return round(4 * math.log2(max(seconds, SHORTEST_S)))


_SHORTEST_CLASS = length_class(SHORTEST_S)


@cache
def typical_s(length: int) -> float:
    """Return the run time in the middle of a class."""
    return float(2.0 ** (length / 4))


def runs_s(length: int) -> float:
    """Return what a run of this class takes of the time until a deadline; the shortest ones are in time until then."""
    return typical_s(length) if length > _SHORTEST_CLASS else 0.0


def is_in_time(job: QueuedJob, length: int, now: float) -> bool:
    """Say whether a job with a deadline is expected to be done by it if it starts now."""
    return job.deadline_at is not None and now + runs_s(length) <= job.deadline_at


def due_place(job: QueuedJob, length: int, now: float) -> tuple[float, float]:
    """Return a job's place by its deadline: one that cannot be met any more holds up none that can."""
    if job.deadline_at is None:
        return NEVER_DUE, job.sequence
    return (IN_TIME if is_in_time(job, length, now) else TOO_LATE), job.deadline_at


@dataclass(slots=True)
class Ranking:
    """The order of one pass: at this time, with this past, and beside what runs.

    While the pass starts jobs, others move back: those of users who have had their share or quota now.
    """

    policy: Policy
    now: float
    standing: Standing
    tally: Tally = field(default_factory=lambda: Tally({}))
    #: As they are before anything starts; without them nobody goes first because nodes take long to empty.
    nodes: Sequence[NodeSpace] = ()
    #: Where two queues of one tier have different orders: which order goes first.
    lines: Mapping[Order, int] = field(default_factory=dict)
    promised: Mapping[int, int] = field(init=False)
    claims: Claims = field(init=False)
    #: Asked for every group of every pass, worked out once.
    _rules: dict[str, tuple[Order, int]] = field(default_factory=dict)
    _patience_s: dict[int, float] = field(default_factory=dict)
    _drains_s: list[float] | None = None
    #: Nobody is overdue before, however wide: most jobs are younger, and nothing else need be asked about them.
    _soonest_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._soonest_s = EARLIEST * self._bound_s(self._share_of(WIDE_GPUS + 1))
        self.claims = Claims(self.standing.shares_used, self.policy.weights)
        self.promised = {kept.job_id: place for place, kept in enumerate(self.standing.kept)}

    def line_up(self, jobs: Iterable[QueuedJob]) -> None:
        """Learn who waits: the oldest job of each group.

        Where queues have different orders, that order goes first whose oldest job waits longest.
        """
        orders = {self.policy.order, *(rule.order or self.policy.order for rule in self.policy.queues.values())}
        if len(orders) == 1 and Order.FAIR_SHARE not in orders:
            return
        oldest: dict[Order, int] = {}
        payers = set()
        for job in jobs:
            order = self._order_in(job.queue)
            oldest[order] = min(job.sequence, oldest.get(order, job.sequence))
            payers.add((job.account, job.user))
        self.lines = {
            order: place for place, order in enumerate(sorted(oldest, key=lambda order: (oldest[order], order)))
        }
        self.claims.line_up(payers)

    def rank_of(self, job: QueuedJob) -> Rank:
        """Return where a job stands."""
        return self.rank(job, length_class(lasting_s(job)))

    def rank(self, job: QueuedJob, length: int) -> Rank:
        """Return where a job of this length class stands."""
        order, minus_tier = self._rules.get(job.queue) or self._learn_rule(job.queue)
        beyond = int(bool(job.caps) and self.is_beyond(job))
        place = self.promised.get(job.id)
        if place is not None and not beyond:
            return Rank(-job.priority, 0, minus_tier, OVERDUE, 0, place)
        line = self.lines.get(order, 0)
        if order is Order.FIFO:
            return Rank(-job.priority, beyond, minus_tier, line, 1, job.sequence)
        if order is Order.FAIR_SHARE:
            return Rank(-job.priority, beyond, minus_tier, line, 1, *self.claims.key((job.account, job.user)))
        waited_s = self.now - job.queued_at
        if waited_s > self._soonest_s and waited_s > self.patience_s(job.gpus, again=job.swapped > 0) and not beyond:
            return Rank(-job.priority, 0, minus_tier, OVERDUE, 1, job.sequence)
        if order is Order.DEADLINE:
            return Rank(-job.priority, beyond, minus_tier, line, 1, *due_place(job, length, self.now))
        return Rank(-job.priority, beyond, minus_tier, line, 1, score(typical_s(length), job.gpus, waited_s))

    @property
    def has_movers(self) -> bool:
        """Whether the place of any job may depend on what this very pass starts."""
        by_share = {self.policy.order, *(rule.order for rule in self.policy.queues.values())}
        return self.tally.has_quotas or Order.FAIR_SHARE in by_share

    def moves(self, job: QueuedJob) -> bool:
        """Say whether the job's place depends on what this very pass starts."""
        return (self.tally.has_quotas and bool(job.caps)) or self._order_in(job.queue) is Order.FAIR_SHARE

    def goes_by_share(self, job: QueuedJob, rank: Rank) -> bool:
        """Say whether its owner's share decides about the job at this rank."""
        return rank.line != OVERDUE and self._order_in(job.queue) is Order.FAIR_SHARE

    def is_beyond(self, job: QueuedJob) -> bool:
        """Say whether the job would exceed a quota, and so comes after all others of its priority.

        Nobody is promised what is only lent.
        """
        return bool(job.caps) and self.tally.beyond(job) is not None

    def waits_in_turn(self, job: QueuedJob) -> bool:
        """Say whether a job that a limit refuses has waited so long that nobody gets what is left of it before.

        Where age makes jobs overdue, that says it all.
        """
        return self.policy.order_in(job.queue) not in AGES and self.now - job.queued_at > LEAST_PATIENCE_S

    def take(self, job: QueuedJob) -> None:
        """Count a job that starts."""
        self.tally.take(job)
        self.claims.start((job.account, job.user), job.gpus)

    def patience_s(self, gpus: int, *, again: bool = False) -> float:
        """Return how long a job of this width may wait before it goes first; one that ran `again` longer."""
        known = self._patience_s.get(gpus)
        patience_s = self._work_out_patience(gpus) if known is None else known
        return AGAIN * patience_s if again else patience_s

    def is_overdue(self, job: QueuedJob) -> bool:
        """Say whether the job has waited longer than anyone should, where age makes jobs overdue."""
        waited_s = self.now - job.queued_at
        if waited_s <= self._soonest_s or waited_s <= self.patience_s(job.gpus, again=job.swapped > 0):
            return False
        return not self.is_beyond(job)

    def goes_by_deadline(self, queue: str) -> bool:
        """Say whether deadlines decide in a queue."""
        return self._order_in(queue) is Order.DEADLINE

    def promises(self, job: QueuedJob) -> bool:
        """Say whether an overdue job has waited so long that its start is promised, whatever is known of it."""
        return self.now - job.queued_at > PROMISED_AFTER * self._bound_s()

    def _work_out_patience(self, gpus: int) -> float:
        bound_s = self._bound_s(self._share_of(gpus))
        patience_s = max(EARLIEST * bound_s, bound_s - self._drain_s(gpus))
        self._patience_s[gpus] = patience_s
        return patience_s

    def _share_of(self, gpus: int) -> float:
        return WIDE_SHARE if gpus > WIDE_GPUS and self.policy.patience <= 1 else 1.0

    def _bound_s(self, share: float = 1.0) -> float:
        longest_s = self.standing.fifo_wait_s
        return math.inf if longest_s is None else max(LEAST_PATIENCE_S, self.policy.patience * share * longest_s)

    def _drain_s(self, gpus: int) -> float:
        """Return how long the nodes that a job may need take to empty: it has to go first so much earlier."""
        # Where room can be made at once, nobody has to wait for it.
        if not self.nodes or self.policy.swaps is not None:
            return 0.0
        if self._drains_s is None:
            self._drains_s = drains_s(self.nodes, self.now)
        drain_s = self._drains_s[min(-(-gpus // NODE_GPUS) or 1, len(self._drains_s)) - 1]
        return 0.0 if drain_s == math.inf else drain_s

    def _order_in(self, queue: str) -> Order:
        return (self._rules.get(queue) or self._learn_rule(queue))[0]

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

"""Which running jobs make room for a waiting one, where all of them can be stopped and started again.

Only what is played in the simulator is swapped so; it counts GPUs alone. The daemon preempts by preempt.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.gang import Gang, gang_of
from dcdaemon.scheduler.order import WIDTH_EXPONENT, Ranking
from dcdaemon.scheduler.progress import Ledger
from dcdaemon.scheduler.reserve import Guards
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import Hold, NodeSpace

#: A job is not stopped before it has run so long.
MIN_RUN_S = 1800.0
#: How often a job is stopped at most; and for one that is overdue.
MOST, MOST_FOR_OVERDUE = 5, 10
#: More work is not lost, unless for one that is overdue.
MOST_LOST_S = 300.0
#: What a swap costs, times this, must not exceed what it brings.
MARGIN = 1.5
#: So many jobs of a pass are tried in vain, of the overdue and of the others.
OVERDUE_TRIES, MOST_TRIES = 1, 8


class Found(NamedTuple):
    """Where the job goes, and how many GPUs it takes of each node; and who makes room for it."""

    places: tuple[tuple[NodeSpace, int], ...]
    victims: tuple[int, ...]


class _Offer(NamedTuple):
    cost: float
    position: int
    node: NodeSpace
    gpus: int
    victims: tuple[int, ...]


@dataclass(slots=True)
class Swaps:
    """The swaps of one pass; what is known of a running job does not change within it."""

    ledger: Ledger
    ranking: Ranking
    nodes: Sequence[NodeSpace]
    guards: Guards
    in_vain: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    #: How many GPUs each running job holds, and on how many nodes.
    width: dict[int, int] = field(init=False)
    spread: dict[int, int] = field(init=False)
    _left_s: dict[int, float] = field(default_factory=dict)
    _movable: dict[tuple[int, bool], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.width, self.spread = {}, {}
        for hold in (hold for node in self.nodes for hold in node.holds):
            self.width[hold.job_id] = self.width.get(hold.job_id, 0) + len(hold.gpus)
            self.spread[hold.job_id] = self.spread.get(hold.job_id, 0) + 1

    def exhausted(self, *, overdue: bool) -> bool:
        """Say whether enough jobs have been tried in vain."""
        return self.in_vain[overdue] >= (OVERDUE_TRIES if overdue else MOST_TRIES)

    def find(self, job: QueuedJob, shape: Shape, *, overdue: bool) -> Found | None:
        """Return the cheapest swap that lets the job start, None when none is worth it."""
        if self.exhausted(overdue=overdue):
            return None
        found = self._found(job, shape, overdue=overdue)
        self.in_vain[overdue] += found is None
        # Nobody is stopped twice in a pass.
        for victim in found.victims if found else ():
            self._movable[victim, True] = self._movable[victim, False] = False
        return found

    def _found(self, job: QueuedJob, shape: Shape, *, overdue: bool) -> Found | None:
        gang = gang_of(shape, self.nodes, self.guards.policy)
        run_s = self.ledger.left_s(self.ledger.jobs[job.id], self.ranking.now)
        asking = _Asking(run_s, _width(shape, gang, self.nodes), gang is not None, overdue)
        count = 1 if gang is None else gang.nodes
        offers = [
            offer
            for node in self.nodes
            if node.position not in self.guards.on
            and (offer := self._offer(node, shape.gpus if gang is None else gang.on(node).gpus, asking)) is not None
        ]
        best = nsmallest(count, offers, key=lambda offer: offer[:2])
        if len(best) < count:
            return None
        victims = tuple(dict.fromkeys(victim for offer in best for victim in offer.victims))
        if not overdue and MARGIN * sum(self._cost(victim, asking) for victim in victims) > 1:
            return None
        return Found(tuple((offer.node, offer.gpus) for offer in best), victims)

    def _offer(self, node: NodeSpace, need: int, asking: "_Asking") -> _Offer | None:
        """Return the cheapest way to so many GPUs of a node."""
        if need > len(node.usable):
            return None
        if len(node.free) >= need:
            return _Offer(0.0, node.position, node, need, ()) if asking.is_gang else None
        costs = [(self._cost_here(hold.job_id, asking), hold.job_id, hold) for hold in self._may_go(node, asking)]
        if len(node.free) + sum(len(hold.gpus) for _, _, hold in costs) < need:
            return None
        chosen = _fewest(sorted(costs, key=lambda found: found[:2]), need - len(node.free))
        cost = sum(cost for cost, _, _ in chosen)
        return _Offer(cost, node.position, node, need, tuple(job_id for _, job_id, _ in chosen))

    def _may_go(self, node: NodeSpace, asking: "_Asking") -> Iterable[Hold]:
        return (hold for hold in node.holds if self._is_movable(hold.job_id, overdue=asking.overdue))

    def _is_movable(self, job_id: int, *, overdue: bool) -> bool:
        known = self._movable.get((job_id, overdue))
        if known is None:
            known = self._movable[job_id, overdue] = self._works_long_enough(job_id, overdue=overdue)
        return known

    def _works_long_enough(self, job_id: int, *, overdue: bool) -> bool:
        """Say whether the job has run for a while, was not stopped too often, and has not waited too long itself."""
        progress, now = self.ledger.jobs[job_id], self.ranking.now
        if progress.started_at is None or now < progress.works_from or now - progress.started_at < MIN_RUN_S:
            return False
        if progress.preempted >= (MOST_FOR_OVERDUE if overdue else MOST):
            return False
        if not overdue and progress.unsaved_s(now) > MOST_LOST_S:
            return False
        return progress.waited_s(now) <= self.ranking.patience_s(self.width[job_id], again=True)

    def _cost_here(self, job_id: int, asking: "_Asking") -> float:
        cost = self._cost(job_id, asking)
        return cost / self.spread[job_id] if asking.is_gang else cost

    def _cost(self, job_id: int, asking: "_Asking") -> float:
        """Return what stopping this job costs, as a part of what the other one gains: see docs/scheduler.md."""
        progress, now, costs = self.ledger.jobs[job_id], self.ranking.now, self.ledger.costs
        left_s = self._left_s.get(job_id)
        if left_s is None:
            left_s = self._left_s[job_id] = self.ledger.left_s(progress, now)
        put_off_s = asking.run_s + costs.stop_s + costs.restart_s + progress.unsaved_s(now)
        return put_off_s / left_s * float(max(1.0, self.width[job_id] / asking.width) ** WIDTH_EXPONENT)


class _Asking(NamedTuple):
    """Who asks for room: how long it is thought to work, how many GPUs it takes, and whether it is overdue."""

    run_s: float
    width: int
    is_gang: bool
    overdue: bool


def _width(shape: Shape, gang: Gang | None, nodes: Sequence[NodeSpace]) -> int:
    return max(1, shape.gpus if gang is None else gang.nodes * max(len(node.usable) for node in nodes))


def _fewest(costs: Sequence[tuple[float, int, Hold]], need: int) -> list[tuple[float, int, Hold]]:
    """Return the cheapest that together hold so many GPUs, without those that the others make superfluous."""
    chosen, total = [], 0
    for found in costs:
        if total >= need:
            break
        chosen.append(found)
        total += len(found[2].gpus)
    for found in reversed(chosen.copy()):
        if total - len(found[2].gpus) >= need:
            chosen.remove(found)
            total -= len(found[2].gpus)
    return chosen

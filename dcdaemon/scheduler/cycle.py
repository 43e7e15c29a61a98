"""One scheduling pass: from a picture of the cluster and the queue to a plan, without doing anything."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from dcdaemon.core.plan import Part, Plan, Reservation, Start
from dcdaemon.core.view import ClusterView, QueuedJob, Standing
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.gang import could_hold
from dcdaemon.scheduler.order import OVERDUE, Ranking
from dcdaemon.scheduler.placement import Placement, place
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.reserve import Guards, reserve
from dcdaemon.scheduler.shape import Demand, Shape
from dcdaemon.scheduler.space import Hold, NodeSpace, spaces_of

#: How many overdue jobs are promised a start at a time.
MOST_PROMISES = 2


def plan(view: ClusterView, queue: QueueIndex, policy: Policy, now: float) -> Plan:
    """Decide which waiting jobs start now, and what is kept for those that have to wait."""
    # 1 view: what is free on each node, and what is left of each limit
    return plan_on(spaces_of(view), queue, policy, now, view.standing, Tally.of(view))


def plan_on(
    nodes: Sequence[NodeSpace],
    queue: QueueIndex,
    policy: Policy,
    now: float,
    standing: Standing | None = None,
    tally: Tally | None = None,
) -> Plan:
    """Decide the same on spaces that the caller keeps from pass to pass; what starts is taken from them."""
    # 2 order: higher priority first, then the overdue, then the order of the queue
    ranking = Ranking(policy, now, standing or Standing())
    cycle = _Cycle(nodes, policy, now, ranking, tally or Tally({}))
    walk = queue.walk(ranking)
    for job, shape, rank in walk:
        verdict = cycle.consider(job, shape, overdue=rank.line == OVERDUE)
        if verdict is _STOP:
            break
        if verdict is _SKIP:
            walk.skip_group()
    return Plan(tuple(cycle.starts), tuple(guard.reservation for guard in cycle.guards.all), now)


#: However short the job is.
_HOPELESS = [(0.0, 0.0)]


def anything_fits(queue: QueueIndex, nodes: Sequence[NodeSpace], policy: Policy) -> bool:
    """Say whether a pass could start anything at all; where nothing fits it need not be made."""
    return any(place(Shape(*demand, None), nodes, policy) is not None for demand in queue.demands)


_GO_ON, _SKIP, _STOP = "go on", "skip the group", "stop"


@dataclass(slots=True)
class _Cycle:
    """One pass: what has been handed out, what is kept, and what need not be tried again."""

    nodes: Sequence[NodeSpace]
    policy: Policy
    now: float
    ranking: Ranking
    tally: Tally
    guards: Guards = field(init=False)
    starts: list[Start] = field(default_factory=list)
    has_head: bool = False
    promises: int = 0
    tried_in_vain: int = 0
    #: Demand -> the limits and predictions refused. Space only shrinks, so a refusal stands for longer ones, for good.
    refused: dict[Demand, list[tuple[float, float]]] = field(default_factory=dict)
    holdable: dict[Demand, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guards = Guards(self.policy, self.now)

    def consider(self, job: QueuedJob, shape: Shape, *, overdue: bool) -> str:
        """Start the job, or keep something for it, or pass it over; tells how to go on."""
        overdue = overdue and self.promises < MOST_PROMISES
        if not overdue and self._was_refused(shape):
            return _SKIP if shape.limit_s is None or self.refused[shape.demand] is _HOPELESS else _GO_ON
        if not self.tally.allows(job):
            return _SKIP
        # 3 fit: whatever has room and harms nobody starts
        placement = place(shape, self.nodes, self.policy, self.guards if self.guards.all else None)
        if placement is not None:
            self._start(job, placement)
            return _GO_ON
        return self._wait(job, shape, overdue=overdue)

    def _wait(self, job: QueuedJob, shape: Shape, *, overdue: bool) -> str:
        # 4 reserve: for the overdue, and for the first of the others, the head
        if not self._could_hold(shape):
            # Only a repair or an operator makes room: a reservation nobody can keep would block all others.
            return _SKIP
        if overdue or not self.has_head:
            self._reserve(job, overdue=overdue)
            if not self.policy.backfill:
                return _STOP
        else:
            # 5 backfill: all others pass where they harm nobody
            self.tried_in_vain += 1
        self._refuse(shape)
        return _GO_ON if self.tried_in_vain < self.policy.backfill_depth else _STOP

    def _reserve(self, job: QueuedJob, *, overdue: bool) -> None:
        guard = reserve(job, self.nodes, self.guards, promised=self._promise_of(job), keep=overdue)
        if overdue:
            self.promises += 1
        else:
            self.has_head = True
        if guard is not None:
            self.guards.add(guard)

    def _promise_of(self, job: QueuedJob) -> Reservation | None:
        return next((kept for kept in self.ranking.standing.promises if kept.job_id == job.id), None)

    def _could_hold(self, shape: Shape) -> bool:
        known = self.holdable.get(shape.demand)
        if known is None:
            known = self.holdable[shape.demand] = could_hold(shape, self.nodes, self.policy)
        return known

    def _was_refused(self, shape: Shape) -> bool:
        refused = self.refused.get(shape.demand)
        if refused is None or refused is _HOPELESS:
            return refused is not None
        longest_s, predicted_s = _span(shape)
        return any(limit_s <= longest_s and run_s <= predicted_s for limit_s, run_s in refused)

    def _refuse(self, shape: Shape) -> None:
        if place(shape, self.nodes, self.policy) is None:
            self.refused[shape.demand] = _HOPELESS
        else:
            self.refused.setdefault(shape.demand, []).append(_span(shape))

    def _start(self, job: QueuedJob, placement: Placement) -> None:
        share, (first, *others) = placement.share, placement.parts
        self.guards.note(share, [part.node for part in placement.parts])
        self.tally.take(job)
        for node, gpus in placement.parts:
            ends_at = self.now + share.longest_s
            node.take(Hold(job.id, gpus, share.cpus, share.mem_bytes, ends_at, self.now, job.predicted_s))
        also = tuple(Part(node.name, gpus) for node, gpus in others)
        self.starts.append(Start(job.id, first.node.name, first.gpus, bool(self.guards.all), also))


def _span(shape: Shape) -> tuple[float, float]:
    return (shape.longest_s, math.inf if shape.predicted_s is None else shape.predicted_s)

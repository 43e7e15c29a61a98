"""One scheduling pass: from a picture of the cluster and the queue to a plan, without doing anything."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dcdaemon.core.booking import Booking
from dcdaemon.core.plan import Part, Plan, Reservation, Start, Swap
from dcdaemon.core.view import ClusterView, QueuedJob, Standing
from dcdaemon.scheduler.bookings import Closed, Windows
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.gang import could_hold
from dcdaemon.scheduler.group import GroupKey
from dcdaemon.scheduler.instances import gpu_of, name_of
from dcdaemon.scheduler.order import OVERDUE, Ranking
from dcdaemon.scheduler.placement import Placement, place
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.progress import Ledger
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.reserve import Guards, Terms, reserve
from dcdaemon.scheduler.shape import Demand, Shape
from dcdaemon.scheduler.space import Hold, NodeSpace, spaces_of
from dcdaemon.scheduler.swaps import Swaps
from dcdaemon.scheduler.swaps_space import make_room

#: For how many overdue jobs something is kept at a time.
MOST_STICKY = 1
#: The GPUs a job may have (None: all), what bookings close to it, and what it asks for.
_Need = tuple[frozenset[int] | None, Closed | None, Demand]


def plan(view: ClusterView, queue: QueueIndex, policy: Policy, now: float) -> Plan:
    """Decide which waiting jobs start now, and what is kept for those that have to wait."""
    # 1 view: what is free on each node, and what is left of each limit
    return pass_on(spaces_of(view), queue, policy, now, view.standing, Tally.of(view), view.bookings).plan


def pass_on(  # noqa: PLR0913  the parts of a view, for who keeps them from pass to pass
    nodes: Sequence[NodeSpace],
    queue: QueueIndex,
    policy: Policy,
    now: float,
    standing: Standing | None = None,
    tally: Tally | None = None,
    bookings: Iterable[Booking] = (),
    ledger: Ledger | None = None,
) -> "Pass":
    """Decide the same on spaces that the caller keeps from pass to pass: what starts is taken from them.

    The pass itself tells, beside its plan, who is kept off which GPUs and what is left. Jobs are swapped where the
    policy says so, and a ledger tells how far each has come.
    """
    # 2 order: higher priority first, then the overdue, then the order of the queue
    ranking = Ranking(policy, now, standing or Standing(), tally or Tally({}), nodes)
    for node in nodes:
        node.expect(ranking.standing.expect)
    windows = Windows(bookings, now)
    # An open booking is a small cluster of its own: those it is for are served there first, and nobody else ever.
    done: tuple[Pass, ...] = ()
    for booking in windows.open:
        done = (*done, _walked(Pass(nodes, policy, now, ranking, windows, booking, done), queue))
    made = Pass(nodes, policy, now, ranking, windows, None, done)
    if policy.swaps is not None and ledger is not None:
        made.swaps = Swaps(ledger, ranking, nodes, made.guards)
        made.is_full = not anything_fits(queue, nodes, policy)
    return _walked(made, queue)


def _walked(made: "Pass", queue: QueueIndex) -> "Pass":
    walk = queue.walk(made.ranking, None if made.inside is None else made.lets_in)
    for job, shape, rank in walk:
        if made.is_over:
            break
        verdict = made.consider(job, shape, overdue=rank.line == OVERDUE)
        if verdict is _STOP:
            break
        if verdict is _SKIP:
            walk.skip_group()
        elif verdict is _SKIP_ALIKE:
            walk.skip_alike()
    return made


#: However short the job is.
_HOPELESS = [(0.0, 0.0)]


def anything_fits(queue: QueueIndex, nodes: Sequence[NodeSpace], policy: Policy) -> bool:
    """Say whether a pass could start anything at all; where nothing fits it need not be made."""
    return any(place(Shape.endless(demand), nodes, policy) is not None for demand in queue.demands)


_GO_ON, _SKIP, _SKIP_ALIKE, _STOP = "go on", "skip the group", "skip what lasts no shorter", "stop"


@dataclass(slots=True)
class Pass:
    """One pass: what has been handed out, what is kept, and what need not be tried again."""

    nodes: Sequence[NodeSpace]
    policy: Policy
    now: float
    ranking: Ranking
    windows: Windows
    #: The open booking on whose GPUs this pass is, None where it is on all that is not booked now.
    inside: Booking | None = None
    #: The passes on GPUs of open bookings that came before this one.
    before: tuple["Pass", ...] = ()
    #: Jobs that started in them.
    started: frozenset[int] = field(init=False)
    guards: Guards = field(init=False)
    starts: list[Start] = field(default_factory=list)
    has_head: bool = False
    sticky: int = 0
    tried_in_vain: int = 0
    #: Need -> the limits and predictions refused. Space only shrinks, so a refusal stands for longer ones, for good.
    refused: dict[_Need, list[tuple[float, float]]] = field(default_factory=dict)
    holdable: dict[_Need, bool] = field(default_factory=dict)
    narrowed: dict[tuple[frozenset[int] | None, Closed | None, float], list[NodeSpace]] = field(default_factory=dict)
    swaps: Swaps | None = None
    swapped: list[Swap] = field(default_factory=list)
    #: Nothing that waits fits anywhere: only by swaps does anything start.
    is_full: bool = False

    def __post_init__(self) -> None:
        self.guards = Guards(self.policy, self.now)
        self.started = frozenset(start.job_id for one in self.before for start in one.starts)

    @property
    def plan(self) -> Plan:
        """What was decided."""
        passes = (*self.before, self)
        starts = tuple(start for one in passes for start in one.starts)
        kept = tuple(guard.reservation for one in reversed(passes) for guard in one.guards.all)
        return Plan(starts, kept, self.now, tuple(self.swapped))

    @property
    def is_over(self) -> bool:
        """Whether nothing can start any more: the machine is full, and enough swaps were tried in vain."""
        return self.is_full and self.has_head and self.swaps is not None and self.swaps.exhausted(overdue=False)

    def nodes_for(self, job: QueuedJob) -> Sequence[NodeSpace]:
        """Return the nodes as they are for this job; to look at."""
        shape = Shape.of(job)
        return self._nodes(self._need(job, shape), shape.longest_s)

    def consider(self, job: QueuedJob, shape: Shape, *, overdue: bool) -> str:
        """Start the job, or keep something for it, or pass it over; tells how to go on."""
        if self.windows.open and self._passes_by(job):
            return _GO_ON
        need = self._need(job, shape)
        if not (overdue and self.sticky < MOST_STICKY) and self._was_refused(need, shape):
            return _GO_ON if self._swap(job, shape, overdue=overdue) else self._like_others(need, shape)
        over = self.ranking.tally.refusing(job) if job.caps else None
        if over is not None:
            if (overdue or self.ranking.waits_in_turn(job)) and self._could_hold(need, shape):
                self.ranking.tally.close(over, job)
            return _SKIP
        # 3 fit: whatever has room and harms nobody starts
        nodes = self._nodes(need, shape.longest_s)
        placement = place(shape, nodes, self.policy, self.guards, self.now)
        if placement is not None:
            self._start(job, placement)
        elif not self._swap(job, shape, overdue=overdue):
            return self._wait(job, shape, need, overdue=overdue)
        return _GO_ON

    def _need(self, job: QueuedJob, shape: Shape) -> _Need:
        gpus = self.policy.gpus_of(job.queue) if self.inside is None else frozenset(self.inside.gpus)
        return gpus, self.windows.closed_to(job, self.inside), shape.demand

    def _passes_by(self, job: QueuedJob) -> bool:
        if job.id in self.started:
            return True
        return self.inside is not None and not (job.gpus and self.inside.admits(job.user, job.account))

    def lets_in(self, key: GroupKey) -> bool:
        """Say whether jobs of this group have a place on the GPUs of the open booking."""
        account, user = key.owner
        return self.inside is not None and key.demand[0] > 0 and self.inside.admits(user, account)

    def _wait(self, job: QueuedJob, shape: Shape, need: _Need, *, overdue: bool) -> str:
        # 4 reserve: for the first of the overdue, and for the first of the others, the head
        sticky = overdue and self.sticky < MOST_STICKY
        if not self._could_hold(need, shape):
            # Only a repair or an operator makes room: a reservation nobody can keep would block all others.
            return _SKIP
        if sticky or not (overdue or self.has_head):
            self._reserve(job, need, sticky=sticky)
            if not self.policy.backfill:
                return _STOP
        else:
            # 5 backfill: all others pass where they harm nobody
            self.tried_in_vain += 1
        self._refuse(need, shape)
        return _GO_ON if self.tried_in_vain < self.policy.backfill_depth else _STOP

    def _reserve(self, job: QueuedJob, need: _Need, *, sticky: bool) -> None:
        nodes = self._nodes(need, math.inf if job.limit_s is None else job.limit_s)
        # A promise holds everywhere: the window may be over before the job's turn comes.
        sticky = sticky and self.inside is None
        terms = Terms(sticky, sticky and self.ranking.promises(job), self._kept_for(job))
        guard = reserve(job, nodes, self.guards, terms)
        if terms.sticky:
            self.sticky += 1
        else:
            self.has_head = True
        if guard is not None:
            self.guards.add(guard)

    def _kept_for(self, job: QueuedJob) -> Reservation | None:
        return next((kept for kept in self.ranking.standing.kept if kept.job_id == job.id), None)

    def _nodes(self, need: _Need, longest_s: float) -> Sequence[NodeSpace]:
        """Return the nodes as they are for jobs that may have these GPUs only, and run so long."""
        gpus, closed, _ = need
        if gpus is None and closed is None:
            return self.nodes
        key = (gpus, closed, 0.0 if closed is None else longest_s)
        if key not in self.narrowed:
            there = [node for node in self.nodes if self.inside is None or node.name == self.inside.node]
            within = there if gpus is None else [node.only(gpus) for node in there]
            seen = within if closed is None else [closed.seen(node, self.now, longest_s) for node in within]
            self.narrowed[key] = seen
        return self.narrowed[key]

    def _could_hold(self, need: _Need, shape: Shape) -> bool:
        known = self.holdable.get(need)
        if known is None:
            known = self.holdable[need] = could_hold(shape, self._nodes(need, 0.0), self.policy)
        return known

    def _was_refused(self, need: _Need, shape: Shape) -> bool:
        refused = self.refused.get(need)
        if refused is None or refused is _HOPELESS:
            return refused is not None
        longest_s, predicted_s = _span(shape)
        return any(limit_s <= longest_s and run_s <= predicted_s for limit_s, run_s in refused)

    def _like_others(self, need: _Need, shape: Shape) -> str:
        """Return how to go on after what was refused before: in its group others may have shorter limits."""
        return _SKIP if shape.limit_s is None or self.refused[need] is _HOPELESS else _SKIP_ALIKE

    def _refuse(self, need: _Need, shape: Shape) -> None:
        if place(shape, self._nodes(need, 0.0), self.policy) is None:
            self.refused[need] = _HOPELESS
        else:
            self.refused.setdefault(need, []).append(_span(shape))

    def _start(self, job: QueuedJob, placement: Placement) -> None:
        share, (first, *others) = placement.share, placement.parts
        self.guards.note(share, [part.node for part in placement.parts])
        self.ranking.take(job)
        self.narrowed.clear()
        expect = self.ranking.standing.expect
        expected_s = job.predicted_s if expect is None or job.predicted_s is None else expect(job.predicted_s)
        for node, gpus in placement.parts:
            self.guards.ends.pop(node.position, None)
            ends_at = self.now + share.longest_s
            hold = Hold(
                job.id, gpus, share.cpus, share.mem_bytes, ends_at, self.now, job.predicted_s, share.gpu_mem_bytes,
                expected_s,
            )  # fmt: skip
            if self.swaps is not None:
                hold = self.swaps.ledger.hold(job, gpus, self.now, expect)
            self.nodes[node.position].take(hold)
        also = tuple(Part(node.name, gpus) for node, gpus in others)
        gpus = tuple(gpu_of(gpu) for gpu in first.gpus)
        instance = name_of(first.gpus[0]) if first.gpus else None
        self.starts.append(Start(job.id, first.node.name, gpus, bool(self.guards.all), also, instance))

    def _swap(self, job: QueuedJob, shape: Shape, *, overdue: bool) -> bool:
        """Let running jobs make room for this one, where that is worth it."""
        found = None if self.swaps is None else self.swaps.find(job, shape, overdue=overdue)
        if self.swaps is None or found is None:
            return False
        self.swapped.append(make_room(found, job, self.nodes, self.swaps.ledger, self.ranking))
        self.guards.ends.clear()
        return True


def _span(shape: Shape) -> tuple[float, float]:
    return (shape.longest_s, math.inf if shape.predicted_s is None else shape.predicted_s)

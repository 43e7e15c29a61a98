"""Tries changes out with the real pass, on spaces that are kept from trial to trial."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from dcdaemon.core.plan import Start
from dcdaemon.core.reasons import Unblock
from dcdaemon.core.view import CapKey, ClusterView, QueuedJob, RunningJob
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.cycle import pass_on
from dcdaemon.scheduler.nearest import seen_by
from dcdaemon.scheduler.placement import place
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import NodeSpace, spaces_of
from dcdaemon.scheduler.whatif import freed, restore

Kind = Literal["end", "skip", "restore", "first", "lift", "unbook"]


class Step(NamedTuple):
    """One change: a job ends or stands aside, a GPU takes work again, the job goes first, a limit or booking goes.

    `number` is a job's, or a booking's.
    """

    kind: Kind
    number: int = 0
    gpu: tuple[str, int] = ("", 0)
    limit: CapKey = ("", "")


def unblock_of(job: QueuedJob, steps: Sequence[Step]) -> Unblock:
    """Return the steps as a change, with what the job itself waits for taken away."""
    failed = () if job.failed_dependency is None else (job.failed_dependency,)
    waits_for = dict.fromkeys((*job.waits_for, *failed))
    return Unblock(
        end_jobs=tuple(step.number for step in steps if step.kind == "end"),
        skip_jobs=tuple(step.number for step in steps if step.kind == "skip"),
        finish_dependencies=tuple(job_id for job_id in waits_for if job_id not in {*job.waits_any, *job.waits_not_ok}),
        release=job.held,
        restore_gpus=tuple(step.gpu for step in steps if step.kind == "restore"),
        end_dependencies=job.waits_any,
        fail_dependencies=job.waits_not_ok,
        begin_at=job.begin_at,
        first=any(step.kind == "first" for step in steps),
        lift_limits=tuple(step.limit for step in steps if step.kind == "lift"),
        unbook=tuple(step.number for step in steps if step.kind == "unbook"),
    )


@dataclass(slots=True)
class Question:
    """What would start this job? `ahead` are the ready jobs before it, in order; what it waits for is taken as over."""

    view: ClusterView
    policy: Policy
    now: float
    job: QueuedJob
    ahead: Sequence[QueuedJob]
    spaces: list[NodeSpace] = field(init=False)
    tally: Tally = field(init=False)
    running_on: dict[str, list[RunningJob]] = field(default_factory=dict)
    nodes_of: dict[int, list[str]] = field(default_factory=dict)
    _line: QueueIndex | None = None

    def __post_init__(self) -> None:
        plain = unblock_of(self.job, ())
        self.ahead = [other for other in self.ahead if other.id not in plain.dependencies]
        self.job = freed(self.job, plain)
        self.spaces, self.tally = spaces_of(self.view), Tally.of(self.view)
        for running in self.view.running:
            self.running_on.setdefault(running.node, []).append(running)
            self.nodes_of.setdefault(running.id, []).append(running.node)

    def starts_after(self, change: Unblock) -> bool:
        """Say whether the job starts then; jobs behind it are left out, they have next to no say in it."""
        nodes, tally = list(self.spaces), self._tally_after(change)
        for position, space in self._changed(change):
            nodes[position] = space
        bookings = tuple(booking for booking in self.view.bookings if booking.id not in change.unbook)
        if change.first:
            # Nobody comes before it, and nothing is kept for anybody yet.
            seen = seen_by(self.job, nodes, replace(self.view, bookings=bookings), self.policy, self.now)
            return tally.allows(self.job) and place(Shape.of(self.job), seen, self.policy) is not None
        line = self._without(change.skip_jobs)
        decided = pass_on(nodes, line, self.policy, self.now, self.view.standing, tally, bookings).plan
        self._undo(decided.starts)
        return any(start.job_id == self.job.id for start in decided.starts)

    def _changed(self, change: Unblock) -> Iterable[tuple[int, NodeSpace]]:
        ended, restored = {*change.end_jobs, *change.dependencies}, frozenset(change.restore_gpus)
        touched = {node for job_id in ended for node in self.nodes_of.get(job_id, ())} | {node for node, _ in restored}
        for position, node in enumerate(self.view.nodes):
            if node.name in touched:
                left = tuple(job for job in self.running_on.get(node.name, ()) if job.id not in ended)
                [space] = spaces_of(ClusterView((restore(node, restored),), left))
                space.position = position
                yield position, space

    def _tally_after(self, change: Unblock) -> Tally:
        tally = self.tally.copy(change.lift_limits)
        if self.view.caps:
            for job_id in (*change.end_jobs, *change.dependencies):
                names = self.nodes_of.get(job_id, ())
                entries = (job for name in names for job in self.running_on[name] if job.id == job_id)
                for number, entry in enumerate(entries):
                    tally.give_back(entry, ends=number == 0)
        return tally

    def _without(self, skipped: Sequence[int]) -> QueueIndex:
        if self._line is None:
            self._line = QueueIndex([*self.ahead, self.job])
        return self._line.without(skipped) if skipped else self._line

    def _undo(self, starts: Iterable[Start]) -> None:
        """Take what started off the spaces that are kept; of those made for the trial nothing is left anyway."""
        started = {start.job_id: {start.node, *(part.node for part in start.also)} for start in starts}
        touched = frozenset().union(*started.values())
        for space in self.spaces:
            for job_id in [hold.job_id for hold in space.holds] if space.name in touched else ():
                if job_id in started:
                    space.give_back(job_id)

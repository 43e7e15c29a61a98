"""Finds a small set of changes after which plan() starts a job; every answer is tried out first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dcdaemon.core.reasons import Unblock
from dcdaemon.core.view import ClusterView, NodeView, QueuedJob
from dcdaemon.scheduler.capacity import blocked_of, shortfall
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shape import NOTHING, Shape, missing
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import cleared, freed

#: How many plans one question may cost; the search then gives the best answer so far.
MAX_TRIALS = 60
#: How many nodes are tried, those that lack least first.
MAX_NODES = 3
#: How many changes are tried each on its own.
MAX_SINGLES = 8
#: Longer answers are cut down in parts of this share only: nobody reads which of 1,000 jobs is one too many.
FINEST_PART = 8

Kind = Literal["end", "skip", "restore"]


class Step(NamedTuple):
    """One change: a running job ends, a job ahead stands aside, or a GPU takes work again."""

    kind: Kind
    job_id: int = 0
    gpu: tuple[str, int] = ("", 0)


#: Which kinds of change are tried together; of answers as short as each other the earlier one is given.
_STRATEGIES: tuple[tuple[Kind, ...], ...] = (
    ("end",),
    ("skip",),
    ("restore",),
    ("end", "skip"),
    ("end", "skip", "restore"),
)


class _Trials:
    """Tries changes out with the real plan(), a bounded number of times."""

    def __init__(self, question: "_Question") -> None:
        self._question = question
        self._left = MAX_TRIALS
        # Jobs behind this one have no say in whether it starts.
        self._line = QueueIndex([*question.ahead, freed(question.job, _unblock(question.job, ()))])

    def start_with(self, steps: Sequence[Step]) -> bool:
        """Say whether the job starts after these steps; False when the trials are used up."""
        if self._left <= 0:
            return False
        self._left -= 1
        asked = self._question
        change = _unblock(asked.job, steps)
        line = self._without(change.skip_jobs) if change.skip_jobs else self._line
        decided = plan(cleared(asked.view, change), line, asked.policy, asked.now)
        return any(start.job_id == asked.job.id for start in decided.starts)

    def _without(self, skipped: Sequence[int]) -> QueueIndex:
        if 2 * len(skipped) < len(self._line):
            return self._line.without(skipped)
        gone = frozenset(skipped)
        return QueueIndex(job for job in self._line if job.id not in gone)


@dataclass(frozen=True, slots=True)
class _Question:
    """What would start this job? `ahead` are the ready jobs before it, in order."""

    view: ClusterView
    policy: Policy
    now: float
    job: QueuedJob
    ahead: list[QueuedJob]


def find_unblock(view: ClusterView, queue: QueueIndex, policy: Policy, now: float, job: QueuedJob) -> Unblock:
    """Return changes after which the job starts now; without steps when it starts anyway or never fits."""
    question = _Question(view, policy, now, job, queue.ahead_of(job, Ranking(policy, now, view.standing)))
    trials = _Trials(question)
    nodes = _nearest_nodes(view, Shape.of(job))
    if not nodes or trials.start_with(()):
        return _unblock(job, ())
    everything = [_all_steps(question, node) for node in nodes]
    # All of it together on one node always works: the job is first in line and the node is empty.
    best = everything[0]
    for steps in _candidates(everything):
        if len(best) == 1:
            break
        if trials.start_with(steps):
            best = min(best, _shrink(steps, trials), key=len)
    return _unblock(job, best)


def _nearest_nodes(view: ClusterView, shape: Shape) -> list[NodeView]:
    """Return the nodes that could hold the shape, those that need the least change first."""
    ranked = []
    for node, space in zip(view.nodes, spaces_of(view), strict=True):
        if shortfall(shape, node) == NOTHING:
            to_restore = missing(shape, len(space.usable), space.cpus_total, space.mem_total_bytes)
            ranked.append(((to_restore, space.lacking(shape), space.position), node))
    return [node for _, node in sorted(ranked, key=lambda pair: pair[0])[:MAX_NODES]]


def _all_steps(question: _Question, node: NodeView) -> list[Step]:
    """Return every change that could help on this node, those to keep first: earliest ends, first in line."""
    running = sorted(
        (other for other in question.view.running if other.node == node.name),
        key=lambda other: (other.ends_at is None, other.ends_at, other.id),
    )
    return [
        *(Step("restore", gpu=(node.name, gpu.index)) for gpu in blocked_of(node)),
        *(Step("end", other.id) for other in running),
        *(Step("skip", other.id) for other in question.ahead),
    ]


def _candidates(everything: Iterable[list[Step]]) -> Iterator[list[Step]]:
    """Yield every mix of changes worth trying, once."""
    seen: list[list[Step]] = []
    for kinds in _STRATEGIES:
        for steps in everything:
            chosen = [step for step in steps if step.kind in kinds]
            if chosen and chosen not in seen:
                seen.append(chosen)
                yield chosen


def _shrink(steps: list[Step], trials: _Trials) -> list[Step]:
    """Return steps of these that still start the job: a single one if that will do, else those needed."""
    for step in steps[:MAX_SINGLES]:
        if len(steps) > 1 and trials.start_with([step]):
            return [step]
    part = (len(steps) + 1) // 2
    while part >= max(1, len(steps) // FINEST_PART) and len(steps) > 1:
        steps = _drop_parts(steps, part, trials)
        part //= 2
    return steps


def _drop_parts(steps: list[Step], part: int, trials: _Trials) -> list[Step]:
    """Return the steps without the parts not needed; from the end, as what is best kept stands first."""
    for end in range(len(steps), 0, -part):
        rest = steps[: max(0, end - part)] + steps[end:]
        if trials.start_with(rest):
            steps = rest
    return steps


def _unblock(job: QueuedJob, steps: Sequence[Step]) -> Unblock:
    failed = () if job.failed_dependency is None else (job.failed_dependency,)
    return Unblock(
        end_jobs=tuple(step.job_id for step in steps if step.kind == "end"),
        skip_jobs=tuple(step.job_id for step in steps if step.kind == "skip"),
        finish_dependencies=(*job.waits_for, *(other for other in failed if other not in job.waits_for)),
        release=job.held,
        restore_gpus=tuple(step.gpu for step in steps if step.kind == "restore"),
    )

"""Finds a small set of changes after which plan() starts a job; every answer is tried out first."""

from collections.abc import Iterable, Iterator, Sequence

from dcdaemon.core.reasons import Unblock
from dcdaemon.core.view import CapKey, ClusterView, QueuedJob, RunningJob
from dcdaemon.scheduler.capacity import blocked_of
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.nearest import nearest_if_open, seen_by
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.trials import Kind, Question, Step, unblock_of
from dcdaemon.scheduler.whatif import all_open, apply

#: How many passes one question may cost; the search then gives the best answer so far.
MAX_TRIALS = 60
#: Behind more jobs it is asked only what would start the job if it went first: nobody moves 1,000 jobs aside.
LONG_LINE = 100
#: How many nodes are tried, those that lack least first.
MAX_NODES = 3
#: How many changes are tried each on its own.
MAX_SINGLES = 8
#: Longer answers are cut down in parts of this share only: nobody reads which of 1,000 jobs is one too many.
FINEST_PART = 8

#: Which kinds of change are tried together; of answers as short as each other the earlier one is given.
_IN_LINE: tuple[tuple[Kind, ...], ...] = (
    ("end",), ("skip",), ("restore",), ("end", "skip"), ("restore", "end", "skip"),
)  # fmt: skip
_AT_THE_FRONT: tuple[tuple[Kind, ...], ...] = ((), ("end",), ("restore",), ("restore", "end"))
#: Tried where nothing else will do.
_BEYOND_LIMITS: tuple[tuple[Kind, ...], ...] = (("lift",), ("unbook",), ("lift", "unbook", "restore", "end"))
_FIRST = Step("first")


def find_unblock(
    view: ClusterView, queue: QueueIndex, policy: Policy, now: float, job: QueuedJob, ahead: Sequence[QueuedJob]
) -> Unblock:
    """Return changes after which the job starts now; without steps when it starts anyway or never fits.

    `ahead` are the ready jobs before it; a ready job is one that does not start as things are.
    """

    def is_answer(steps: Sequence[Step]) -> bool:
        changed = apply(view, queue, unblock_of(job, steps), job.id)
        return any(start.job_id == job.id for start in plan(*changed, policy, now).starts)

    question = Question(view, policy, now, job, ahead)
    targets = _targets(question)
    if not targets or (not is_ready(job) and is_answer(())):
        return unblock_of(job, ())
    found = sorted(_search(question, job, targets), key=len)
    # Jobs behind this one are left out of the trials; they may come before it when a limit or a share moves them.
    last_resorts = ([_FIRST, *steps] for steps in (targets[0], _everything(question)))
    return unblock_of(job, next(steps for steps in (*found, *last_resorts) if is_answer(steps)))


class _Trials:
    """A bounded number of trials."""

    def __init__(self, question: Question, job: QueuedJob) -> None:
        self._question, self._job = question, job
        self._left = MAX_TRIALS

    def start_with(self, steps: Sequence[Step]) -> bool:
        """Say whether the job starts after these steps; False when the trials are used up."""
        self._left -= 1
        return self._left >= 0 and self._question.starts_after(unblock_of(self._job, steps))


def _search(question: Question, job: QueuedJob, targets: Sequence[list[Step]]) -> list[list[Step]]:
    """Return answers that a trial bore out; none is looked for behind one of a single step."""
    found: list[list[Step]] = []
    in_line = _IN_LINE if len(question.ahead) <= LONG_LINE else ()
    beyond = _BEYOND_LIMITS if in_line else ()
    for fixed, strategies in (
        ([], in_line), ([_FIRST], _AT_THE_FRONT), ([], beyond), ([_FIRST], _BEYOND_LIMITS)
    ):  # fmt: skip
        trials = _Trials(question, job)
        if strategies is _BEYOND_LIMITS and found:
            break
        for steps in _mixes(strategies, targets):
            if trials.start_with([*fixed, *steps]):
                found.append(_shrunk(fixed, steps, trials))
            if found and len(found[-1]) == 1:
                return found
    return found


def _mixes(strategies: Iterable[tuple[Kind, ...]], targets: Iterable[list[Step]]) -> Iterator[list[Step]]:
    """Yield every mix of changes worth trying, once."""
    seen: list[list[Step]] = []
    for kinds in strategies:
        for steps in targets:
            chosen = [step for step in steps if step.kind in kinds]
            if (chosen or not kinds) and chosen not in seen:
                seen.append(chosen)
                yield chosen


def _shrunk(fixed: list[Step], steps: list[Step], trials: _Trials) -> list[Step]:
    """Return the fixed steps and of the others a single one if that will do, else those needed."""
    for step in steps[:MAX_SINGLES]:
        if len(steps) > 1 and trials.start_with([*fixed, step]):
            return [*fixed, step]
    part = (len(steps) + 1) // 2
    while part >= max(1, len(steps) // FINEST_PART) and len(steps) > 1:
        steps = _drop_parts(fixed, steps, part, trials)
        part //= 2
    return [*fixed, *steps]


def _drop_parts(fixed: list[Step], steps: list[Step], part: int, trials: _Trials) -> list[Step]:
    """Return the steps without the parts not needed; from the end, as what is best kept stands first."""
    for end in range(len(steps), 0, -part):
        rest = steps[: max(0, end - part)] + steps[end:]
        if trials.start_with([*fixed, *rest]):
            steps = rest
    return steps


def _targets(question: Question) -> list[list[Step]]:
    """Return every change that could help, for each of the places where the job lacks least."""
    asked, opened = question, spaces_of(all_open(question.view))
    seen, seen_open = (
        seen_by(asked.job, spaces, asked.view, asked.policy, asked.now) for spaces in (asked.spaces, opened)
    )
    places = nearest_if_open(Shape.of(asked.job), seen, seen_open, asked.policy, MAX_NODES)
    return [_all_steps(asked, [space.name for space in place.spaces]) for place in places]


def _everything(question: Question) -> list[Step]:
    return _all_steps(question, [node.name for node in question.view.nodes])


def _all_steps(question: Question, names: Sequence[str]) -> list[Step]:
    """Return every change on these nodes, those to keep first: repairs, the earliest ends, the first in line."""
    limits = _refusing(question)
    own = [job for job in question.view.running if not limits.isdisjoint(job.caps)] if limits else []
    here = sorted((job for name in names for job in question.running_on.get(name, ())), key=_by_end)
    ends = dict.fromkeys(job.id for job in (*sorted(own, key=_by_end), *here))
    nodes = [node for node in question.view.nodes if node.name in names]
    return [
        *(Step("lift", limit=key) for key in sorted(limits)),
        *(Step("unbook", booking.id) for booking in question.view.bookings),
        *(Step("restore", gpu=(node.name, gpu.index)) for node in nodes for gpu in blocked_of(node)),
        *(Step("end", job_id) for job_id in ends),
        *(Step("skip", other.id) for other in question.ahead),
    ]


def _refusing(question: Question) -> set[CapKey]:
    """Return the limits that keep the job from starting, whatever else changes."""
    refusing: set[CapKey] = set()
    while (over := question.tally.copy(refusing).refusing(question.job)) is not None:
        refusing.add(over.key)
    return refusing


def _by_end(job: RunningJob) -> tuple[bool, float, int]:
    return job.ends_at is None, job.ends_at or 0.0, job.id

"""Update: what a waiting job asked for, changed before it starts, and checked as a submit is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dcdaemon.control.deadline import check_deadline
from dcdaemon.control.desk import Desk
from dcdaemon.control.queues import admit
from dcdaemon.control.submit import check_place, check_priority, check_signal
from dcdaemon.control.together import Changed, change_all
from dcdaemon.control.wish import Wish, check_wish
from dcdaemon.core.errors import BadInput, Refused
from dcdaemon.core.job import UNFINISHED, Job, JobSpec, JobState
from dcdaemon.core.ports import Actor

MAX_PRIORITY = 100
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Update:
    """What is to be different; None leaves it as it is. Times are epoch seconds; a begin time of the past is none.

    With `first` the job goes before all others that wait.
    """

    priority: int | None = None
    limit_s: float | None = None
    queue: str | None = None
    account: str | None = None
    begin_at: float | None = None
    deadline_at: float | None = None
    name: str | None = None
    first: bool = False

    @property
    def moves(self) -> bool:
        """Whether another queue has to take the job, or the same one on other terms."""
        return (self.queue, self.account, self.limit_s) != (None, None, None)

    @property
    def times(self) -> bool:
        """Whether the deadline has to be looked at again."""
        return (self.begin_at, self.deadline_at, self.limit_s) != (None, None, None)


def update_all(desk: Desk, actor: Actor, job_ids: Sequence[int], wanted: Update) -> Changed:
    """Change waiting jobs; raise BadInput where nothing is to be changed, or Refused where nobody can be first."""
    if wanted == Update():
        raise BadInput("there is nothing to change", "say what: dcd update 42 -p 60, or -t 2h, -Q night, --first")
    if wanted.first and wanted.priority is not None:
        raise BadInput("--first is a priority of its own", "leave -p out, or --first")
    if wanted.first:
        wanted = replace(wanted, priority=_before_all(desk, job_ids))
    return change_all(desk, actor, job_ids, "update", lambda job: _updated(desk, actor, job, wanted))


def _before_all(desk: Desk, job_ids: Sequence[int]) -> int:
    others = (job for job in desk.book.unfinished() if job.state is JobState.WAITING and job.id not in set(job_ids))
    top = max(others, key=lambda job: job.priority, default=None)
    if top is None:
        return 0
    if top.priority >= MAX_PRIORITY:
        raise Refused(f"job {top.id} waits with the highest priority there is", f"dcd update {top.id} -p 99 lowers it")
    return top.priority + 1


def _updated(desk: Desk, actor: Actor, job: Job, wanted: Update) -> Job:
    if job.state is not JobState.WAITING:
        stands = f"is {job.state}" if job.state in UNFINISHED else f"has ended ({job.state})"
        raise Refused(f"job {job.id} {stands}; only a waiting job can be changed", f"dcd show {job.id}")
    priority = job.priority
    if wanted.priority is not None:
        priority = max(priority, wanted.priority) if wanted.first else wanted.priority
    if priority != job.priority:
        check_priority(actor, priority)
    spec = _spec(desk, actor, job.spec, wanted)
    [expected] = desk.predictions.of([spec])
    return replace(
        job, spec=spec, priority=priority, version=job.version + 1, predicted_s=expected.run_s,
        predicted_by=expected.by.value, forecast_at=None, forecast_low_at=None, forecast_high_at=None,
    )  # fmt: skip


def _spec(desk: Desk, actor: Actor, spec: JobSpec, wanted: Update) -> JobSpec:
    now = desk.clock.now()
    wish = _wish(spec, wanted)
    check_wish(wish)
    if wanted.times and (wanted.deadline_at is not None or (spec.deadline_at or 0.0) > now):
        check_deadline(wish, now)
    later = wish.begin_at is not None and wish.begin_at > now
    changed = replace(
        spec, name=wish.name or spec.name, begin_at=wish.begin_at if later else None, deadline_at=wish.deadline_at
    )
    if not wanted.moves:
        return changed
    # Whose job it is decides which accounts and queues take it; an operator may do for others what he may do himself.
    owner = Actor(uid=spec.uid, gid=spec.gid, user=spec.user, operator=actor.operator)
    admission = admit(desk, owner, wish)
    check_signal(spec.checkpoint_s, admission.limit_s)
    changed = replace(
        changed, limit_s=admission.limit_s, queue=admission.queue, account=admission.account,
        preemptible=admission.preemptible,
    )  # fmt: skip
    check_place(desk, changed)
    return changed


def _wish(spec: JobSpec, wanted: Update) -> Wish:
    """Return what would be asked for if the job were submitted now."""

    def given(new: Value | None, old: Value) -> Value:
        return old if new is None else new

    return Wish(
        argv=spec.argv, cwd=spec.cwd, name=given(wanted.name, spec.name), gpus=spec.gpus, cpus=spec.cpus,
        mem_bytes=spec.mem_bytes, limit_s=given(wanted.limit_s, spec.limit_s), grace_s=spec.grace_s,
        priority=given(wanted.priority, spec.priority), log_path=spec.log_path, requeue=spec.requeue,
        queue=given(wanted.queue, spec.queue), account=given(wanted.account, spec.account),
        begin_at=given(wanted.begin_at, spec.begin_at), deadline_at=given(wanted.deadline_at, spec.deadline_at),
        gpu_mem_bytes=spec.gpu_mem_bytes, checkpoint_signal=spec.checkpoint_signal, checkpoint_s=spec.checkpoint_s,
        launcher=spec.launcher, ranks=spec.ranks, hang_after_s=spec.hang_after_s,
    )  # fmt: skip

"""What each queue gives and holds, and what one user uses and may use of it all."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.ports import Actor
from dcdaemon.core.view import CapKey, RunningJob
from dcdaemon.scheduler.caps import COUNTS_JOBS, Tally, gpu_size, owner_of
from dcdaemon.scheduler.policy import Order
from dcdaemon.scheduler.queues import Queue


@dataclass(frozen=True, slots=True)
class Load:
    """How many jobs run and wait, on or for how many GPUs; one that several share counts once, one to share as one."""

    running_jobs: int
    running_gpus: int
    waiting_jobs: int
    waiting_gpus: int

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> "Load":
        """Count unfinished jobs."""
        known = list(jobs)
        waiting = [job for job in known if job.state is JobState.WAITING]
        running = [job for job in known if job.state is not JobState.WAITING]
        return cls(len(running), len(gpus_held(running)), len(waiting), sum(job.spec.gpus for job in waiting))


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One queue as a caller sees it; `missing` are GPUs that are configured and not there."""

    queue: Queue
    default: bool
    order: Order
    gpus: list[int]
    missing: list[int]
    default_limit_s: float | None
    load: Load
    yours: Load
    admits_you: bool


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit or quota of a user: whose it is in words, what counts against it, GPUs or jobs."""

    kind: str
    owner: str
    used: float
    most: int
    counts: str


@dataclass(frozen=True, slots=True)
class YourUse:
    """What a user uses and may use; `lent_gpus` are those beyond a quota, which can be recalled."""

    user: str
    accounts: list[str]
    gpus: int
    lent_gpus: int
    limits: list[LimitLine]


def queue_lines(desk: Desk, actor: Actor) -> list[QueueLine]:
    """Return the queues in the order of the configuration."""
    sharing, jobs = desk.book.sharing, desk.book.unfinished()
    by_queue: dict[str, list[Job]] = {name: [] for name in sharing.queues}
    for job in jobs:
        by_queue[sharing.queue(job.spec.queue).name].append(job)
    return [_line(desk, actor, queue, by_queue[queue.name]) for queue in sharing.queues.values()]


def gone(desk: Desk) -> list[tuple[str, int]]:
    """Return the queues of unfinished jobs that are not configured any more, with how many jobs those are."""
    known = {"", *desk.book.sharing.queues}
    return sorted(Counter(job.spec.queue for job in desk.book.unfinished() if job.spec.queue not in known).items())


def your_use(desk: Desk, actor: Actor) -> YourUse:
    """Return what the caller uses, and all limits that may count a job of theirs."""
    sharing, view, lent = desk.book.sharing, desk.book.view(), desk.book.lent()
    accounts = sharing.accounts_of(actor.user)
    most = {
        key: sharing.most(key) or 0
        for account in accounts or [""]
        for name in sharing.queues
        for key in sharing.caps_of(actor.user, account, name)
    }
    tally = Tally(most, view.running, gpu_size(view))
    mine = [job for job in view.running if job.user == actor.user]
    return YourUse(
        user=actor.user, accounts=accounts, gpus=len(gpus_held(mine)),
        lent_gpus=len(gpus_held(job for job in mine if job.id in lent)),
        limits=[_limit(key, tally, cap) for key, cap in most.items()],
    )  # fmt: skip


def gpus_held(jobs: Iterable[Job | RunningJob]) -> set[tuple[str, int]]:
    """Return the GPUs of these jobs, by node: one that several have a part or an instance of is one."""
    return {(job.node, gpu) for job in jobs for gpu in job.gpus}


def deciding_queues(desk: Desk) -> list[str]:
    """Return the queues that go by fair-share."""
    return [name for name in desk.book.sharing.queues if desk.policy.order_in(name) is Order.FAIR_SHARE]


def _line(desk: Desk, actor: Actor, queue: Queue, jobs: list[Job]) -> QueueLine:
    there = [slot.index for slot in desk.book.node.gpus]
    accounts = desk.book.sharing.accounts_of(actor.user) or [""]
    return QueueLine(
        queue=queue, default=queue.name == desk.book.sharing.default, order=desk.policy.order_in(queue.name),
        gpus=[index for index in there if queue.gpus is None or index in queue.gpus],
        missing=sorted((queue.gpus or frozenset()).difference(there)),
        default_limit_s=queue.limit_for(None, desk.rules.default_limit_s),
        load=Load.of(jobs), yours=Load.of(job for job in jobs if job.spec.uid == actor.uid),
        admits_you=actor.operator or any(queue.admits(actor.user, account) for account in accounts),
    )  # fmt: skip


def _limit(key: CapKey, tally: Tally, most: int) -> LimitLine:
    counts = "jobs" if key[0] in COUNTS_JOBS else "gpus"
    return LimitLine(str(key[0]), owner_of(key), round(tally.used(key), 3), most, counts)

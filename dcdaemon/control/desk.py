"""What all use cases share: the store, the engine, the queue in memory, and the rules of this node."""

import pwd
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dcdaemon.control.attempts import Attempts
from dcdaemon.control.board import Board
from dcdaemon.control.book import Book
from dcdaemon.control.forecasts import Forecasts
from dcdaemon.control.ports import Ports
from dcdaemon.control.predictions import Predictions
from dcdaemon.control.reports import ReportReader
from dcdaemon.core.access import Visibility
from dcdaemon.core.errors import Forbidden, NotFound, Refused
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor, Clock, Engine, EnvKeeper, GpuSource, JobChange, Store
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.policy import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """What this node grants: whose jobs it can run, and the defaults of a job."""

    daemon_uid: int
    default_limit_s: float | None = None
    grace_s: float = 30.0
    operators: frozenset[str] = frozenset()
    jobs_per_user: int = 10_000
    visibility: Visibility = Visibility.MASKED


def login_exists(user: str) -> bool:
    """Say whether the system knows a user of this name."""
    try:
        pwd.getpwnam(user)
    except (KeyError, ValueError):
        return False
    return True


def login_of(user: str) -> tuple[int, int] | None:
    """Return uid and gid of a user of this system; None when there is none of this name."""
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        return None
    return entry.pw_uid, entry.pw_gid


@dataclass
class Desk:
    """Everything a use case needs, passed as one value; made once by the composition root."""

    node: str
    store: Store
    engine: Engine
    envs: EnvKeeper
    book: Book
    board: Board
    clock: Clock
    policy: Policy
    rules: Rules
    reports: ReportReader
    wake: Callable[[], None]
    #: Told of every job that changed, after the change is durable.
    listeners: list[Callable[[Job], None]] = field(default_factory=list)
    gpus: tuple[GpuInfo, ...] = ()
    #: What the scheduler remembers from plan to plan.
    memory: Memory = field(default_factory=Memory)
    #: How long jobs run, learned from those that have ended.
    predictions: Predictions = field(default_factory=Predictions)
    #: How well it was foretold when jobs start.
    forecasts: Forecasts = field(default_factory=Forecasts)
    #: Where the GPUs are read, to have the driver let go of.
    source: GpuSource | None = None
    #: Whether somebody of this name can log in here.
    is_login: Callable[[str], bool] = login_exists
    #: The uid and gid of a user of this name.
    login_of: Callable[[str], tuple[int, int] | None] = login_of
    #: Hashes of the tokens revoked since the start, for answers that had begun by then.
    revoked: set[str] = field(default_factory=set)
    #: Who came without a good token.
    attempts: Attempts = field(default_factory=Attempts)
    #: Where the ranks of distributed jobs find each other.
    ports: Ports = field(default_factory=Ports)
    #: Held while GPUs are given to jobs, and while they are booked.
    granting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def gpus_simulated(self) -> bool:
        """Whether this node's GPUs are pretend ones."""
        return any(gpu.simulated for gpu in self.gpus)

    def gpu_uuids(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Return the UUIDs of these GPUs, in the same order."""
        by_index = {gpu.index: gpu.uuid for gpu in self.gpus}
        return tuple(by_index.get(index, "") for index in indices)

    def instance_uuid(self, indices: Sequence[int], name: str) -> str | None:
        """Return the UUID of a MIG instance of these GPUs, None when there is no such one, as far as is known."""
        migs = (*self.board.gpus.migs, *self.board.gpus.unread)
        return next((mig.uuid for mig in migs if mig.gpu in indices and mig.instance == name), None)

    def gpu_minors(self, indices: Sequence[int]) -> tuple[int | None, ...]:
        """Return the numbers of these GPUs' device nodes, None for unknown ones; none at all for pretend GPUs."""
        if self.gpus_simulated:
            return ()
        by_index = {gpu.index: gpu.minor for gpu in self.gpus}
        return tuple(by_index.get(index) for index in indices)

    def take(self, jobs: Sequence[Job]) -> None:
        """Take stored values of jobs into the book, together with where the jobs they wait for stand."""
        # Under the lock, or a job that ends between the question and the answer would stay unknown.
        with self.book.lock:
            self._learn(jobs)
            self.book.put_all(self._learned(jobs))

    def _learned(self, jobs: Iterable[Job]) -> Iterator[Job]:
        for job in jobs:
            # Once more: a job that ended and runs again was forgotten in between, with what it waited for.
            self._learn([job])
            yield job

    def _learn(self, jobs: Sequence[Job]) -> None:
        unknown = self.book.dependencies_of(jobs)
        if unknown:
            self.book.learn(self.store.fates(unknown))

    def settle(self, jobs: Sequence[Job]) -> None:
        """Take durable new values of jobs into the book, tell the listeners, wake the scheduler."""
        self.take(jobs)
        for job in jobs:
            for listener in self.listeners:
                listener(job)
        self.wake()

    def refresh_reports(self) -> int:
        """Take in what active jobs reported since the last time; returns how many had news."""
        changes = []
        for job in self.book.active():
            values = self.reports.collect(job)
            if any(job.reported.get(name, ...) != value for name, value in values.items()):
                changes.append(JobChange(job, job.with_report(values), self.clock.now()))
        for saved in self.store.save(changes) if changes else []:
            if saved is not None:
                self.book.put(saved)
        return len(changes)

    def is_operator(self, uid: int, user: str) -> bool:
        """Say whether a user may act on everything here: root, the daemon's own, and those who are configured."""
        return uid in {0, self.rules.daemon_uid} or user in self.rules.operators

    def owns(self, actor: Actor, job: Job) -> bool:
        """Say whether a job is the actor's as far as rights go: its own, or any for an operator."""
        return actor.operator or actor.uid == job.spec.uid

    def may_see(self, actor: Actor, job: Job) -> bool:
        """Say whether the actor may know that there is this job."""
        return self.rules.visibility is not Visibility.OWN or self.owns(actor, job)

    def may_see_details(self, actor: Actor, job: Job) -> bool:
        """Say whether the actor may know what the job runs and how it ended."""
        return self.rules.visibility is Visibility.ALL or self.owns(actor, job)

    def check_rights(self, actor: Actor, job: Job, verb: str) -> None:
        """Raise Forbidden unless the job is the actor's own or the actor is an operator; Refused on another node.

        A job that the actor may not even know of is not found.
        """
        if not self.may_see(actor, job):
            raise no_such_job(job.id)
        if job.node != self.node:
            raise Refused(f"job {job.id} is node {job.node}'s; this is {self.node}", f"ask the daemon on {job.node}")
        if self.owns(actor, job):
            return
        raise Forbidden(
            f"job {job.id} belongs to {job.spec.user}; {actor.user} may not {verb} it",
            "ask its owner or an operator of this node",
        )


def no_such_job(job_id: object) -> NotFound:
    """Return the error for a job that is not there, or not there for the one who asks: both read the same."""
    return NotFound(f"there is no job {job_id}", "dcd ps -a lists all jobs")

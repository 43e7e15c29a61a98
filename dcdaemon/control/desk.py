"""What all use cases share: the store, the engine, the queue in memory, and the rules of this node."""

import pwd
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dcdaemon.control.board import Board
from dcdaemon.control.book import Book
from dcdaemon.control.forecasts import Forecasts
from dcdaemon.control.predictions import Predictions
from dcdaemon.control.reports import ReportReader
from dcdaemon.core.errors import Forbidden, Refused
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


def login_exists(user: str) -> bool:
    """Say whether the system knows a user of this name."""
    try:
        pwd.getpwnam(user)
    except (KeyError, ValueError):
        return False
    return True


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

    def take(self, jobs: Sequence[Job]) -> None:
        """Take stored values of jobs into the book, together with where the jobs they wait for stand."""
        # Under the lock, or a job that ends between the question and the answer would stay unknown.
        with self.book.lock:
            self._learn(jobs)
            for job in jobs:
                # Once more: a job that ended and runs again was forgotten in between, with what it waited for.
                self._learn([job])
                self.book.put(job)

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

    def check_rights(self, actor: Actor, job: Job, verb: str) -> None:
        """Raise Forbidden unless the job is the actor's own or the actor is an operator; Refused on another node."""
        if job.node != self.node:
            raise Refused(f"job {job.id} is node {job.node}'s; this is {self.node}", f"ask the daemon on {job.node}")
        if actor.operator or actor.uid == job.spec.uid:
            return
        raise Forbidden(
            f"job {job.id} belongs to {job.spec.user}; {actor.user} may not {verb} it",
            "ask its owner or an operator of this node",
        )

"""What all use cases share: the store, the engine, the queue in memory, and the rules of this node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dcdaemon.control.board import Board
from dcdaemon.control.book import Book
from dcdaemon.control.reports import ReportReader
from dcdaemon.core.errors import Forbidden, Refused
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor, Clock, Engine, EnvKeeper, GpuSource, JobChange, Store
from dcdaemon.scheduler.policy import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """What this node grants: whose jobs it can run, and the defaults of a job."""

    daemon_uid: int
    default_limit_s: float | None = None
    grace_s: float = 30.0
    operators: frozenset[str] = frozenset()
    jobs_per_user: int = 10_000


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
    #: Where the GPUs are read, to have the driver let go of.
    source: GpuSource | None = None

    @property
    def gpus_simulated(self) -> bool:
        """Whether this node's GPUs are pretend ones."""
        return any(gpu.simulated for gpu in self.gpus)

    def gpu_uuids(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Return the UUIDs of these GPUs, in the same order."""
        by_index = {gpu.index: gpu.uuid for gpu in self.gpus}
        return tuple(by_index.get(index, "") for index in indices)

    def take(self, jobs: Sequence[Job]) -> None:
        """Take stored values of jobs into the book, together with the states of the jobs they wait for."""
        # Under the lock, or a job that ends between the question and the answer would stay unknown.
        with self.book.lock:
            unknown = self.book.dependencies_of(jobs)
            if unknown:
                self.book.learn(self.store.states(unknown))
            for job in jobs:
                self.book.put(job)

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

"""A whole node in virtual time: a desk over fakes, one conductor without its thread, and short ways to act."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from dcdaemon.control import change
from dcdaemon.control.board import Board, DaemonFacts
from dcdaemon.control.book import Book
from dcdaemon.control.desk import Desk, Rules
from dcdaemon.control.drain import refresh_slots
from dcdaemon.control.finish import load, reconcile
from dcdaemon.control.predictions import RECALLED
from dcdaemon.control.reports import ReportReader
from dcdaemon.control.start import run_cycle
from dcdaemon.control.submit import submit
from dcdaemon.control.wish import Wish
from dcdaemon.core.errors import StartFailed
from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.job import ACTIVE, UNFINISHED, Job, JobState
from dcdaemon.core.plan import Plan
from dcdaemon.core.ports import Actor, JobQuery
from dcdaemon.core.samples import GpuReading, GpuSample, MigSample
from dcdaemon.core.view import NodeView
from dcdaemon.fakes.clock import FakeClock
from dcdaemon.fakes.engine import FakeEngine, Play
from dcdaemon.fakes.store import MemoryStore
from dcdaemon.scheduler.policy import Policy

NODE = "n1"
ADA = Actor(uid=1001, gid=1001, user="ada")
BOB = Actor(uid=1002, gid=1002, user="bob")
ROOT = Actor(uid=0, gid=0, user="root", operator=True)
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/home/ada"}
GIB = 1024**3


class MemoryEnvs:
    """Environments in a dictionary; equal ones of one user share a reference."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, str]] = {}

    def keep(self, uid: int, env: Mapping[str, str]) -> str:
        ref = f"{uid}:{hash(frozenset(env.items()))}"
        self.kept[ref] = dict(env)
        return ref

    def load(self, ref: str) -> dict[str, str]:
        if ref not in self.kept:
            raise StartFailed(f"the job's environment {ref} cannot be read: gone", "submit the job again")
        return self.kept[ref]


def instance(gpu: int, name: str, gib: float = 9.75) -> MigSample:
    """One MIG instance as NVML tells it."""
    return MigSample(0.0, gpu, name, f"MIG-{gpu}-{name.replace('/', '-')}", "1g.10gb", mem_total_bytes=int(gib * GIB))


def gpu_info(index: int) -> GpuInfo:
    return GpuInfo(index, f"GPU-{index:04d}", "H100", 80 * GIB, power_limit_w=700.0)


class Scene:
    """One node; `daemon` (a fresh desk on the same store and engine) stands for a restart of the daemon."""

    def __init__(self, gpus: int = 4, cpus: int = 32, rules: Rules | None = None, log_dir: Path | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(NODE)
        self.engine = FakeEngine(self.clock, self._play, self._noted, log_dir)
        self.envs = MemoryEnvs()
        self.plays: dict[int, Play] = {}
        self.default_play = Play(run_s=None)
        self.wakes = 0
        self._due: set[int] = set()
        self._cpus = cpus
        self.rules = rules or Rules(daemon_uid=0)
        self.reading = GpuReading(tuple(gpu_info(index) for index in range(gpus)), ())
        self.desk = self.daemon()
        self.wakes = 0

    def daemon(self, prepare: Callable[[Desk], None] = lambda _: None) -> Desk:
        """Start a daemon on what is stored and running; the scene goes on with it; `prepare` comes before the queue."""
        self.desk = Desk(
            node=NODE, store=self.store, engine=self.engine, envs=self.envs,
            book=Book(NodeView(NODE, self._cpus, 256 * GIB)),
            board=Board(DaemonFacts("0.1.0", 1, 0, self.clock.now(), "fake", simulated=True)),
            clock=self.clock, policy=Policy(), rules=self.rules,
            reports=ReportReader(self.engine, self.store), wake=self._woken,
        )  # fmt: skip
        self.desk.gpus = self.reading.gpus
        self.desk.listeners.append(self.desk.predictions.noted)
        self.desk.predictions.recall(self.store.past_runs(RECALLED))
        self.sample()
        prepare(self.desk)
        load(self.desk)
        return self.desk

    def _play(self, job: Job) -> Play:
        return self.plays.get(job.id, self.default_play)

    def _noted(self, job_id: int, _attempt: int) -> None:
        self._due.add(job_id)

    def _woken(self) -> None:
        self.wakes += 1

    def wish(self, **fields: object) -> Wish:
        plain = Wish(argv=("train.py",), cwd="/work", gpus=1)
        return replace(plain, **fields)  # type: ignore[arg-type]

    def submit(self, play: Play | None = None, actor: Actor = ADA, **fields: object) -> Job:
        """Submit one job and say how it will go."""
        [job] = submit(self.desk, actor, [self.wish(**fields)], ENV)
        if play is not None:
            self.plays[job.id] = play
        return job

    def cycle(self) -> Plan:
        """Do what the conductor does once: ends first, then starts."""
        self.engine.tick()
        due, self._due = self._due, set()
        self._due |= {job.id for job in reconcile(self.desk, sorted(due))}
        return run_cycle(self.desk)

    def run(self, play: Play | None = None, **fields: object) -> Job:
        """Submit one job and start it."""
        job = self.submit(play, **fields)
        self.cycle()
        return self.job(job)

    def advance(self, seconds: float) -> None:
        """Let time pass, then conduct until nothing ends any more."""
        self.clock.advance(seconds)
        self.cycle()
        while self._due - {job.id for job in self.desk.book.active()}:
            self.cycle()

    def cancel(self, job: Job, actor: Actor = ADA) -> Job:
        return change.cancel(self.desk, actor, job.id)

    def job(self, job: Job | int) -> Job:
        """Return the stored value."""
        stored = self.store.job(job if isinstance(job, int) else job.id)
        assert stored is not None
        return stored

    def state(self, job: Job | int) -> JobState:
        return self.job(job).state

    def jobs(self) -> list[Job]:
        return self.store.jobs(JobQuery(oldest_first=True))

    def sample(
        self,
        processes: Mapping[int, Iterable[GpuProcess]] | None = None,
        lost: Iterable[int] = (),
        driver: str | None = None,
    ) -> None:
        """Read the GPUs: these foreign processes, these lost."""
        now, now_s, gone = self.clock.now(), self.clock.monotonic(), frozenset(lost)
        samples = tuple(
            GpuSample(now, now_s, info.index, 0.5, processes=tuple((processes or {}).get(info.index, ())))
            for info in self.reading.gpus
            if info.index not in gone
        )
        self.desk.board.gpus = replace(self.reading, samples=samples, lost=gone, driver_error=driver)
        refresh_slots(self.desk)


def broken_promises(scene: Scene) -> list[str]:
    """Name every promise of the queue that does not hold now; none, it is hoped."""
    book, jobs = scene.desk.book, {job.id: job for job in scene.jobs()}
    active = [job for job in jobs.values() if job.state in ACTIVE]
    held = [(job.node, gpu) for job in active for gpu in job.gpus]
    on_gpu = {slot: [job for job in active if slot[1] in job.gpus] for slot in held}
    waiting = {job.id for job in jobs.values() if job.state is JobState.WAITING}
    promises = {
        "no GPU belongs to two jobs": all(_may_share(jobs) for jobs in on_gpu.values()),
        "no MIG instance belongs to two jobs": len({(job.gpus, job.gpu_instance) for job in active if job.gpu_instance})
        == sum(job.gpu_instance is not None for job in active),
        "no GPU is shared out beyond its memory": all(_declared(jobs) <= 79 * GIB for jobs in on_gpu.values()),
        "the allocations are the GPUs of the active jobs": set(scene.store._allocation) == set(held),
        "the index holds the waiting jobs": {queued.id for queued in book.queue} == waiting,
        "the book holds the unfinished jobs as they are stored": {job.id: job for job in book.unfinished()}
        == {job.id: job for job in jobs.values() if job.state in UNFINISHED},
        "a job has all the GPUs it asked for": all(len(job.gpus) == job.spec.gpus for job in active),
        "every attempt was started once": len(scene.engine.starts) == len(set(scene.engine.starts)),
        "what has processes is active": {job_id for job_id, _ in scene.engine.living()} <= {job.id for job in active},
    }
    return [promise for promise, kept in promises.items() if not kept]


def _may_share(jobs: list[Job]) -> bool:
    return len(jobs) == 1 or all(job.spec.gpu_mem_bytes is not None for job in jobs)


def _declared(jobs: list[Job]) -> int:
    return sum(job.spec.gpu_mem_bytes or 0 for job in jobs)

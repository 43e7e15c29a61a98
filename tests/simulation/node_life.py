"""A node's life in virtual time: the daemon's real duties and its conductor over fakes, moved from event to event."""

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from scene import ROOT, Scene, broken_promises

from dcdaemon.anomalies.picture import Thresholds
from dcdaemon.control import change
from dcdaemon.control.desk import Desk
from dcdaemon.control.drain import drain, undrain
from dcdaemon.core.errors import Refused
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Ended
from dcdaemon.core.samples import GpuReading
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.duties.gpus import GpuDuty
from dcdaemon.daemon.duties.reports import ReportDuty
from dcdaemon.daemon.duties.storing import StoringDuty
from dcdaemon.daemon.duties.watch import WatchDuty
from dcdaemon.fakes.engine import Play
from dcdaemon.fakes.gpus import GpuLoad, SimulatedGpus

HOUR_S, DAY_S = 3600.0, 86400.0
GPUS = 2
#: Coarser than a real daemon's, for a week has 604,800 seconds.
POLL_S, BOOK_S, WATCH_S, REPORT_S = 28.0, 280.0, 112.0, 560.0
THRESHOLDS = Thresholds(idle_after_s=1200.0, stale_after_s=120.0)


@dataclass(frozen=True)
class Kind:
    """A kind of job: how it uses a GPU, and how it goes."""

    cpu_share: float
    play: Callable[[random.Random], Play]
    weight: int
    gpus: tuple[int, ...] = (1, 1, 1, 1, 2)
    limit_s: float | None = None


def lasting(shortest_s: float, longest_s: float, **end) -> Callable[[random.Random], Play]:
    return lambda chance: Play(run_s=round(chance.uniform(shortest_s, longest_s), 1), **end)


KINDS = {
    "train": Kind(1.0, lasting(60.0, 450.0), 12),
    "tune": Kind(0.25, lasting(60.0, 400.0), 8),
    "wide": Kind(1.0, lasting(100.0, 400.0), 1, gpus=(GPUS,)),
    "idler": Kind(0.0, lasting(2500.0, 2800.0), 1, gpus=(1,)),
    "crasher": Kind(0.6, lasting(10.0, 400.0, exit_code=1), 3),
    "segfault": Kind(0.6, lasting(10.0, 300.0, exit_code=None, signal=11, cause="signaled"), 1),
    "endless": Kind(0.8, lambda _: Play(run_s=None), 2, limit_s=400.0),
    "stubborn": Kind(0.8, lambda _: Play(run_s=None, deaf=True), 1, limit_s=300.0),
    "blink": Kind(0.5, lasting(0.1, 2.0), 8, gpus=(1,)),
    "prepare": Kind(0.0, lasting(30.0, 900.0), 5, gpus=(0,)),
}


class FlakyGpus:
    """Simulated GPUs of which some are lost for a while, and some are used by strangers."""

    def __init__(self, gpus: SimulatedGpus) -> None:
        self._gpus = gpus
        self.lost: set[int] = set()
        self.strangers: dict[int, GpuProcess] = {}

    def start(self) -> None:
        self._gpus.start()

    def wait_known(self, timeout_s: float) -> bool:
        return self._gpus.wait_known(timeout_s)

    def read(self) -> GpuReading:
        reading = self._gpus.read()
        samples = tuple(
            replace(sample, processes=(self.strangers[sample.gpu],) if sample.gpu in self.strangers else ())
            for sample in reading.samples
            if sample.gpu not in self.lost
        )
        return replace(reading, samples=samples, lost=frozenset(self.lost))

    def counters_mj(self) -> list[int]:
        return [sample.energy_counter_mj or 0 for sample in self._gpus.read().samples]

    def close(self) -> None:
        self._gpus.close()


class NodeLife:
    """One node, its users, its accidents and its daemons, one after the other."""

    def __init__(self, seed: int, scene: Scene | None = None) -> None:
        self.chance = random.Random(seed)  # noqa: S311  a game of chance, not a secret
        self.scene = scene or Scene(gpus=GPUS, cpus=64)
        self.clock = self.scene.clock
        self.kinds: dict[int, str] = {}
        self.source = FlakyGpus(SimulatedGpus(GPUS, self._loads, self.clock, POLL_S))
        self.source.start()
        self.baseline_mj = self.source.counters_mj()
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        self.restarted_at: list[float] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._away = False
        self._start_daemon()

    # The daemon.

    def _start_daemon(self) -> None:
        self.conductor = Conductor(lambda part, error: self.broken.append(f"{part}: {error!r}"))
        self._woken = True
        self.scene.engine._on_end = self.conductor.ended
        self.scene.daemon(self._put_together)
        self.gpus.tick()

    def _put_together(self, desk: Desk) -> None:
        """Do as the composition root does: the duties hear of what ended while no daemon was there."""
        self.conductor._desk = desk
        desk.wake = self._wake
        self.gpus = GpuDuty(desk, self.source, POLL_S, BOOK_S, THRESHOLDS.idle_after_s)
        self.watch = WatchDuty(desk, self.gpus, THRESHOLDS, WATCH_S, expected_driver=True)
        desk.listeners += [self.gpus.noted, self.watch.noted]
        storing = StoringDuty(desk, self.gpus.book_due, BOOK_S, POLL_S)
        duties = (self.gpus, storing, self.watch, ReportDuty(desk, REPORT_S))
        self._due = dict.fromkeys(duties, self.clock.monotonic())

    def restart(self, away_s: float) -> None:
        """Stop the daemon, as a crash does, and start it again after a while."""
        self._away = True
        self.scene.engine._on_end = lambda *_: None
        self.at(away_s, self._back)
        self.happened["restarts"] += 1
        self.restarted_at.append(self.clock.now() + away_s)

    def _back(self) -> None:
        self._away = False
        self._start_daemon()

    def _wake(self) -> None:
        self._woken = True

    def _conduct(self) -> None:
        while self._woken or self.conductor._ended:
            self._woken = False
            blocked = {slot.index for slot in self.scene.desk.book.node.gpus if slot.blocked is not None}
            before = set(self.scene.desk.book.holders())
            self.conductor._cycle()
            started = set(self.scene.desk.book.holders()) - before
            if started & blocked:
                self.broken.append(f"GPUs {started & blocked} take no work and got some")

    # Time.

    def at(self, in_s: float, act: Callable[[], None]) -> None:
        """Have something happen in so many seconds."""
        self._agenda.append((self.clock.monotonic() + in_s, len(self._agenda), act))
        self._agenda.sort(key=lambda entry: entry[:2], reverse=True)

    def live(self, seconds: float) -> None:
        """Let time pass, from event to event."""
        end_s = self.clock.monotonic() + seconds
        while (next_s := self._next_s()) <= end_s:
            self.clock.advance(max(0.0, next_s - self.clock.monotonic()))
            self._step()
        self.clock.advance(max(0.0, end_s - self.clock.monotonic()))

    def _next_s(self) -> float:
        duties = () if self._away else self._due.values()
        agenda = [self._agenda[-1][0]] if self._agenda else []
        end_s = self.scene.engine.next_end_s()
        return min([*duties, *agenda, *([] if end_s is None else [end_s])])

    def _step(self) -> None:
        now_s = self.clock.monotonic()
        self.scene.engine.tick()
        while self._agenda and self._agenda[-1][0] <= now_s:
            self._agenda.pop()[2]()
        if self._away:
            return
        self._conduct()
        for duty, due_s in self._due.items():
            if due_s <= now_s:
                duty.tick()
                self._due[duty] = now_s + duty.every_s
        self._conduct()

    # Users.

    def submit(self, kind: str | None = None, **fields) -> Job:
        """Submit a job, of some kind."""
        names = list(KINDS)
        kind = kind or self.chance.choices(names, [KINDS[name].weight for name in names])[0]
        what = KINDS[kind]
        plain = {
            "gpus": self.chance.choice(what.gpus), "name": kind, "limit_s": what.limit_s, "cpus": 1,
            "priority": self.chance.choice((10, 50, 50)), "grace_s": 20.0, "requeue": self.chance.random() < 0.3,
        }  # fmt: skip
        job = self.scene.submit(what.play(self.chance), **plain | fields)
        self.kinds[job.id] = kind
        return job

    def meddle(self) -> None:
        """Cancel, hold, release or requeue some job, as somebody always does."""
        newest = max(self.kinds)
        job = self.scene.job(self.chance.randint(max(1, newest - 8), newest))
        verb = self.chance.choice((change.cancel, change.hold, change.release, change.requeue))
        try:
            verb(self.scene.desk, ROOT, job.id)
        except Refused:
            return
        if verb is change.hold:
            self.at(HOUR_S, lambda: self._release(job))
        self.happened[verb.__name__] += 1

    def _release(self, job: Job) -> None:
        if not self._away and (waiting := self.scene.desk.book.get(job.id)) is not None and waiting.held:
            change.release(self.scene.desk, ROOT, job.id)

    # Accidents.

    def lose(self, gpu: int, for_s: float) -> None:
        """Have the driver lose a GPU for a while."""
        self.source.lost.add(gpu)
        self.at(for_s, lambda: self.source.lost.discard(gpu))
        self.happened["lost"] += 1

    def invade(self, gpu: int, for_s: float) -> None:
        """Have a stranger use a GPU for a while; it is this very process, which surely exists."""
        self.source.strangers[gpu] = GpuProcess(os.getpid(), 1 << 30, "eve", "mine", 100.0)
        self.at(for_s, lambda: self.source.strangers.pop(gpu, None))
        self.happened["foreign"] += 1

    def drain(self, gpu: int, for_s: float) -> None:
        """Have an operator drain a GPU for a while."""
        drain(self.scene.desk, ROOT, gpu, "maintenance")
        self.at(for_s, lambda: undrain(self.scene.desk, ROOT, gpu))
        self.happened["drain"] += 1

    def kill_a_shim(self, buried_after_s: float) -> None:
        """Kill the shim of some running job; what is left of it lives on for a while."""
        running = [job for job in self.scene.desk.book.active() if (job.id, job.attempt) in self.scene.engine._running]
        if running:
            job = self.chance.choice(running)
            self.scene.engine.kill_shim(job)
            self.at(buried_after_s, lambda: self.scene.engine.bury(job))
            self.happened["shims"] += 1

    def _loads(self) -> dict[int, GpuLoad]:
        """Return what the jobs that live now do, whether a daemon looks or not."""
        living = self.scene.engine.living()
        jobs = [job for job_id, attempt in living if (job := self.scene.job(job_id)).attempt == attempt]
        return {gpu: GpuLoad(KINDS[self.kinds[job.id]].cpu_share, 1 << 30) for job in jobs for gpu in job.gpus}

    # What became of it.

    def check(self) -> None:
        """Note every promise that does not hold now."""
        self.broken += broken_promises(self.scene)

    def run_s(self, job: Job) -> float | None:
        """Return how long all attempts of a job ran together; None where one of them left no record."""
        ends = [attempt.outcome for (job_id, _), attempt in self.scene.engine._attempts.items() if job_id == job.id]
        known = [end.run_s for end in ends if isinstance(end, Ended) and end.run_s is not None]
        return sum(known) if len(known) == len(ends) else None

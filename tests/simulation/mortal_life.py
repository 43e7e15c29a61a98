"""A node's life on a real SQLite file, with a daemon that dies in the midst of its writes, again and again."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scene import NODE, Scene
from simulation.node_life import BOOK_S, GPUS, KINDS, POLL_S, NodeLife

from dcdaemon.core.job import ENDED, Job, JobState
from dcdaemon.fakes.engine import Play
from dcdaemon.store.check import check_file
from dcdaemon.store.sql_store import SqlStore, open_store

BEFORE, WITHIN, AFTER, IDLE = "before a commit", "within a transaction", "after a commit", "between writes"
MINUTE_S = 60.0
MEAN_ARRIVAL_S = 120.0
#: Of a job whose submit was not answered, nobody says how it goes: it ends well after this time.
CUT_OFF = "tune"
CUT_OFF_RUN_S = 100.0
CHECK_EVERY = 20


class Killed(BaseException):
    """The daemon is gone, wherever it was; no handler of the product may catch it."""


class DeadlyLane:
    """A lane for writing at which the daemon dies once it is armed."""

    def __init__(self, lane: Any, fate: "Fate") -> None:
        self._lane, self._fate = lane, fate

    def run(self, work: Callable[[Any], Any]) -> Any:
        side = self._fate.strikes()
        if side == BEFORE:
            raise Killed
        answer = self._lane.run(_cut(work) if side == WITHIN else work)
        if side == AFTER:
            raise Killed
        return answer

    def close(self) -> None:
        self._lane.close()


def _cut(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def begun(connection: Any) -> None:
        work(connection)
        raise Killed

    return begun


class Fate:
    """After how many more writes, and on which side of the last one, the daemon dies."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._writes: int | None = None
        self.kills: Counter[str] = Counter()

    def arm(self) -> None:
        self._writes = self._chance.randint(1, 4)

    def disarm(self) -> bool:
        """Tell whether it was still armed."""
        armed, self._writes = self._writes is not None, None
        return armed

    def strikes(self) -> str | None:
        if self._writes is None:
            return None
        self._writes -= 1
        if self._writes:
            return None
        self._writes = None
        side = self._chance.choice((BEFORE, WITHIN, AFTER))
        self.kills[side] += 1
        return side


class MortalLife(NodeLife):
    """A node whose daemon is killed every minute; its jobs, and its users, go on."""

    def __init__(self, seed: int, database: Path) -> None:
        self._database = database
        self.fate = Fate(random.Random(f"{seed} fate"))  # noqa: S311  a game of chance
        self.violations: list[str] = []
        self.answered: list[int] = []
        self.crashes = 0
        scene = Scene(gpus=GPUS, cpus=64)
        scene.default_play = Play(run_s=CUT_OFF_RUN_S)
        scene.store = self._opened()
        super().__init__(seed, scene)
        self.kinds = defaultdict(lambda: CUT_OFF)

    def _opened(self) -> Any:
        store = open_store(f"sqlite:///{self._database}", NODE)
        lanes = ((store, "_ledger"), (store, "_samples"), (store._writer, "_lane"), (store._upkeep, "_samples"))
        for owner, name in lanes:
            setattr(owner, name, DeadlyLane(getattr(owner, name), self.fate))
        return store

    def kill_every_minute(self, minutes: int) -> None:
        """Have the daemon die once in each of so many minutes: at one of its next writes, or without one.

        Not before the meters are on record: what was counted before that nobody can book.
        """
        self.live(BOOK_S + POLL_S)
        for minute in range(minutes):
            self.at(minute * MINUTE_S + self.chance.uniform(0.0, 10.0), self.fate.arm)
            self.at(minute * MINUTE_S + self.chance.uniform(50.0, 59.9), self._die_idle)

    def _die_idle(self) -> None:
        if self.fate.disarm():
            self.fate.kills[IDLE] += 1
            raise Killed

    def jobs_come(self, seconds: float) -> None:
        """Have a job come now and then for so long."""
        end_s = self.clock.monotonic() + seconds

        def arrive() -> None:
            if self.clock.monotonic() < end_s:
                self.at(self.chance.expovariate(1 / MEAN_ARRIVAL_S), arrive)
                self.answered.append(self.submit().id)

        self.at(0.0, arrive)

    def _step(self) -> None:
        try:
            super()._step()
        except Killed:
            self._come_back()

    def _come_back(self) -> None:
        """Take away what the dead daemon held, without a word to it, and start the next; that one may die, too."""
        while True:
            self.crashes += 1
            self._let_go()
            try:
                self._start_daemon()
            except Killed:
                continue
            return

    def _let_go(self) -> None:
        store: SqlStore = self.scene.store
        store._ledger.close()
        store._samples.close()
        store._database.close()
        if self.crashes % CHECK_EVERY == 0:
            self.check_database()
        self.scene.store = self._opened()

    def check_database(self) -> None:
        """Have the database judged as `dcd db check` does; nobody may have it open."""
        self.violations += [str(violation) for violation in check_file(self._database).violations]

    def finish(self) -> None:
        """Let everything end, book the last of it and close the database."""
        while self.scene.desk.book.unfinished():
            self.live(3600.0)
        self.gpus.tick()
        self.gpus.book()
        self.check()

    def check(self) -> None:
        """Note what does not hold; the memory store's own table is not there to be looked at."""
        jobs = {job.id: job for job in self.scene.jobs()}
        self.broken += [f"job {job_id} lost" for job_id in self.answered if job_id not in jobs]
        starts = Counter(self.scene.engine.starts)
        self.broken += [f"attempt {key} ran twice" for key, times in starts.items() if times > 1]
        active = {(job.id, job.attempt) for job in jobs.values() if job.state not in ENDED}
        self.broken += [f"{key} lives without a job" for key in self.scene.engine.living() - active]

    def wrong_ends(self) -> list[tuple[int, str, JobState]]:
        """Return the jobs that did not end as their kind does, and ran other than once."""
        jobs = self.scene.jobs()
        return [(job.id, self.kinds[job.id], job.state) for job in jobs if not self._as_meant(job)]

    def _as_meant(self, job: Job) -> bool:
        natural = {
            **dict.fromkeys(KINDS, JobState.SUCCEEDED),
            **dict.fromkeys(("crasher", "segfault"), JobState.FAILED),
            **dict.fromkeys(("endless", "stubborn"), JobState.TIMED_OUT),
        }
        return job.state is natural[self.kinds[job.id]] and job.attempt == 1

    def booked_as_counted(self) -> bool:
        """Tell whether the ledger holds every millijoule that the meters counted, once."""
        counted = [end - begin for begin, end in zip(self.baseline_mj, self.source.counters_mj(), strict=True)]
        booked = {row.key: row.energy_mj for row in self.scene.store.energy("gpu", None)}
        return booked == {str(gpu): energy_mj for gpu, energy_mj in enumerate(counted)}

    def close(self) -> None:
        self.scene.store.close()
        self.check_database()

"""FakeEngine: jobs that exist only in a clock; each has a length and an end, and runs when the clock is moved."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from dcdaemon.core.errors import Refused, StartFailed, StoreUnavailable
from dcdaemon.core.job import Job
from dcdaemon.core.ports import (
    Alive,
    Clock,
    Ended,
    Held,
    Leftover,
    Outcome,
    Report,
    Started,
    StartOrder,
    Unlaunched,
    Vanished,
)
from dcdaemon.core.vitals import Vitals

_TERM, _KILL = 15, 9
_STOPS = frozenset({"cancelled", "requeued", "preempted"})
_SIGNALS = {"TERM": _TERM, "INT": 2, "HUP": 1, "USR1": 10, "USR2": 12, "QUIT": 3, "KILL": _KILL}


@dataclass(frozen=True, slots=True)
class Play:
    """How one attempt goes if nobody stops it; `run_s` None is endless, a deaf job heeds no signal but KILL."""

    run_s: float | None = 0.0
    exit_code: int | None = 0
    signal: int | None = None
    cause: str = "exited"
    error: str | None = None
    deaf: bool = False
    start_error: str | None = None


@dataclass(slots=True)
class _Attempt:
    """One attempt; times are monotonic but for `started_at`; `ends_s` None while no end is in sight."""

    order: StartOrder
    play: Play
    pid: int
    started_at: float
    started_s: float
    ends_s: float | None
    end: Ended
    outcome: Outcome | None = None
    lines: list[Report] = field(default_factory=list)


Key = tuple[int, int]


class FakeEngine:
    """Implements Engine for one thread; it outlives its daemon, as jobs do: adopt with a second desk."""

    name = "fake"

    def __init__(
        self, clock: Clock, play: Callable[[Job], Play], on_end: Callable[[int, int], None], log_dir: Path | None = None
    ) -> None:
        """Ask `play` how each attempt goes; keep logs in `log_dir`, none without one."""
        self._clock, self._play, self._on_end, self._log_dir = clock, play, on_end, log_dir
        self._attempts: dict[Key, _Attempt] = {}
        self._running: set[Key] = set()
        self._left: set[Key] = set()
        self._pids = count(100_001, 2)
        #: Every attempt that was started, in order: a job that runs twice is seen here.
        self.starts: list[Key] = []
        #: What `vitals` tells of each attempt.
        self.vitals_of: dict[Key, Vitals] = {}
        #: What a job holds of memory, by its id; a test writes it.
        self.memory: dict[int, Held] = {}
        #: What keeps attempts from being started; a test writes it.
        self.full: str | None = None

    def check_space(self) -> None:
        """Raise StoreUnavailable while a test says that there is no room."""
        if self.full is not None:
            raise StoreUnavailable(self.full, "free some space")

    def start(self, order: StartOrder) -> Started:
        """Begin the attempt; raise StartFailed where its play says so, Refused when it has begun before."""
        job, key = order.job, _key(order.job)
        if key in self._attempts:
            raise Refused(f"attempt {job.attempt} of job {job.id} has been started already", "requeue the job")
        play = self._play(job)
        if play.start_error is not None:
            raise StartFailed(play.start_error, "look at the node")
        now, now_s = self._clock.now(), self._clock.monotonic()
        attempt = _Attempt(order, play, next(self._pids), now, now_s, *_course(job, play, now_s))
        self._attempts[key] = attempt
        self._running.add(key)
        self.starts.append(key)
        self._write(key, b"")
        return Started(attempt.pid, now)

    def stop(self, job: Job, signal: str | None, grace_s: float, cause: str) -> None:
        """Ask the attempt to end: at once by the signal, after the grace by KILL when it is deaf."""
        attempt = self._attempts.get(_key(job))
        if attempt is None or isinstance(attempt.outcome, (Ended, Vanished)):
            return
        self.tick()
        if isinstance(attempt.outcome, Leftover):
            self.bury(job)
            return
        deaf = attempt.play.deaf and signal != "KILL"
        ends_s = self._clock.monotonic() + (grace_s if deaf else 0.0)
        if attempt.outcome is None and (attempt.ends_s is None or ends_s < attempt.ends_s):
            number = _KILL if deaf else _SIGNALS[signal or "TERM"]
            attempt.ends_s, attempt.end = ends_s, _end(cause, signal=number)
            self.tick()
        elif attempt.outcome is None and attempt.end.cause in _STOPS:
            attempt.end = replace(attempt.end, cause=cause)  # of several stops the last word counts

    def tick(self) -> None:
        """End what is due by now, and tell of each end once."""
        for key in sorted(self._running):
            attempt = self._attempts[key]
            if attempt.ends_s is not None and attempt.ends_s <= self._clock.monotonic():
                self._finish(key, self._ended(attempt, attempt.ends_s))

    def next_end_s(self) -> float | None:
        """Return the monotonic time of the next end in sight, None without one."""
        ends = (self._attempts[key].ends_s for key in self._running)
        return min((end for end in ends if end is not None), default=None)

    def living(self) -> set[Key]:
        """Return the attempts that have processes, those without their shim too."""
        return self._running | self._left

    def outcome(self, job: Job) -> Outcome:
        """Tell what became of the attempt."""
        attempt = self._attempts.get(_key(job))
        if attempt is None:
            return Unlaunched()
        return attempt.outcome or Alive(attempt.pid, attempt.started_at)

    def adopt(self, job: Job) -> Outcome:
        """Take over an attempt of an earlier daemon; there is nothing to void, for starts are not in flight here."""
        return self.outcome(job)

    def pids(self, job: Job) -> tuple[int, ...]:
        """List the attempt's one process while it lives."""
        attempt = self._attempts.get(_key(job))
        if attempt is None or isinstance(attempt.outcome, (Ended, Vanished)):
            return ()
        return (attempt.pid + 1,)

    def vitals(self, job: Job) -> Vitals:
        """Tell what a test has said of the attempt; by itself it is silent and does nothing."""
        return self.vitals_of.get(_key(job), Vitals(0))

    def owners(self, pids: Iterable[int], jobs: Iterable[Job]) -> dict[int, int]:
        """Map each of these processes that belongs to one of these jobs to the job's id."""
        of_jobs = {pid: job.id for job in jobs for pid in self.pids(job)}
        return {pid: of_jobs[pid] for pid in pids if pid in of_jobs}

    def held(self, job: Job, worth_bytes: float) -> Held | None:  # noqa: ARG002  exact, as it costs nothing
        """Return the memory that a test has the attempt hold; None for one that does not run."""
        return self.memory.get(job.id, Held(0, fenced=False)) if _key(job) in self._running else None

    def reports(self, job: Job, offset: int) -> tuple[list[Report], int]:
        """Return what the attempt reported past line `offset`, and the new offset."""
        attempt = self._attempts.get(_key(job))
        lines = attempt.lines if attempt is not None else []
        return lines[offset:], len(lines)

    def open_log(self, job: Job, attempt: int) -> int | None:
        """Open the attempt's log for reading; None without one."""
        if self._log_dir is None or (job.id, attempt) not in self._attempts:
            return None
        return os.open(self._log_path((job.id, attempt)), os.O_RDONLY | os.O_CLOEXEC)

    # What a job does, or what happens to it, at the word of a test.

    def write(self, job: Job, text: bytes) -> None:
        """Have the attempt write to its log."""
        self._write(_key(job), text)

    def report(self, job: Job, step: int | None, values: Mapping[str, float | int | str | None]) -> None:
        """Have the attempt report something."""
        line = Report(job.id, job.attempt, self._clock.now(), step, dict(values))
        self._attempts[_key(job)].lines.append(line)

    def order_of(self, job: Job) -> StartOrder:
        """Return what the attempt was started with."""
        return self._attempts[_key(job)].order

    def kill_shim(self, job: Job) -> None:
        """Leave the attempt without its shim: its process lives on, how it ends will not be known."""
        attempt = self._attempts[_key(job)]
        self._finish(_key(job), Leftover(self.pids(job), attempt.started_at))

    def bury(self, job: Job) -> None:
        """End what was left of an attempt without its shim."""
        self._finish(_key(job), Vanished(rebooted=False, started_at=self._attempts[_key(job)].started_at))

    def reboot(self) -> None:
        """Restart the machine under all that runs."""
        for key in sorted(self._running):
            started_at = self._attempts[key].started_at
            self._finish(key, Vanished(rebooted=True, started_at=started_at))

    def _ended(self, attempt: _Attempt, ends_s: float) -> Ended:
        end = attempt.end
        ended_at = self._clock.now() - (self._clock.monotonic() - ends_s)
        run_s = ends_s - attempt.started_s
        return Ended(end.cause, end.exit_code, end.signal, attempt.started_at, ended_at, run_s, end.error)

    def _finish(self, key: Key, outcome: Outcome) -> None:
        self._attempts[key].outcome = outcome
        self._running.discard(key)
        self._left.discard(key)
        if isinstance(outcome, Leftover):
            self._left.add(key)
        self._on_end(*key)

    def _write(self, key: Key, text: bytes) -> None:
        if self._log_dir is not None:
            with self._log_path(key).open("ab") as file:
                file.write(text)

    def _log_path(self, key: Key) -> Path:
        assert self._log_dir is not None  # noqa: S101  narrows the type; asked before
        return self._log_dir / f"{key[0]}.{key[1]}.log"


def _key(job: Job) -> Key:
    return job.id, job.attempt


def _course(job: Job, play: Play, now_s: float) -> tuple[float | None, Ended]:
    """Return when the attempt ends by itself or by its limit, and how."""
    limit_s = job.spec.limit_s
    if limit_s is None or (play.run_s is not None and play.run_s <= limit_s):
        ends_s = None if play.run_s is None else now_s + play.run_s
        return ends_s, _end(play.cause, play.exit_code, play.signal, play.error)
    grace_s = job.spec.grace_s if play.deaf else 0.0
    return now_s + limit_s + grace_s, _end("timed_out", signal=_KILL if play.deaf else _TERM)


def _end(cause: str, exit_code: int | None = None, signal: int | None = None, error: str | None = None) -> Ended:
    return Ended(cause, exit_code, signal, None, 0.0, None, error)

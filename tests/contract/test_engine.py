"""What every engine keeps to: the fake one in virtual time, the local one with real processes, and in units."""

import os
import queue
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dcdaemon.core.errors import Refused
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Alive, Ended, Engine, Leftover, Outcome, Report, Started, StartOrder, Unlaunched
from dcdaemon.core.ports import Vanished as Gone
from dcdaemon.engines.local import LocalEngine
from dcdaemon.fakes.clock import FakeClock
from dcdaemon.fakes.engine import FakeEngine, Play
from dcdaemon.runner.isolation import isolation_here

DEADLINE_S = 10.0
ENDLESS, QUICK, FAILS, KILLED, DEAF, TALKS, LOOKS = (
    "endless", "quick", "fails", "killed", "deaf", "talks", "looks",
)  # fmt: skip

#: What each kind of job is to the fake engine, and as a real program.
PLAYS = {
    ENDLESS: Play(run_s=None),
    QUICK: Play(run_s=0.0),
    FAILS: Play(run_s=0.0, exit_code=3),
    KILLED: Play(run_s=0.0, exit_code=None, signal=int(signal.SIGUSR1), cause="signaled"),
    DEAF: Play(run_s=None, deaf=True),
    TALKS: Play(run_s=None),
    LOOKS: Play(run_s=None),
}
PROGRAMS = {
    ENDLESS: "echo up; exec sleep 1000",
    QUICK: "exit 0",
    FAILS: "exit 3",
    KILLED: "kill -USR1 $$; sleep 1000",
    DEAF: "trap '' TERM; echo up; while :; do sleep 0.05; done",
    TALKS: 'echo "{\\"t\\": 5.0, \\"step\\": 1, \\"values\\": {\\"loss\\": 2.5}}" >> "$DCD_REPORT_PATH"; '
    "echo said; exec sleep 1000",
    LOOKS: "echo $DCD_JOB_ID.$DCD_ATTEMPT $GREETING; exec sleep 1000",
}


class Bench(ABC):
    """One engine under test, and how to make time pass for it."""

    engine: Engine
    #: Whether what a job left of itself lives on when its shim is killed.
    orphans_live = True

    def __init__(self) -> None:
        self.ends: queue.Queue[tuple[int, int]] = queue.Queue()
        self._started: list[Job] = []

    def on_end(self, job_id: int, attempt: int) -> None:
        self.ends.put((job_id, attempt))

    def job(self, kind: str, job_id: int = 1, attempt: int = 1, **fields) -> Job:
        argv = ("/bin/sh", "-c", PROGRAMS[kind])
        spec = JobSpec(
            argv=argv, cwd="/", uid=os.geteuid(), gid=os.getegid(), user="me", name=kind, env_ref="", grace_s=DEADLINE_S
        )
        return Job(job_id, "n1", replace(spec, **fields), JobState.STARTING, time.time(), attempt=attempt)

    def start(self, kind: str, job_id: int = 1, attempt: int = 1, **fields) -> Job:
        job = self.job(kind, job_id, attempt, **fields)
        self._started.append(job)
        started = self.launch(job)
        return replace(job, state=JobState.RUNNING, pid=started.pid, started_at=started.started_at)

    def run(self, kind: str, job_id: int = 1, attempt: int = 1, **fields) -> Job:
        """Start an attempt and return once its program runs, and not only its shim."""
        job = self.start(kind, job_id, attempt, **fields)
        self.until(lambda: read(self.engine, job, attempt))
        return job

    def launch(self, job: Job) -> Started:
        return self.engine.start(StartOrder(job, {"PATH": os.environ["PATH"], "GREETING": "hello"}, ()))

    def end_of(self, job: Job) -> Outcome:
        """Wait until the engine tells of this attempt's end, and return what it says of it."""
        while self.ends.empty():
            self.pass_time()
        assert self.ends.get_nowait() == (job.id, job.attempt)
        return self.engine.outcome(job)

    def until(self, condition: Callable[[], object]) -> object:
        deadline = time.monotonic() + DEADLINE_S
        while not (result := condition()):
            assert time.monotonic() < deadline, "it did not come about"
            self.pass_time()
        return result

    @abstractmethod
    def pass_time(self) -> None: ...

    @abstractmethod
    def kill_shim(self, job: Job) -> None: ...

    @abstractmethod
    def successor(self) -> None:
        """Replace the daemon by a new one on the same machine."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running."""


class FakeBench(Bench):
    def __init__(self, log_dir: Path) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.engine = FakeEngine(self.clock, lambda job: PLAYS[job.spec.name], self.on_end, log_dir)

    def launch(self, job: Job) -> Started:
        started = super().launch(job)
        if job.spec.name in {ENDLESS, DEAF}:
            self.engine.write(job, b"up\n")
        if job.spec.name == TALKS:
            self.engine.report(job, 1, {"loss": 2.5})
            self.engine.write(job, b"said\n")
        if job.spec.name == LOOKS:
            env = self.engine.order_of(job).env
            self.engine.write(job, f"{job.id}.{job.attempt} {env['GREETING']}\n".encode())
        return started

    def pass_time(self) -> None:
        self.clock.advance(0.5)
        self.engine.tick()
        assert self.clock.monotonic() < 10_000, "it did not come about"

    def kill_shim(self, job: Job) -> None:
        self.engine.kill_shim(job)

    def successor(self) -> None:
        """Go on: a fake engine has no daemon to outlive."""

    def close(self) -> None:
        """Leave it: nothing of it runs."""


class LocalBench(Bench):
    def __init__(self, state_dir: Path) -> None:
        super().__init__()
        self._state_dir = state_dir
        self._deadline = time.monotonic() + 3 * DEADLINE_S
        self._open()

    def _open(self) -> None:
        self.engine = LocalEngine(self._state_dir, self.on_end)
        self.engine.open()

    def pass_time(self) -> None:
        assert time.monotonic() < self._deadline, "it did not come about"
        time.sleep(0.005)

    def kill_shim(self, job: Job) -> None:
        os.kill(job.pid or 0, signal.SIGKILL)

    def successor(self) -> None:
        self.engine.close()
        self._open()

    def close(self) -> None:
        for job in self._started:
            # Also what has not begun yet: a shim reads the request before it lets the job run.
            self.engine.stop(job, "KILL", 0.0, "cancelled")
            self.until(lambda job=job: isinstance(self.engine.outcome(job), Ended | Gone | Unlaunched))
        self.engine.close()


class UnitBench(LocalBench):
    """The local engine with each job in a unit of its own."""

    orphans_live = False

    def _open(self) -> None:
        self.engine = LocalEngine(self._state_dir, self.on_end, isolation=isolation_here())
        self.engine.open()


BENCHES = {"fake": FakeBench, "local": LocalBench, "unit": UnitBench}


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "unit" and (reasons := isolation_here().reasons):
        pytest.skip(f"no units here: {'; '.join(reasons)}")
    made = BENCHES[request.param](tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "cause", "exit_code", "number"),
    [(QUICK, "exited", 0, None), (FAILS, "exited", 3, None), (KILLED, "signaled", None, int(signal.SIGUSR1))],
)
def test_an_attempt_ends_as_its_program_did(bench, kind, cause, exit_code, number):
    job = bench.start(kind)
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert (end.cause, end.exit_code, end.signal, end.error) == (cause, exit_code, number, None)
    assert end.started_at is not None
    assert end.run_s is not None
    assert end.started_at <= end.ended_at
    assert 0 <= end.run_s < 60
    assert bench.engine.pids(job) == ()
    assert bench.engine.adopt(job) == end, "who looks later is told the same"


def test_an_attempt_that_runs_is_alive_under_the_pid_it_was_started_with(bench):
    job = bench.run(ENDLESS)
    outcome = bench.engine.outcome(job)
    assert isinstance(outcome, Alive)
    assert outcome.pid == job.pid
    assert abs(outcome.started_at - job.started_at) < DEADLINE_S
    assert bench.ends.empty()


def test_no_attempt_is_started_twice(bench):
    job = bench.start(ENDLESS)
    with pytest.raises(Refused, match="attempt 1 of job 1 has been started already"):
        bench.launch(job)


def test_the_next_attempt_of_a_job_is_an_attempt_of_its_own(bench):
    first = bench.start(FAILS)
    bench.end_of(first)
    second = bench.start(FAILS, attempt=2)
    assert isinstance(bench.engine.outcome(second), Alive | Ended)
    bench.end_of(second)


def test_a_stop_ends_the_attempt_with_the_signal_and_the_cause_given(bench):
    job = bench.run(ENDLESS)
    bench.engine.stop(job, "INT", DEADLINE_S, "requeued")
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert (end.cause, end.signal) == ("requeued", int(signal.SIGINT))


def test_an_ordinary_stop_of_a_plain_job_is_a_term(bench):
    job = bench.run(ENDLESS)
    bench.engine.stop(job, None, DEADLINE_S, "preempted")
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert (end.cause, end.signal) == ("preempted", int(signal.SIGTERM))


def test_who_is_deaf_to_the_signal_is_killed_after_the_grace(bench):
    job = bench.run(DEAF)
    bench.engine.stop(job, "TERM", 0.3, "cancelled")
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert end.cause == "cancelled"
    assert bench.engine.pids(job) == ()


def test_a_second_stop_may_shorten_the_grace(bench):
    job = bench.run(DEAF)
    bench.engine.stop(job, "TERM", 3600.0, "cancelled")
    assert isinstance(bench.engine.outcome(job), Alive)
    bench.engine.stop(job, "KILL", 0.0, "cancelled")
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert (end.cause, end.signal) == ("cancelled", int(signal.SIGKILL))


def test_a_stop_of_what_has_ended_or_never_began_changes_nothing(bench):
    job = bench.start(QUICK)
    end = bench.end_of(job)
    bench.engine.stop(job, "TERM", 0.0, "cancelled")
    assert bench.engine.outcome(job) == end
    never = bench.job(ENDLESS, job_id=2)
    bench.engine.stop(never, "TERM", 0.0, "cancelled")
    assert bench.engine.outcome(never) == Unlaunched()


def test_the_time_limit_ends_the_attempt(bench):
    job = bench.start(ENDLESS, limit_s=0.3)
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert (end.cause, end.signal) == ("timed_out", int(signal.SIGTERM))
    assert end.run_s is not None
    assert end.run_s >= 0.29


def test_an_attempt_nobody_launched_is_proven_so_and_can_still_be_launched(bench):
    job = bench.job(QUICK)
    assert bench.engine.outcome(job) == Unlaunched()
    assert bench.engine.adopt(job) == Unlaunched()
    assert bench.engine.pids(job) == ()
    assert isinstance(bench.end_of(bench.start(QUICK)), Ended)


def test_what_an_earlier_daemon_started_goes_on_and_is_adopted(bench):
    job = bench.run(ENDLESS)
    bench.successor()
    adopted = bench.engine.adopt(job)
    assert isinstance(adopted, Alive)
    assert adopted.pid == job.pid
    bench.engine.stop(job, "TERM", DEADLINE_S, "cancelled")
    end = bench.end_of(job)
    assert isinstance(end, Ended)
    assert end.cause == "cancelled"


def test_an_attempt_without_its_shim_lives_on_and_its_end_is_unknown(bench):
    if not bench.orphans_live:
        pytest.skip("a unit ends with its shim: see test_engine_units.py")
    job = bench.run(ENDLESS)
    [pid] = bench.engine.pids(job)
    bench.kill_shim(job)
    left = bench.end_of(job)
    assert isinstance(left, Leftover)
    assert left.pids == (pid,)
    assert bench.engine.adopt(job) == left
    bench.engine.stop(job, "TERM", 0.0, "cancelled")
    gone = bench.until(lambda: isinstance(found := bench.engine.outcome(job), Gone) and found)
    assert isinstance(gone, Gone)
    assert not gone.rebooted


def test_processes_are_told_apart_by_the_job_they_belong_to(bench):
    one, two = bench.run(ENDLESS, job_id=1), bench.run(ENDLESS, job_id=2)
    [first], [second] = bench.engine.pids(one), bench.engine.pids(two)
    assert first != second
    assert bench.engine.owners([first, second, 1], [one, two]) == {first: 1, second: 2}
    assert bench.engine.owners([first, second], [two]) == {second: 2}


def test_what_runs_below_a_process_that_was_given_the_pid_of_a_shim_is_nobodys(bench):
    job = bench.run(ENDLESS)
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            assert bench.engine.owners([stranger.pid], [replace(job, pid=os.getpid())]) == {}
        finally:
            stranger.kill()


def test_an_attempt_holds_memory_while_it_runs(bench):
    job = bench.run(ENDLESS)
    held = bench.engine.held(job, 0.0)
    assert held is not None
    assert held.fenced == (not bench.orphans_live)
    bench.engine.stop(job, "KILL", 0.0, "cancelled")
    bench.until(lambda: bench.engine.held(job, 0.0) is None)


def test_reports_are_read_on_from_where_the_last_look_ended(bench):
    job = bench.start(TALKS)
    [report], offset = bench.until(lambda: (found := bench.engine.reports(job, 0))[0] and found)
    assert isinstance(report, Report)
    assert (report.job_id, report.attempt, report.step, report.values) == (1, 1, 1, {"loss": 2.5})
    assert bench.engine.reports(job, offset) == ([], offset)
    assert bench.engine.reports(bench.job(QUICK, job_id=9), 0) == ([], 0)


def test_the_log_holds_what_the_attempt_said_and_each_attempt_has_its_own(bench):
    job = bench.start(LOOKS, job_id=4, attempt=2)
    assert bench.until(lambda: read(bench.engine, job, 2)) == b"4.2 hello\n"
    assert bench.engine.open_log(job, 1) is None


def read(engine: Engine, job: Job, attempt: int) -> bytes:
    descriptor = engine.open_log(job, attempt)
    if descriptor is None:
        return b""
    try:
        return os.pread(descriptor, 1000, 0)
    finally:
        os.close(descriptor)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBench]:
    bench = LocalBench(tmp_path)
    yield bench
    bench.close()


def test_a_program_that_does_not_exist_is_a_start_that_failed(local):
    job = local.start(QUICK, argv=("/nowhere/train",))
    end = local.end_of(job)
    assert isinstance(end, Ended)
    assert end.cause == "start_failed"
    assert "/nowhere/train" in str(end.error)


def test_a_log_of_its_own_is_read_once_the_job_has_opened_it(local, tmp_path):
    own = tmp_path / "own.log"
    job = local.start(LOOKS, log_path=str(own))
    assert local.until(lambda: read(local.engine, job, 1)) == b"1.1 hello\n"
    assert own.read_bytes() == b"1.1 hello\n"


def test_why_a_job_with_a_log_of_its_own_did_not_start_stands_in_the_default_one(local, tmp_path):
    own = tmp_path / "own.log"
    own.touch()
    program = "import os, sys; sys.stderr.write('no'); sys.exit(1)"
    job = local.start(QUICK, argv=(sys.executable, "-c", program), log_path=str(own))
    local.end_of(job)
    assert read(local.engine, job, 1) == b"no"
    default = local._state_dir / "jobs"
    [output] = default.rglob("output.log")
    own.write_bytes(b"")
    output.write_bytes(b"cannot start")
    assert read(local.engine, job, 1) == b"cannot start"


def test_before_a_job_has_opened_its_own_log_there_is_none_to_follow(local, tmp_path):
    job = local.start(QUICK, argv=("/nowhere/train",), log_path=str(tmp_path / "none" / "own.log"))
    local.end_of(job)
    [output] = (local._state_dir / "jobs").rglob("output.log")
    output.write_bytes(b"")
    assert local.engine.open_log(job, 1) is None


@pytest.mark.parametrize("broken", ["own", "default"])
def test_of_two_logs_the_one_that_can_be_read_is_shown_and_no_file_stays_open(local, tmp_path, broken):
    own = tmp_path / "own.log"
    job = local.start(LOOKS, log_path=str(own))
    local.until(lambda: read(local.engine, job, 1))
    [default] = (local._state_dir / "jobs").rglob("output.log")
    default.write_bytes(b"default")
    lost = own if broken == "own" else default
    lost.unlink()
    os.mkfifo(lost)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert read(local.engine, job, 1) == (b"default" if broken == "own" else b"1.1 hello\n")
    local.engine.vitals(job)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

"""The local engine where systemd runs the machine: what the kernel and systemd keep of a job, and exactly once.

Skipped elsewhere; `make test-vm` runs it in a virtual machine.
"""

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from patience import until

from dcdaemon.core.errors import Refused, StartFailed
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Alive, Ended, Leftover, StartOrder, Unlaunched, Vanished
from dcdaemon.engines.local import LocalEngine
from dcdaemon.runner import cgroup
from dcdaemon.runner.isolation import isolation_here
from dcdaemon.runner.units import unit_name, unit_path

HERE = isolation_here()
pytestmark = pytest.mark.skipif(
    HERE.manager != "system", reason=f"no units of the system's here: {'; '.join(HERE.reasons) or 'not root'}"
)
DEADLINE_S = 60.0
NOBODY = 65534


class Node:
    """An engine with units, and the ends it was told of."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.ends: list[tuple[int, int]] = []
        self.engine = self.successor()
        self._jobs: list[Job] = []

    def successor(self) -> LocalEngine:
        self.engine = LocalEngine(self.state_dir, lambda *key: self.ends.append(key), isolation=HERE)
        self.engine.open()
        return self.engine

    def job(self, program: str, job_id: int = 1, attempt: int = 1, **fields: object) -> Job:
        spec = JobSpec(
            argv=("/bin/sh", "-c", program), cwd="/", uid=os.geteuid(), gid=os.getegid(), user="me", name="j",
            env_ref="", grace_s=5.0,
        )  # fmt: skip
        return Job(job_id, "n1", replace(spec, **fields), JobState.STARTING, time.time(), attempt=attempt)

    def start(self, job: Job, minors: tuple[int, ...] = ()) -> Job:
        self._jobs.append(job)
        env = {"PATH": os.environ["PATH"], "SECRET_OF_THE_JOB": "hush"}
        started = self.engine.start(StartOrder(job, env, (), gpu_minors=minors))
        return replace(job, pid=started.pid)

    def run(self, program: str, minors: tuple[int, ...] = (), **fields: object) -> Ended:
        """Start a job and return its end."""
        job = self.start(self.job(program, **fields), minors)
        return until(lambda: isinstance(found := self.engine.outcome(job), Ended) and found)

    def output(self, job_id: int = 1, attempt: int = 1) -> str:
        path = self.state_dir / "jobs" / str(job_id) / str(attempt) / "output.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        for job in self._jobs:
            self.engine.stop(job, "KILL", 0.0, "cancelled")
            until(lambda job=job: isinstance(self.engine.outcome(job), Ended | Vanished | Unlaunched))
            until(lambda job=job: shown(job.id, "LoadState") == "not-found")
        self.engine.close()


def shown(job_id: int, what: str) -> str:
    """Return a property of a job's unit as systemd tells it."""
    command = ["systemctl", "show", f"--property={what}", "--value", unit_name(job_id)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def group(job_id: int = 1) -> Path:
    return cgroup.ROOT / unit_path(HERE, job_id).lstrip("/")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)  # another user's job passes through to its own files
    made = Node(tmp_path)
    yield made
    made.close()


def test_a_job_has_a_unit_with_its_limits_and_nothing_of_its_environment(node):
    job = node.job("exec sleep 1000", mem_bytes=256 * 1024**2, cpus=3, limit_s=600.0, uid=NOBODY, gid=NOBODY)
    node.start(job)
    said = {
        name: shown(1, name)
        for name in ("Slice", "MemoryMax", "MemorySwapMax", "CPUWeight", "KillMode", "OOMPolicy", "TasksMax",
                     "LimitMEMLOCK", "LimitNOFILE", "DevicePolicy", "RuntimeMaxUSec", "TimeoutStopUSec")
    }  # fmt: skip
    assert said == {
        "Slice": "dcdaemon-jobs.slice", "MemoryMax": str(256 * 1024**2), "MemorySwapMax": "0", "CPUWeight": "30",
        "KillMode": "mixed", "OOMPolicy": "continue", "TasksMax": "infinity", "LimitMEMLOCK": "infinity",
        "LimitNOFILE": "1048576", "DevicePolicy": "closed", "RuntimeMaxUSec": "11min 5s", "TimeoutStopUSec": "15s",
    }  # fmt: skip
    everything = subprocess.run(["systemctl", "show", unit_name(1)], capture_output=True, text=True, check=True).stdout
    assert "attempt 1, launch 1" in everything
    assert "hush" not in everything
    assert (
        "hush"
        not in subprocess.run(["systemctl", "cat", unit_name(1)], capture_output=True, text=True, check=True).stdout
    )


def test_the_shim_is_roots_and_the_job_its_users(node):
    job = node.start(node.job("id -u; exec sleep 1000", uid=NOBODY, gid=NOBODY))
    until(lambda: node.output() == f"{NOBODY}\n")
    [pid] = node.engine.pids(job)
    assert Path(f"/proc/{job.pid}").stat().st_uid == 0
    assert Path(f"/proc/{pid}").stat().st_uid == NOBODY
    assert int(Path(f"/proc/{job.pid}/oom_score_adj").read_text()) == -900
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 0
    assert set(cgroup.pids_in(group())) == {job.pid, pid}
    assert node.engine.owners([pid, 1], [job]) == {pid: 1}


@pytest.fixture
def gpu_nodes() -> Iterator[tuple[Path, Path]]:
    """Device nodes of two GPUs that no driver serves: to open one says so, where it is allowed."""
    nodes = (Path("/dev/nvidia61"), Path("/dev/nvidia62"))
    for place in nodes:
        os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(195, int(place.name[6:])))
        place.chmod(0o666)
    yield nodes
    for place in nodes:
        place.unlink()


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_a_job_can_open_its_own_gpu_and_no_other(node, gpu_nodes, uid):
    program = "for n in 61 62; do (exec 3<> /dev/nvidia$n) 2>&1; done; echo x > /dev/null && echo fine; exit 0"
    node.run(program, minors=(62,), uid=uid, gid=uid)
    other, own, rest = node.output().splitlines()
    assert "Operation not permitted" in other
    assert "No such device or address" in own
    assert rest == "fine"


def test_a_job_without_gpus_can_open_none_and_one_without_a_node_starts_all_the_same(node, gpu_nodes):
    node.run("for n in 61 62; do (exec 3<> /dev/nvidia$n) 2>&1; done; exit 0")
    assert node.output().count("Operation not permitted") == 2
    assert node.run("exit 0", minors=(99,), job_id=2).exit_code == 0


HOG = "python3 -c 'b = bytearray(300 * 1024**2)'"


def test_the_kernel_ends_a_job_that_takes_more_memory_than_it_asked_for(node):
    end = node.run(HOG, mem_bytes=100 * 1024**2)
    assert (end.cause, end.exit_code or end.signal) in {("out_of_memory", 137), ("out_of_memory", 9)}
    assert "killed 1 of its processes at its limit of 100 MiB" in end.error
    assert node.engine.pids(node.job("", 1)) == ()


def test_a_job_that_lost_a_process_for_memory_and_did_well_has_done_well(node):
    end = node.run(f"{HOG}; exit 0", mem_bytes=100 * 1024**2)
    assert (end.cause, end.exit_code, end.error) == ("exited", 0, None)


def test_a_job_within_its_memory_ends_as_it_says(node):
    assert node.run(HOG, mem_bytes=600 * 1024**2).cause == "exited"


def test_what_a_killed_shim_leaves_is_ended_by_its_unit_and_never_reported_before(node):
    job = node.start(node.job("trap '' TERM; echo up; (setsid sleep 1000 &); while :; do sleep 1; done"))
    until(lambda: node.output() == "up\n" and len(cgroup.pids_in(group())) >= 3)
    os.kill(job.pid, signal.SIGKILL)
    until(lambda: isinstance(node.engine.outcome(job), Vanished) or node.engine.adopt(job) is None)
    assert not group().exists() or not cgroup.pids_in(group())
    assert node.engine.outcome(job) == Vanished(rebooted=False, started_at=node.engine.outcome(job).started_at)


def test_who_stops_the_unit_stops_the_job_as_it_wished(node):
    job = node.start(node.job("trap 'echo saved; exit 7' TERM; echo up; while :; do sleep 0.05; done"))
    until(lambda: node.output() == "up\n")
    subprocess.run(["systemctl", "stop", unit_name(1)], check=True)
    end = until(lambda: isinstance(found := node.engine.outcome(job), Ended) and found)
    assert (end.cause, end.exit_code) == ("stopped", 7)
    assert node.output().count("saved") == 1, "its one signal came from the shim"


def test_the_next_attempt_takes_over_the_name_at_once(node):
    for attempt in (1, 2, 3):
        assert node.run("exit 3", attempt=attempt).exit_code == 3


def test_a_unit_of_somebody_else_keeps_the_name(node):
    subprocess.run(["systemd-run", "--quiet", "--collect", f"--unit={unit_name(7)}", "sleep", "1000"], check=True)
    try:
        with pytest.raises(StartFailed, match=r"there is a unit dcd-job-7\.service already"):
            node.engine.start(StartOrder(node.job("exit 0", job_id=7), {}, ()))
        assert node.engine.outcome(node.job("", job_id=7)) == Unlaunched()
    finally:
        subprocess.run(["systemctl", "stop", unit_name(7)], check=True)


def test_a_job_goes_on_without_a_daemon_and_is_adopted_by_its_pid(node):
    job = node.start(node.job("echo up; exec sleep 1000"))
    until(lambda: node.output() == "up\n")
    node.engine.close()
    node.successor()
    assert node.engine.adopt(job) == Alive(job.pid, node.engine.outcome(job).started_at)
    with pytest.raises(Refused, match="has been started already"):
        node.engine.start(StartOrder(job, {}, ()))
    node.engine.stop(job, "TERM", 5.0, "cancelled")
    until(lambda: node.ends)
    assert isinstance(node.engine.outcome(job), Ended)


#: Stand in the place of systemd-run: each runs the real one, or not, and answers as one that was killed or hangs.
BROKEN = {
    "killed before it asked": "exit 1",
    "killed after it asked": '{real} "$@"; kill -KILL $$',
    "killed right after it asked": '{real} --no-block "$@"; kill -KILL $$',
    "asks and says it failed": '{real} "$@"; echo Connection timed out >&2; exit 1',
    "asks later": 'setsid sh -c "sleep 1; exec {real} \\"\\$@\\"" x "$@" > /dev/null 2>&1 & exit 1',
}


@pytest.mark.parametrize("how", list(BROKEN))
def test_a_launch_of_unknown_fate_runs_the_job_once(node, tmp_path, monkeypatch, how):
    real = shutil.which("systemd-run")
    tools = tmp_path / "tools"
    tools.mkdir()
    once, tool = tmp_path / "once", tools / "systemd-run"
    # Broken at its first use only.
    tool.write_text(f'#!/bin/sh\nmkdir {once} 2> /dev/null || exec {real} "$@"\n{BROKEN[how].format(real=real)}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    marks = tmp_path / "marks"
    marks.touch()
    end = node.run(f"echo x >> {marks}; sleep 2; exit 3")
    assert (end.cause, end.exit_code) == ("exited", 3)
    time.sleep(1.5 if how == "asks later" else 0)  # the late one has to have come and lost
    assert marks.read_text() == "x\n"
    assert not isinstance(node.engine.outcome(node.job("")), Leftover)


def test_an_attempt_that_a_dying_daemon_had_asked_for_runs_never_once_it_was_voided(node, tmp_path):
    job = node.job(f"touch {tmp_path / 'ran'}", job_id=5)
    spec_of = node.engine._launcher.attempt(5, 1)
    spec_of.path.mkdir(parents=True)
    assert node.engine.adopt(job) == Unlaunched()
    command = ["systemd-run", "--quiet", "--collect", "--service-type=oneshot", f"--unit={unit_name(5)}"]
    from dcdaemon.runner.units import SHIM  # noqa: PLC0415

    subprocess.run([*command, "python3", "-I", "-S", "-B", str(SHIM), str(spec_of.path), "1"], check=True)
    assert not (tmp_path / "ran").exists()
    assert node.engine.outcome(job) == Unlaunched()


def test_the_memory_that_counts_is_what_the_kernel_cannot_take_back(node):
    program = "python3 -c 'import time; b = bytearray(64 * 1024**2); print(1, flush=True); time.sleep(1000)'"
    job = node.start(node.job(program, mem_bytes=256 * 1024**2))
    until(lambda: node.output() == "1\n")
    held = node.engine.held(job, 0.0)
    assert held.fenced
    assert 64 * 1024**2 <= held.bytes < 128 * 1024**2

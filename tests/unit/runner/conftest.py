"""A launcher on a fresh state directory, driven as the daemon drives it, with real processes."""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from patience import until

from dcdaemon.runner.launch import Launcher
from dcdaemon.runner.records import Ended, ExitRecord, LaunchSpec, Outcome

DEADLINE_S = 10.0


class Node:
    """One launcher, the ends it was told, and short ways to run a job."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.ends: queue.Queue[tuple[int, int]] = queue.Queue()
        self.launcher = Launcher(state_dir, lambda job_id, attempt: self.ends.put((job_id, attempt)))
        self.launcher.start()
        self._last_job = 0

    def spec(self, *argv: str, **fields: Any) -> LaunchSpec:
        self._last_job += 1
        plain = LaunchSpec(
            job_id=self._last_job,
            attempt=1,
            argv=argv,
            cwd="/",
            env={"PATH": os.environ["PATH"]},
            uid=os.geteuid(),
            gid=os.getegid(),
            grace_s=DEADLINE_S,
        )
        return replace(plain, **fields)

    def start(self, *argv: str, **fields: Any) -> LaunchSpec:
        spec = self.spec(*argv, **fields)
        self.launcher.launch(spec)
        return spec

    def python(self, program: str, **fields: Any) -> LaunchSpec:
        return self.start(sys.executable, "-I", "-S", "-c", program, **fields)

    def next_end(self) -> Outcome:
        key = self.ends.get(timeout=DEADLINE_S)
        return self.launcher.adopt(*key)

    def end_of(self, spec: LaunchSpec) -> ExitRecord:
        key = self.ends.get(timeout=DEADLINE_S)
        assert key == (spec.job_id, spec.attempt)
        outcome = self.launcher.adopt(*key)
        assert isinstance(outcome, Ended), outcome
        return outcome.record

    def run(self, *argv: str, **fields: Any) -> ExitRecord:
        return self.end_of(self.start(*argv, **fields))

    def directory(self, spec: LaunchSpec) -> Path:
        return self.launcher.attempt(spec.job_id, spec.attempt).path

    def log(self, spec: LaunchSpec) -> str:
        path = self.directory(spec) / "output.log"
        return path.read_text() if path.exists() else ""

    def outcome(self, spec: LaunchSpec) -> Outcome:
        return self.launcher.outcome(spec.job_id, spec.attempt)

    def stop(self, spec: LaunchSpec, name: str = "TERM", grace_s: float = DEADLINE_S) -> bool:
        return self.launcher.stop(spec.job_id, spec.attempt, name, grace_s, "cancelled")

    def clean(self) -> None:
        """Leave nothing running: kill what the jobs of this node still have."""
        for job_id in range(1, self._last_job + 1):
            for pid in self.launcher.pids(job_id, 1):
                os.kill(pid, signal.SIGKILL)
        self.launcher.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "state")
    node.state_dir.mkdir()
    yield node
    node.clean()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Node]:
    """A node whose state has a filesystem of 4 MiB to itself."""
    state = tmp_path / "small"
    state.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(state)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small filesystem needs root")
    node = Node(state)
    yield node
    node.clean()
    subprocess.run(["umount", "-l", state], check=True)


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until

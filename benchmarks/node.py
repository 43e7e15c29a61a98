"""A real daemon in a temporary place, for benchmarks: the production path with its shim, fsync and adoption record."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unreachable

GPUS = 8


@dataclass(frozen=True)
class Node:
    """A running daemon: how to talk to it, where its state is, and its process."""

    client: Client
    state_dir: Path
    process: "subprocess.Popen[bytes]"

    def submit(self, argv: list[str], count: int = 1, **more: Any) -> list[int]:
        """Queue `count` equal jobs in one request; returns their ids."""
        body = {"argv": argv, "cwd": str(self.state_dir), "cpus": 0, **more}
        answer = self.client.post("/v1/jobs", {"jobs": [body] * count, "env": {"PATH": os.environ["PATH"]}})
        return [job["id"] for job in answer["jobs"]]

    def wait(self, ids: list[int]) -> None:
        """Return when these jobs have ended; only their first and last id are sent."""
        done = self.client.get("/v1/wait", {"sel": f"{ids[0]}-{ids[-1]}"}, patient=True)
        assert done["done"], done

    def log(self, job_id: int) -> str:
        """Return what a job wrote."""
        return (self.state_dir / "jobs" / str(job_id) / "1" / "output.log").read_text()


@contextlib.contextmanager
def running_node(prepare: Callable[[Path], None] | None = None, driver: dict[str, str] | None = None) -> Iterator[Node]:
    """Start a daemon; `prepare` may fill its state directory, `driver` names a fake driver to use."""
    with tempfile.TemporaryDirectory(prefix="dcd-bench-") as name:
        directory = Path(name)
        state_dir = directory / "state"
        state_dir.mkdir(mode=0o711)
        if prepare is not None:
            prepare(state_dir)
        with start_daemon(directory, driver) as process:
            try:
                node = Node(answering(directory / "dcd.sock"), state_dir, process)
                yield node
                node.client.post("/v1/jobs/cancel", {"select": ["all"], "signal": "KILL"})
            finally:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()


def start_daemon(
    directory: Path, driver: dict[str, str] | None = None, program: tuple[str, ...] = ("-m", "dcdaemon")
) -> "subprocess.Popen[bytes]":
    """Start a daemon whose socket and state are in this directory."""
    settings = {
        "DCD_DAEMON__STATE_DIR": str(directory / "state"),
        "DCD_DAEMON__SOCKET": str(directory / "dcd.sock"),
        "DCD_DAEMON__LOG_LEVEL": "warning",
        "DCD_JOBS__NO_CPU_PER_USER": "",  # what is measured is not how long they wait for each other
        **(driver or {}),
    }
    simulate = [] if driver is not None else ["--simulate-gpus", str(GPUS)]
    command = [sys.executable, *program, "daemon", "run", *simulate]
    return subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)


def answering(socket: Path) -> Client:
    """Wait for the daemon's first answer, and return a client of it."""
    client = Client(f"unix://{socket}", timeout_s=300)
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/v1/status")
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return client


def percentile(values: list[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

"""The daemon of the demo: started in a temporary place as a user would, and stopped with all its jobs."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError, Unreachable

_START_WITHIN_S = 30.0
_END_WITHIN_S = 10.0


def driver_answers() -> bool:
    """Tell whether an NVIDIA driver with at least one GPU answers here."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    count = ctypes.c_uint(0)
    if library.nvmlInit_v2() != 0:
        return False
    found = library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 and count.value > 0
    library.nvmlShutdown()
    return found


@contextlib.contextmanager
def running_daemon(directory: Path, simulate: int) -> Iterator[Client]:
    """Start the daemon as a user would, wait until it answers, stop it at the end."""
    settings = {
        "DCD_DAEMON__STATE_DIR": str(directory / "state"),
        "DCD_DAEMON__SOCKET": str(directory / "dcd.sock"),
        "DCD_STORAGE__URL": f"sqlite:///{directory}/dcdaemon.db",
        "DCD_ANOMALIES__IDLE_AFTER": "15s",
        "DCD_DAEMON__LOG_LEVEL": "warning",
    }
    log = (directory / "daemon.log").open("wb")
    pretend = ["--simulate-gpus", str(simulate)] if simulate else []
    command = [sys.executable, "-m", "dcdaemon", "daemon", "run", *pretend]
    # In a session of its own: Ctrl-C is for the demo, which needs the daemon to end the jobs.
    with (
        log,
        subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True
        ) as daemon,
    ):
        client = Client(f"unix://{directory}/dcd.sock")
        try:
            _wait_for(client, daemon, directory / "daemon.log")
            yield client
        finally:
            with contextlib.suppress(DcdError):  # a daemon that died has been told about already
                end_jobs(client)
            daemon.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(15)
            daemon.kill()


def end_jobs(client: Client) -> None:
    """End what still runs or waits: jobs outlive their daemon, and a demo must leave nothing."""
    ids = [str(job["id"]) for job in client.get("/v1/jobs")["jobs"]]
    if ids:
        client.post("/v1/jobs/cancel", {"select": ids, "signal": "KILL"})
    deadline = time.monotonic() + _END_WITHIN_S
    while client.get("/v1/jobs")["jobs"] and time.monotonic() < deadline:
        time.sleep(0.1)


def _wait_for(client: Client, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline and daemon.poll() is None:
        with contextlib.suppress(Unreachable):
            client.get("/v1/status")
            return
        time.sleep(0.1)
    raise Unreachable("the daemon did not start", f"it said: {log.read_text()[-2000:]}")

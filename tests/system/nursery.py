"""Starts daemons for tests: one process loads the program once and forks each daemon, which saves a second each time.

Run as a program it reads one JSON request a line and answers with the pid; what it forked dies with it.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

PR_SET_PDEATHSIG = 1
TESTS = Path(__file__).parents[1]


class Nursery:
    """The process that forks daemons; `close` ends it and every daemon that still lives."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def fork_daemon(self, env: Mapping[str, str], log: Path, crash_at: str | None) -> int:
        """Start a daemon with this environment and return its pid; it kills itself at the named point."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(
            json.dumps({"env": dict(env), "log": str(log), "crash_at": crash_at}), file=self._process.stdin, flush=True
        )
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it, and with it all its daemons."""
        self._process.communicate(timeout=10)


def main() -> None:
    """Serve requests until stdin is closed."""
    import dcdaemon.daemon.build  # noqa: PLC0415
    import dcdaemon.daemon.main  # noqa: PLC0415
    import dcdaemon.fakes.gpus  # noqa: PLC0415
    import dcdaemon.store.sql_store  # noqa: PLC0415
    import dcdaemon.store.sqlite  # noqa: F401, PLC0415

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries ended daemons
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _be_daemon(**json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _be_daemon(env: dict[str, str], log: str, crash_at: str | None) -> None:
    """Become a daemon; never returns."""
    exit_code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(env)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        exit_code = _run(crash_at)
    except BaseException:  # noqa: BLE001  told in the daemon's log, and by its exit
        with contextlib.suppress(OSError):
            traceback.print_exc()
    finally:
        os._exit(exit_code)


def _run(crash_at: str | None) -> int:
    sys.path.insert(0, str(TESTS))
    from system.crash_points import arm  # noqa: PLC0415

    from dcdaemon.cli.main import run  # noqa: PLC0415

    if crash_at is not None:
        arm(crash_at)
    simulated = [] if "FAKE_NVML_STATE" in os.environ else ["--simulate-gpus", "8"]
    return run(["daemon", "run", *simulated])


if __name__ == "__main__":
    main()

"""Starts the telemetry child and gets rid of it without ever waiting long, hung in the driver or not."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import dcdaemon

_MERCY_S = 0.25
_CHUNK_BYTES = 65536


class NvmlChild:
    """One running telemetry child and what it says."""

    def __init__(self, interval_s: float) -> None:
        # -S and a given path: the child can import what this process can, without start-up hooks of packages.
        path = os.pathsep.join([str(Path(dcdaemon.__file__).parent.parent), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "dcdaemon.telemetry.nvml_child", str(interval_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            process_group=0,  # Ctrl-C in a terminal is the daemon's business: the child ends with its parent
        )
        self.pid = self._process.pid
        self._rest = b""
        self._poll = select.poll()
        if self._process.stdout is not None:
            self._poll.register(self._process.stdout, select.POLLIN)

    def lines(self, timeout_s: float) -> list[bytes] | None:
        """Return the lines said within the time; None when the child will say nothing more."""
        if self._process.stdout is None or not self._poll.poll(timeout_s * 1000):
            return []
        chunk = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
        if not chunk:
            self._gone_within(_MERCY_S)
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return lines

    def ask_to_end(self) -> None:
        """Send SIGTERM and return at once."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL and return at once; a process stuck in the kernel takes it only when it comes back."""
        self._process.kill()

    def end(self) -> bool:
        """Ask, then kill; return whether the child is gone, after half a second at most."""
        self.ask_to_end()
        if not self._gone_within(_MERCY_S):
            self.kill()
        gone = self._gone_within(_MERCY_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return gone

    def gone(self) -> bool:
        """Return whether the child is over, and reap it."""
        return self._process.poll() is not None

    def fate(self) -> str:
        """Say how the child ended."""
        code = self._process.poll()
        if code is None:
            return "is stuck in the driver"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _gone_within(self, wait_s: float) -> bool:
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        return True

"""Starts the telemetry child and gets rid of it without ever waiting long, hung in the driver or not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dcdaemon
from dcdaemon.telemetry.gpu_plan import Plan

#: So long a child may take to finish what it is at, and so long a killed one to be gone.
_MERCY_S = 0.25
_CHUNK_BYTES = 65536


class NvmlChild:
    """One running telemetry child and what it says; `fileno` is readable when it has said something."""

    def __init__(self, plan: Plan) -> None:
        # -S and a given path: the child can import what this process can, without start-up hooks of packages.
        path = os.pathsep.join([str(Path(dcdaemon.__file__).parent.parent), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "dcdaemon.telemetry.nvml_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            process_group=0,  # Ctrl-C in a terminal is the daemon's business: the child ends with its parent
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018  both are pipes
        self._in, self._out = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self._rest = b""
        # Kept: a fresh one for each reading, cut down to what came, would leave the heap in pieces.
        self._buffer = bytearray(_CHUNK_BYTES)
        self._in.write(plan.line())

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._out.fileno()

    def lines(self) -> list[bytes] | None:
        """Return the lines it has said, waiting for some; None when it will say nothing more."""
        length = os.readv(self._out.fileno(), [self._buffer])
        if not length:
            self._gone_within(_MERCY_S)
            return None
        *lines, self._rest = (self._rest + self._buffer[:length]).split(b"\n")
        return lines

    def ask_to_end(self) -> None:
        """Close our end, and return at once: it finishes what it is at, and leaves."""
        self._in.close()

    def kill(self) -> None:
        """Send SIGKILL and return at once; a process stuck in the kernel takes it only when it comes back."""
        self._process.kill()

    def end(self) -> bool:
        """Ask, then kill; return whether the child is gone, after half a second at most."""
        self.ask_to_end()
        if not self._gone_within(_MERCY_S):
            self.kill()
        gone = self._gone_within(_MERCY_S)
        self._in.close()
        self._out.close()
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

"""Tells whose process it is that holds a GPU: user, command and age of the PIDs the driver names."""

import time
from dataclasses import replace

import psutil

from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.secrecy import mask_argv
from dcdaemon.telemetry.processes import start_ticks

_REMEMBERED = 4096


class ProcessIdentities:
    """Remembers each process under its PID and start: a reused PID is never taken for the old process."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[GpuProcess, float]] = {}

    def describe(self, pid: int, mem_used_bytes: int | None) -> GpuProcess | None:
        """Return the process; None when that PID is not here (gone, or outside this PID namespace)."""
        ticks = start_ticks(pid)
        if ticks is None:
            return None
        process, created_at = self._known.get((pid, ticks)) or self._meet(pid, ticks)
        return replace(process, mem_used_bytes=mem_used_bytes, age_s=max(0.0, time.time() - created_at))

    def _meet(self, pid: int, ticks: int) -> tuple[GpuProcess, float]:
        """Look a process up once: reading a command line can block while its owner is stuck in the driver."""
        user, command, created_at = _look_up(pid)
        met = GpuProcess(pid, None, user=user, command=command), created_at
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        # A process in the middle of exec has no command line yet: it is met again next time.
        if command:
            self._known[pid, ticks] = met
        return met


def _look_up(pid: int) -> tuple[str | None, str | None, float]:
    """Return user, command and start; each by itself, because a command line may be closed to us and a user is not."""
    try:
        process = psutil.Process(pid)
        user, created_at = process.username(), process.create_time()
    except psutil.Error:
        return None, None, time.time()
    try:
        return user, " ".join(mask_argv(process.cmdline())) or None, created_at
    except psutil.Error:
        return user, None, created_at

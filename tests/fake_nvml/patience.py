"""Waits on real processes: polls until something holds, and gives up at a deadline."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(holds: Callable[[], object], within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"

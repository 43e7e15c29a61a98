"""Waits on real processes and threads: polls until something holds, and gives up at a deadline."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WITHIN_S = 60.0


def until(condition: Callable[[], Any], what: str = "what was waited for", within_s: float = WITHIN_S) -> Any:
    """Poll until the condition gives something true, and return that."""
    deadline_s = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline_s, f"{what} did not come about in {within_s} s"
        time.sleep(0.005)
    return result


def alive(pid: int) -> bool:
    """Tell whether a process of ours still runs; one that nobody has collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"

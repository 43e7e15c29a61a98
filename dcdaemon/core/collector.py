"""How a collector is doing, and why it may have nothing to read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a collector has nothing to read, as a clause; `wrong` when something set up does not work."""

    why: str
    fix: str | None = None
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class CollectorReport:
    """How one collector is doing; `every_s` is None for one that follows what comes, `last_read_s` is monotonic."""

    name: str
    every_s: float | None
    running: bool = True
    lack: Lack | None = None
    error: str | None = None
    last_read_s: float | None = None
    last_duration_s: float | None = None

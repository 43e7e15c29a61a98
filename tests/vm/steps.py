"""How long each step took; told at the end of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

TAKEN_S: list[tuple[str, float]] = []
#: What else is told at the end of a run.
NOTES: list[str] = []


@contextmanager
def step(name: str) -> Iterator[None]:
    """Measure what is done in here, also where it fails."""
    begun_s = time.monotonic()
    try:
        yield
    finally:
        TAKEN_S.append((name, time.monotonic() - begun_s))

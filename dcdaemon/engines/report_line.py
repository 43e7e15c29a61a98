"""Turns a line that a job wrote into a report; a job may write anything, and nothing of it may hurt the daemon."""

from collections.abc import Mapping
from math import isfinite

from dcdaemon.core.job import Job
from dcdaemon.core.ports import Report

Value = float | int | str | None
#: Later ones of a line are left out; no training has more.
MAX_VALUES = 100
MAX_NAME = 100
MAX_TEXT = 1000
_INT_BOUND = 2**63  # what a database keeps as an integer
_YEAR_9999 = 253_402_300_800.0


def report_of(job: Job, document: Mapping[str, object]) -> Report | None:
    """Return the line as a report of this attempt, None when it is none; values of other kinds are left out."""
    at, step, values = document.get("t"), document.get("step"), document.get("values")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at < _YEAR_9999:
        return None
    if step is not None and (isinstance(step, bool) or not isinstance(step, int) or abs(step) >= _INT_BOUND):
        return None
    if not isinstance(values, dict):
        return None
    kept = {_text(str(name), MAX_NAME): value for name, value in values.items() if _is_value(value)}
    first = list(kept.items())[:MAX_VALUES]
    return Report(job.id, job.attempt, float(at), step, {name: _plain(value) for name, value in first})


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, (int, float, str))


def _plain(value: Value) -> Value:
    """Return the value as JSON and both databases can hold it; a number that is none becomes null."""
    if isinstance(value, str):
        return _text(value, MAX_TEXT)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) < _INT_BOUND else None
    return value if value is not None and isfinite(value) else None


def _text(text: str, longest: int) -> str:
    """Cut a text, and take out what cannot be stored: NUL, which PostgreSQL refuses, and lone surrogates."""
    return text[:longest].replace("\0", "").encode("utf-8", "replace").decode()

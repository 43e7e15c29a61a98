"""Turn the API's values into the words and figures of tables; unknown is always `-`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from dcdaemon.client.answer import Document
from dcdaemon.core.units import format_bytes, format_duration, format_energy

UNKNOWN = "-"
_MILLIJOULES = 1000
_GIB = 2**30
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def printable(text: str) -> str:
    """Return text that cannot move the cursor or colour the terminal, whatever a job put into it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def percent(ratio: float | None) -> str:
    """Print a ratio as whole per cent."""
    return UNKNOWN if ratio is None else f"{ratio * 100:.0f}%"


def watts(power_w: float | None) -> str:
    """Print watts."""
    return UNKNOWN if power_w is None else f"{power_w:.0f} W"


def celsius(temp_c: float | None) -> str:
    """Print degrees."""
    return UNKNOWN if temp_c is None else f"{temp_c:.0f} C"


def energy(energy_j: float | None) -> str:
    """Print joules in the unit that reads best."""
    return UNKNOWN if energy_j is None else format_energy(round(energy_j * _MILLIJOULES))


def gpu_hours(gpu_s: float | None) -> str:
    """Print GPU-seconds as GPU-hours."""
    return UNKNOWN if gpu_s is None else f"{gpu_s / 3600:.2f}"


def duration(seconds: float | None) -> str:
    """Print seconds with at most two units."""
    return format_duration(seconds)


def memory(count: int | None) -> str:
    """Print bytes with a binary unit."""
    return format_bytes(count)


def memory_of(used: int | None, total: int | None) -> str:
    """Print `62/80 GiB`."""
    if used is None or total is None:
        return UNKNOWN
    digits = 1 if used < 10 * _GIB else 0
    return f"{used / _GIB:.{digits}f}/{total / _GIB:.0f} GiB"


def when(text: str | None) -> str:
    """Print an ISO-8601 time as local time, to the second."""
    return UNKNOWN if text is None else datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(text: str | None, now: datetime | None = None) -> str:
    """Print an ISO-8601 time as `3m ago`, or `in 3m`."""
    if text is None:
        return UNKNOWN
    age_s = ((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds()
    return f"{short(age_s)} ago" if age_s >= 0 else f"in {short(-age_s)}"


def short(seconds: float) -> str:
    """Print an age: to the second below a minute, then to the minute, from a day on to the hour."""
    step_s = 1 if seconds < _MINUTE_S else _MINUTE_S if seconds < _DAY_S else _HOUR_S
    return format_duration(seconds // step_s * step_s)


def count(number: int, noun: str) -> str:
    """Print `1 GPU`, `2 GPUs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def spans(numbers: Sequence[int]) -> str:
    """Print `1-8, 12`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(str(end) for end in run) for run in runs)


def values(reported: Document) -> str:
    """Print what a job reported: `accuracy 0.98, loss 0.1`; of a checkpoint how old it is."""
    return ", ".join(_told(key, value) for key, value in reported.items())


def _told(key: str, value: object) -> str:
    if key == "checkpoint_at" and isinstance(value, float) and 0 <= (age_s := time.time() - value) <= time.time():
        return f"saved {short(age_s)} ago"
    return f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"

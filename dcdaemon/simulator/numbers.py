"""Numbers of a recording, checked one by one: each refusal names the file, the line and the column."""

import math

from dcdaemon.core.errors import BadInput

#: Three hundred years: more is no time of any recording.
LONGEST_S = 1e10
MOST_GPUS = 1_000_000
FORMATS_HINT = "a trace is CSV with submit_s,duration_s,gpus or the Standard Workload Format: docs/simulator.md"


def seconds(text: str, column: str, where: str) -> float:
    """Return a time in seconds; raise BadInput for what is no number, negative or endless."""
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{where}: {column} is {short(text)}, not a number of seconds", FORMATS_HINT) from None
    if math.isnan(value) or value > LONGEST_S:
        raise BadInput(f"{where}: {column} is {short(text)}; the longest time is {LONGEST_S:.0e} seconds", FORMATS_HINT)
    if value < 0:
        raise BadInput(f"{where}: {column} is {short(text)}, a time before 0", "times count from the first submit")
    return value


def gpu_count(text: str, column: str, where: str) -> int:
    """Return how many GPUs; raise BadInput for what is no whole number from 0 up."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_GPUS or not value.is_integer():
        wrong = f"{where}: {column} is {short(text)}, not a whole number of GPUs from 0 to {MOST_GPUS:,}"
        raise BadInput(wrong, FORMATS_HINT)
    return int(value)


def short(text: str) -> str:
    """Return a value as an error shows it: quoted, and cut."""
    return repr(text if len(text) <= 40 else text[:40] + "…")

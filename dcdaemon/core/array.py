"""The indices of a job array, as people write them: `0-99`, `0-15:4`, `1,3,7`, each with `%5` for five at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from dcdaemon.core.errors import BadInput

#: How many jobs an array may have: each is a row to store and a job to decide on.
MAX_TASKS = 10_000
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", re.ASCII)
_LARGE = re.compile(r"\d{10}", re.ASCII)
_LIMIT = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Array:
    """Indices in order, each once; `limit` is how many of the jobs may run at a time, None for all."""

    indices: tuple[int, ...]
    limit: int | None = None


def parse_array(text: str) -> Array:
    """Return the indices; raise BadInput for what names none, names one twice, or names too many."""
    listed, percent, most = text.partition("%")
    if percent and (not _LIMIT.fullmatch(most) or int(most) == 0):
        raise _no_array(text)
    ranges = [_range(part.strip(), text) for part in listed.split(",")]
    # Counted before anything is written out: a billion indices take a dozen characters.
    total = sum(len(one) for one in ranges)
    if total > MAX_TASKS:
        raise BadInput(
            f"an array of {total} jobs: at most {MAX_TASKS} are taken in one request",
            "submit it in parts, like --array 0-9999 and --array 10000-19999",
        )
    indices = sorted(chain.from_iterable(ranges))
    _refuse_twice(indices, text)
    return Array(tuple(indices), int(most) if percent else None)


def format_indices(indices: Sequence[int]) -> str:
    """Return the text of indices in order: `0-3,7`."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], index]
        else:
            runs.append([index])
    return ",".join("-".join(map(str, run)) for run in runs)


def _range(part: str, text: str) -> range:
    match = _RANGE.fullmatch(part)
    if not match:
        if _LARGE.search(part):
            raise BadInput(
                f"the array {_cut(text)!r} has an index of more than nine digits", "number its jobs from 0 on"
            )
        raise _no_array(text)
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    if last < first or step == 0:
        raise _no_array(text)
    return range(first, last + 1, step)


def _refuse_twice(indices: Sequence[int], text: str) -> None:
    for before, index in pairwise(indices):
        if before == index:
            raise BadInput(f"the array {_cut(text)!r} names index {index} twice", "name each index once")


def _no_array(text: str) -> BadInput:
    return BadInput(f"{_cut(text)!r} names no indices of an array", "write it like 0-99, 0-99%5, 0-15:4 or 1,3,7")


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

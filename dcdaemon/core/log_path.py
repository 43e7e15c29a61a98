"""Where a job's own log lies: a path in which `%j`, `%x` and the like stand for the job's id, its name and so on."""

import re
from collections.abc import Mapping

from dcdaemon.core.job import Job

#: As sbatch has them; a number between pads with zeros: `%5j`.
_SYMBOL = re.compile(r"%(?:%|(\d{0,2})([AabJjNnstux]))")
_WIDEST = 10
_FIRST_INDEX = 0


def log_path(job: Job) -> str | None:
    """Return the path with its symbols replaced; as it is where it holds a backslash, None for the daemon's own log."""
    pattern = job.spec.log_path
    return pattern if pattern is None or "%" not in pattern else replaced(pattern, _meanings(job))


def replaced(pattern: str, meanings: Mapping[str, str]) -> str:
    """Return a path with each symbol replaced by what its letter means."""
    if "\\" in pattern:
        return pattern.replace("\\", "")
    return _SYMBOL.sub(lambda match: _meaning(match, meanings), pattern)


def _meaning(match: re.Match[str], meanings: Mapping[str, str]) -> str:
    if match[2] is None:
        return "%"
    meaning = meanings[match[2]]
    return meaning.zfill(min(int(match[1] or 0), _WIDEST)) if meaning.isdecimal() else meaning


def _meanings(job: Job) -> dict[str, str]:
    """Return what each symbol stands for; a job that is no array has index 0 of its own."""
    spec = job.spec
    index = _FIRST_INDEX if spec.array_index is None else spec.array_index
    return {
        "A": str(spec.array_id or job.id), "a": str(index), "b": str(index % 10), "j": str(job.id), "J": str(job.id),
        "N": job.node.partition(".")[0], "n": "0", "s": "batch", "t": "0", "u": spec.user,
        "x": spec.name.replace("/", "_"),
    }  # fmt: skip

"""Which attempts have a directory, whatever a database says."""

import os
from pathlib import Path


def job_ids(state_dir: Path) -> list[int]:
    """Return the ids of all jobs that have a directory."""
    return _numbers(state_dir / "jobs")


def newest_attempt(state_dir: Path, job_id: int) -> int:
    """Return the number of a job's latest attempt that has a directory; 0 without any."""
    return max(_numbers(state_dir / "jobs" / str(job_id)), default=0)


def _numbers(directory: Path) -> list[int]:
    try:
        names = os.listdir(directory)  # noqa: PTH208  names are all that is needed, and there may be many
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

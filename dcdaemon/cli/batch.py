"""Many jobs from one file: a command line each, or a JSON object each."""

import json
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dcdaemon.cli.catalog import did_you_mean
from dcdaemon.core.errors import BadInput

_KEYS = (
    "argv", "cwd", "name", "gpus", "cpus", "mem_bytes", "limit_s", "grace_s", "priority", "after", "log_path",
    "requeue", "held", "queue", "account", "begin_at", "deadline_at", "array", "after_any", "after_not_ok",
    "gpu_mem_bytes", "gpu_mem_auto",
    "checkpoint_signal", "checkpoint_s", "launcher", "ranks", "hang_after_s",
)  # fmt: skip
#: No number of a job is as large; what JSON calls a number may be anything.
_LARGEST = 2**60
#: How many jobs the daemon takes in one request.
_MOST = 10_000


def read_batch(file: str, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one job for each line of the file (`-` = stdin), on top of the options; raise BadInput."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        why, hint = error.strerror or str(error), "check the path; --batch - reads standard input"
        raise BadInput(f"the batch file {file} cannot be read: {why}", hint) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"the batch file {file} is not text (UTF-8)", "one command line a line") from error
    jobs = list(_jobs(text.splitlines(), common, "standard input" if file == "-" else file))
    if not jobs:
        raise BadInput(f"the batch {file} holds no job", "write one command line a line, or one JSON object a line")
    if len(jobs) > _MOST:
        # In several requests the first ones would be queued when a later one is refused.
        raise BadInput(
            f"a batch of {len(jobs)} jobs: at most {_MOST} are taken in one request",
            f"submit it in parts: split -l {_MOST} makes them",
        )
    return jobs


def _jobs(lines: Iterable[str], common: Mapping[str, Any], source: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        try:
            asked = _object(words) if words.startswith("{") else {"argv": _command(words)}
        except ValueError as error:
            raise BadInput(f"{source}, line {number}: {error}", "nothing was queued; correct this line") from error
        yield {**common, **asked}


def _command(text: str) -> list[str]:
    if text.startswith("-"):
        raise ValueError("a command, or a JSON object; options for all lines stand before --batch")
    return shlex.split(text, comments=True)


def _object(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except RecursionError:
        raise ValueError("lists within lists within lists, too deep for a job") from None
    for key, value in asked.items():
        if key not in _KEYS:
            raise ValueError(f"a job has no {key!r}{did_you_mean(key, _KEYS)}")
        _refuse_no_amount(key, value)
    argv = asked.get("argv")
    if not isinstance(argv, list) or not argv:
        raise ValueError('"argv" must be a list of words, like ["python", "train.py"]')
    return dict(asked)


def _refuse_no_amount(key: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'"{key}" is not a number')
    if isinstance(value, int | float) and abs(value) > _LARGEST:
        raise ValueError(f'"{key}" is too large')

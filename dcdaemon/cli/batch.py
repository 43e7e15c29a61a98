"""Many jobs from one file: a command line each, or a JSON object each."""

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dcdaemon.cli.catalog import did_you_mean
from dcdaemon.core.errors import BadInput

_KEYS = (
    "argv", "cwd", "name", "gpus", "cpus", "mem_bytes", "limit_s", "grace_s", "priority", "after", "log_path",
    "requeue", "held", "queue", "account", "begin_at", "array", "after_any", "after_not_ok", "gpu_mem_bytes",
)  # fmt: skip


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
    return jobs


def _jobs(lines: Iterable[str], common: Mapping[str, Any], source: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        try:
            asked = _object(words) if words.startswith("{") else {"argv": shlex.split(words, comments=True)}
        except ValueError as error:
            raise BadInput(f"{source}, line {number}: {error}", "nothing was queued; correct this line") from error
        yield {**common, **asked}


def _object(text: str) -> dict[str, Any]:
    asked = json.loads(text)
    for key in asked:
        if key not in _KEYS:
            raise ValueError(f"a job has no {key!r}{did_you_mean(key, _KEYS)}")
    argv = asked.get("argv")
    if not isinstance(argv, list) or not argv:
        raise ValueError('"argv" must be a list of words, like ["python", "train.py"]')
    return dict(asked)

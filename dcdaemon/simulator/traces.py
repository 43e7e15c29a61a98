"""Open a trace: CSV or the Standard Workload Format, plain or gzipped, told apart by its first line."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO

from dcdaemon.core.errors import BadInput
from dcdaemon.simulator.csv_trace import read_csv
from dcdaemon.simulator.numbers import FORMATS_HINT
from dcdaemon.simulator.swf_trace import is_swf, read_swf
from dcdaemon.simulator.workload import Workload

#: A job is told in some hundred characters; what is so much longer is no trace.
LONGEST_LINE = 100_000


def read_trace(path: Path) -> Workload:
    """Return the jobs of a trace file; raises BadInput with file and line for the first thing that is wrong."""
    try:
        with _opened(path) as file:
            lines = _lines(file, path.name)
            begin = _begin(lines, path.name)
            read = read_swf if is_swf(begin[-1]) else read_csv
            workload = replace(read(chain(begin, lines), path.name), name=_stem(path.name))
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"the trace {path} cannot be read: {_words(error)}", FORMATS_HINT) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not text: {error.reason} at byte {error.start}", FORMATS_HINT) from error
    if not workload.jobs:
        raise BadInput(f"{path.name} holds no job that ran on a GPU", FORMATS_HINT)
    return workload


def _stem(name: str) -> str:
    for suffix in (".gz", ".csv", ".swf"):
        name = name.removesuffix(suffix)
    return name


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _lines(file: IO[str], name: str) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BadInput(f"{name}, line {number} is longer than {LONGEST_LINE:,} characters", FORMATS_HINT)
        yield line if line.strip() else "\n"


def _begin(lines: Iterator[str], name: str) -> list[str]:
    """Return the lines up to the first that is not blank."""
    begin: list[str] = []
    for line in lines:
        begin.append(line)
        if line != "\n":
            return begin
    raise BadInput(f"{name} is empty", FORMATS_HINT)


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()

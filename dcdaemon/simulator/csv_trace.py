"""Traces as CSV: `submit_s`, `duration_s`, `gpus`; `limit_s`, `user` and `command` where they are there; no other."""

import csv
from collections.abc import Iterator, Sequence

from dcdaemon.core.errors import BadInput
from dcdaemon.simulator.numbers import FORMATS_HINT, gpu_count, seconds, short
from dcdaemon.simulator.workload import LeftOut, RecordedJob, Workload

NEEDED = ("submit_s", "duration_s", "gpus")
LIMIT = "limit_s"
WHOSE = ("user", "command")
MOST_COLUMNS = 100


def read_csv(lines: Iterator[str], name: str) -> Workload:
    """Return the jobs of a CSV trace; raises BadInput that names the line."""
    reader = csv.reader(lines, strict=True)
    rows = filter(None, reader)
    jobs: list[RecordedJob] = []
    left_out = LeftOut()
    try:
        heading = _heading(next(rows), name)
        for row in rows:
            where = f"{name}, line {reader.line_num}"
            _take(_job(row, heading, where), jobs, left_out, where)
    except csv.Error as error:
        raise BadInput(f"{name}, line {reader.line_num}: not CSV: {error}", FORMATS_HINT) from error
    return Workload(name, jobs, left_out)


def _heading(row: Sequence[str], name: str) -> list[str]:
    if len(row) > MOST_COLUMNS:
        raise BadInput(f"{name} has {len(row):,} columns, a trace at most {MOST_COLUMNS}", f"it needs {_words(NEEDED)}")
    heading = [column.strip().lower() for column in row]
    missing = [column for column in NEEDED if column not in heading]
    if missing:
        has = ", ".join(short(column) for column in heading[:8])
        raise BadInput(
            f"{name} has no column {_words(missing)}; its first line names {has}", f"it needs {_words(NEEDED)}"
        )
    for column in (*NEEDED, LIMIT, *WHOSE):
        if heading.count(column) > 1:
            raise BadInput(f"{name} has the column {column} {heading.count(column)} times", "name each column once")
    return heading


def _job(row: Sequence[str], heading: Sequence[str], where: str) -> RecordedJob:
    if len(row) != len(heading):
        raise BadInput(f"{where} has {len(row):,} fields, the first line names {len(heading)}", FORMATS_HINT)
    value = dict(zip(heading, row, strict=True))
    limit = value.get(LIMIT, "").strip()
    user, command = (value.get(column, "").strip() for column in WHOSE)
    return RecordedJob(
        seconds(value["submit_s"], "submit_s", where),
        seconds(value["duration_s"], "duration_s", where),
        gpu_count(value["gpus"], "gpus", where),
        seconds(limit, LIMIT, where) if limit else None,
        user,
        command,
    )


def _take(job: RecordedJob, jobs: list[RecordedJob], left_out: LeftOut, where: str) -> None:
    if jobs and job.submit_s < jobs[-1].submit_s:
        raise BadInput(
            f"{where}: submit_s {job.submit_s:g} comes after {jobs[-1].submit_s:g}",
            "sort the trace by its submit times",
        )
    if job.gpus:
        jobs.append(job)
    else:
        left_out.without_gpus += 1


def _words(columns: Sequence[str]) -> str:
    return ", ".join(columns)

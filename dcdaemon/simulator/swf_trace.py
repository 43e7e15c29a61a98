"""Traces in the Standard Workload Format: 18 numbers a job, -1 for unknown, comments after `;`.

https://www.cs.huji.ac.il/labs/parallel/workload/swf.html; a processor there is a GPU here.
"""

from collections.abc import Iterator, Sequence

from dcdaemon.core.errors import BadInput
from dcdaemon.simulator.numbers import FORMATS_HINT, gpu_count, seconds
from dcdaemon.simulator.workload import LeftOut, RecordedJob, Workload

FIELDS = 18
#: Places of the fields that are read; the format counts them from 1.
_SUBMIT, _RUN, _ALLOCATED, _REQUESTED, _REQUESTED_TIME, _USER, _EXECUTABLE = 1, 3, 4, 7, 8, 11, 13
_UNKNOWN = "-1"


def is_swf(line: str) -> bool:
    """Say whether a file that begins with this line is in the format."""
    words = line.split()
    return line.lstrip().startswith(";") or (len(words) == FIELDS and words[0].lstrip("-").isdigit())


def read_swf(lines: Iterator[str], name: str) -> Workload:
    """Return the jobs of a trace; raises BadInput that names the line."""
    jobs: list[RecordedJob] = []
    left_out = LeftOut()
    for number, line in enumerate(lines, start=1):
        fields = line.split(";", 1)[0].split()
        if fields:
            _take(fields, jobs, left_out, f"{name}, line {number}")
    return Workload(name, jobs, left_out)


def _take(fields: Sequence[str], jobs: list[RecordedJob], left_out: LeftOut, where: str) -> None:
    if len(fields) != FIELDS:
        raise BadInput(f"{where} has {len(fields):,} fields, the Standard Workload Format has {FIELDS}", FORMATS_HINT)
    submit_s = seconds(fields[_SUBMIT], "the submit time", where)
    if jobs and submit_s < jobs[-1].submit_s:
        earlier = f"{where}: submit time {submit_s:g} comes after {jobs[-1].submit_s:g}"
        raise BadInput(earlier, "sort the trace by its submit times")
    gpus = _processors(fields, where)
    if _is_unknown(fields[_RUN]):
        left_out.never_ran += 1
    elif not gpus:
        left_out.without_gpus += 1
    else:
        run_s = seconds(fields[_RUN], "the run time", where)
        limit = fields[_REQUESTED_TIME]
        limit_s = None if _is_unknown(limit) else seconds(limit, "the requested time", where)
        user, command = ("" if _is_unknown(fields[place]) else fields[place] for place in (_USER, _EXECUTABLE))
        jobs.append(RecordedJob(submit_s, run_s, gpus, limit_s, user, command))


def _processors(fields: Sequence[str], where: str) -> int:
    """Return what was asked for, or else what was given; 0 when neither is known."""
    for place in (_REQUESTED, _ALLOCATED):
        if not _is_unknown(fields[place]):
            return gpu_count(fields[place], "the number of processors", where)
    return 0


def _is_unknown(text: str) -> bool:
    return text in (_UNKNOWN, "-1.0", "-1.00")

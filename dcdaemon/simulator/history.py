"""A node's own past as a recording: the ended jobs of /v1/history, read as the answer comes in."""

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from dcdaemon.core.errors import BadInput
from dcdaemon.core.job import JobState
from dcdaemon.scheduler.predict_command import fingerprint
from dcdaemon.simulator.workload import LeftOut, RecordedJob, Workload

_LIST = '"jobs":'
_HINT = "is this the daemon's /v1/history? dcd history --json shows it"


def read_history(chunks: Iterable[bytes]) -> Workload:
    """Return the jobs that ran, their times counted from the first submit; raises BadInput for no history."""
    left_out = LeftOut()
    found: list[RecordedJob] = []
    for document in documents(chunks):
        job = _job(document)
        if job is None:
            left_out.never_ran += 1
        elif not job.gpus:
            left_out.without_gpus += 1
        else:
            found.append(job)
    if not found:
        raise BadInput("the history of this node holds no job that ran on a GPU", "take a longer --since, or a trace")
    first_s = min(job.submit_s for job in found)
    found.sort(key=lambda job: job.submit_s)
    jobs = [job._replace(submit_s=job.submit_s - first_s) for job in found]
    return Workload("history", jobs, left_out)


def documents(chunks: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of the answer's list of jobs one by one; no more than one of them is kept."""
    pieces = codecs.iterdecode(chunks, "utf-8")
    text = ""
    while _LIST not in text:
        text += _next(pieces)
    text = text.partition(_LIST)[2].lstrip()
    decoder = json.JSONDecoder()
    while True:
        text = text.lstrip("[, \n")
        if text.startswith("]"):
            return
        try:
            document, end = decoder.raw_decode(text)
        except ValueError:
            text += _next(pieces)
            continue
        yield document
        text = text[end:]


def _next(pieces: Iterator[str]) -> str:
    try:
        return next(pieces)
    except StopIteration:
        raise BadInput("the history was cut short", _HINT) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"the history is not text: {error.reason}", _HINT) from error


def _job(document: Mapping[str, Any]) -> RecordedJob | None:
    """Return the job as it was asked for and ran at last, None when it never ran."""
    run_s, limit_s = document["run_s"], document["limit_s"]
    if run_s is None:
        return None
    submitted_s = datetime.fromisoformat(document["submitted_at"]).timestamp()
    return RecordedJob(
        submitted_s, run_s, document["gpus_asked"], limit_s, document["user"], fingerprint(document["argv"]),
        JobState(document["state"]),
    )  # fmt: skip

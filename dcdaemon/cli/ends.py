"""Which exit code stands for how a job ended."""

from dcdaemon.cli.failure import BEFORE_START, TIMED_OUT
from dcdaemon.client.answer import Document

_BY_SIGNAL = 128


def exit_code_of(job: Document) -> int:
    """Return the job's own code, 128 + signal, 124 for its time limit, 125 if it never started; 1 if it is private."""
    if job["state"] == "succeeded":
        return 0
    if job.get("private"):
        return 1  # another user's: how it ended is not told
    if job["started_at"] is None or (job["exit_code"] is None and job["signal"] is None and job["state"] == "failed"):
        return BEFORE_START
    if job["state"] == "timed_out":
        return TIMED_OUT
    if job["signal"] is not None:
        return _BY_SIGNAL + int(job["signal"])
    return int(job["exit_code"] or 1)

"""Follow a log and wait for jobs, across restarts of the daemon."""

import time
from collections.abc import Iterator, Sequence

from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client, CutOff
from dcdaemon.core.errors import Unreachable

PATIENCE_S = 60.0
_PAUSE_S = 0.25


def read_log(client: Client, job_id: int, lines: int, attempt: int | None = None) -> Iterator[bytes]:
    """Yield the last lines of a job's output as they are now, of its newest attempt or of an earlier one."""
    which = {} if attempt is None else {"attempt": attempt}
    with client.stream(f"/v1/jobs/{job_id}/log", {"lines": lines, "follow": 0, **which}) as stream:
        yield from stream


def follow_log(
    client: Client, job_id: int, lines: int | None = None, patience_s: float = PATIENCE_S
) -> Iterator[bytes]:
    """Yield a job's output, from its last `lines` or from the start, until its last process is gone.

    A daemon that goes away is waited for; raises Unreachable when it is not back within `patience_s`.
    """
    offset: int | None = None
    while True:
        place = {"lines": lines} if offset is None else {"offset": offset}
        try:
            with client.stream(f"/v1/jobs/{job_id}/log", {**place, "follow": 1}) as stream:
                offset = stream.offset if offset is None else offset
                for chunk in stream:
                    offset += len(chunk)
                    yield chunk
        except CutOff:
            wait_until_back(client, patience_s)
        else:
            return


def wait_for_jobs(
    client: Client,
    selectors: Sequence[str],
    *,
    any_one: bool = False,
    settled: bool = False,
    timeout_s: float | None = None,
    patience_s: float = PATIENCE_S,
) -> Document:
    """Return when all (or any one) of the jobs have ended, or with `done` false after `timeout_s` seconds.

    With `settled` their energy is in the ledger, too, up to their last second.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        query = {"sel": list(selectors), "any": int(any_one), "settled": int(settled), "timeout_s": left_s}
        try:
            return client.get("/v1/wait", query, patient=True)
        except CutOff:
            wait_until_back(client, patience_s)


def ended_job(client: Client, job_id: int) -> Document:
    """Return a job whose output is complete; its end may be written down a moment after its last byte."""
    job: Document = wait_for_jobs(client, [str(job_id)])["jobs"][0]
    return job


def wait_until_back(client: Client, patience_s: float) -> None:
    """Return as soon as the daemon answers again; raise Unreachable when it does not within `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            client.get("/v1/status")
        except Unreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return

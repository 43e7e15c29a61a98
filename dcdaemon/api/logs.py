"""A job's output as a stream: the last lines, or everything until its last process is gone."""

import asyncio
import os
import weakref
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from dcdaemon.api.changes import Changes
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.control import change
from dcdaemon.control.desk import Desk
from dcdaemon.core.job import ACTIVE, Job

router = APIRouter(prefix="/v1", tags=["jobs"])
_BLOCK = 64 * 1024
#: The last lines are looked for in so much of the log: a sparse file of a petabyte would keep a thread for days.
_TAIL_MAX_BYTES = 64 * 1024 * 1024
_LOOK_AGAIN_S = 0.2
#: A shim makes the log some milliseconds after it was launched.
_OPEN_AGAIN_S = 0.02
_KEEP_ALIVE_S = 15.0


class _Log:
    """An open log, closed with its last reference at the latest: a stream cut off before it began runs no `finally`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.close = weakref.finalize(self, os.close, descriptor)

    def read(self, offset: int) -> bytes:
        """Return the next block."""
        return os.pread(self._descriptor, _BLOCK, offset)

    def start_of(self, lines: int | None) -> int:
        """Return the offset where the last `lines` lines begin; None means all of them."""
        return 0 if lines is None else last_lines(self._descriptor, lines)


@router.get("/jobs/{job_id}/log", response_class=Response)
async def get_log(  # noqa: PLR0913  each is one option of `dcd logs`
    request: Request,
    job_id: int,
    desk: DeskOf,
    actor: ActorOf,
    lines: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    offset: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    attempt: Annotated[int | None, Query(ge=1)] = None,
    *,
    follow: bool = False,
) -> Response:
    """Send a job's output as it was written; with follow, wait for the start and go on to the end."""
    job = await run_in_threadpool(change.find, desk, job_id)
    desk.check_rights(actor, job, "read the log of")
    if follow and attempt is None:
        job = await _started(request, desk, job)
    number = attempt or job.attempt
    log = await _open(desk, job, number, follow=follow)
    if log is None:
        return Response(b"", media_type="text/plain", headers={"X-Dcd-Offset": "0"})
    begin = offset if offset is not None else await run_in_threadpool(log.start_of, lines)
    stream = _send(desk, log, begin, (job.id, number) if follow else None)
    return StreamingResponse(stream, media_type="text/plain; charset=utf-8", headers={"X-Dcd-Offset": str(begin)})


async def _started(request: Request, desk: Desk, job: Job) -> Job:
    """Wait until the job runs or never will."""
    changes: Changes = request.app.state.changes
    heard = changes.rings
    while (newest := desk.book.get(job.id)) is not None:
        if newest.pid is not None or await request.is_disconnected():
            return newest
        await changes.next(heard, _KEEP_ALIVE_S)
        heard = changes.rings
    return await run_in_threadpool(change.find, desk, job.id)


async def _open(desk: Desk, job: Job, attempt: int, *, follow: bool) -> _Log | None:
    """Open the log; a follower of an attempt that has just begun waits until there is one."""
    while True:
        over = not follow or _is_over(desk, job.id, attempt)
        descriptor = await run_in_threadpool(desk.engine.open_log, job, attempt)
        if descriptor is not None:
            return _Log(descriptor)
        if over:
            return None
        await asyncio.sleep(_OPEN_AGAIN_S)


async def _send(desk: Desk, log: _Log, begin: int, followed: tuple[int, int] | None) -> AsyncIterator[bytes]:
    """Send what is there; while the attempt lives, look again; the order of the checks loses no last line."""
    offset = begin
    try:
        while True:
            over = followed is None or _is_over(desk, *followed)
            # In a thread: a log that its owner put on a dead network mount must not stop the door.
            while block := await run_in_threadpool(log.read, offset):
                offset += len(block)
                yield block
            if over:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
    finally:
        log.close()


def _is_over(desk: Desk, job_id: int, attempt: int) -> bool:
    job = desk.book.get(job_id)
    return job is None or job.state not in ACTIVE or job.attempt != attempt


def last_lines(descriptor: int, lines: int) -> int:
    """Return the offset where the last `lines` lines of a file begin; a part of a line at the end counts as one.

    Only the last 64 MiB are searched; where they hold fewer lines, it is their beginning.
    """
    end = os.fstat(descriptor).st_size
    if lines == 0 or end == 0:
        return end
    position, wanted, floor = end, lines, max(0, end - _TAIL_MAX_BYTES)
    if os.pread(descriptor, 1, end - 1) == b"\n":
        wanted += 1
    while position > floor:
        start = max(floor, position - _BLOCK)
        block = os.pread(descriptor, position - start, start)
        found = block.count(b"\n")
        if found >= wanted:
            return start + _after_newline(block, found - wanted)
        wanted -= found
        position = start
    return floor


def _after_newline(block: bytes, skip: int) -> int:
    """Return the place after the newline number `skip` (from 0) of the block."""
    place = -1
    for _ in range(skip + 1):
        place = block.index(b"\n", place + 1)
    return place + 1

"""A job's output as a stream: the last lines, or everything until its last process is gone."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from dcdaemon.api.changes import Changes
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.control import change
from dcdaemon.control.desk import Desk
from dcdaemon.core.job import UNFINISHED, Job

router = APIRouter(prefix="/v1", tags=["jobs"])
_BLOCK = 64 * 1024
_LOOK_AGAIN_S = 0.2
_KEEP_ALIVE_S = 15.0


@router.get("/jobs/{job_id}/log")
async def get_log(  # noqa: PLR0913  each is one option of `dcd logs`
    request: Request,
    job_id: int,
    desk: DeskOf,
    actor: ActorOf,
    lines: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    offset: Annotated[int | None, Query(ge=0)] = None,
    attempt: int | None = None,
    *,
    follow: bool = False,
) -> Response:
    """Send a job's output as it was written; with follow, wait for the start and go on to the end."""
    job = await run_in_threadpool(change.find, desk, job_id)
    desk.check_rights(actor, job, "read the log of")
    changes: Changes = request.app.state.changes
    if follow:
        job = await _started(desk, changes, job)
    descriptor = await run_in_threadpool(desk.engine.open_log, job, attempt or job.attempt)
    if descriptor is None:
        return Response(b"", media_type="text/plain", headers={"X-Dcd-Offset": "0"})
    begin = offset if offset is not None else _last_lines(descriptor, lines)
    stream = _send(desk, descriptor, begin, job if follow else None)
    return StreamingResponse(stream, media_type="text/plain; charset=utf-8", headers={"X-Dcd-Offset": str(begin)})


async def _started(desk: Desk, changes: Changes, job: Job) -> Job:
    """Wait until the job has a log or will never have one."""
    while True:
        newest = desk.book.get(job.id)
        if newest is None:
            return await run_in_threadpool(change.find, desk, job.id)
        if newest.started_at is not None and newest.pid is not None:
            return newest
        await changes.next(_KEEP_ALIVE_S)


async def _send(desk: Desk, descriptor: int, begin: int, followed: Job | None) -> AsyncIterator[bytes]:
    """Send what is there; while the job lives, look again; the order of the checks loses no last line."""
    offset = begin
    try:
        while True:
            over = followed is None or _is_over(desk, followed)
            while block := os.pread(descriptor, _BLOCK, offset):
                offset += len(block)
                yield block
            if over:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
    finally:
        os.close(descriptor)


def _is_over(desk: Desk, followed: Job) -> bool:
    job = desk.book.get(followed.id)
    return job is None or job.state not in UNFINISHED or job.attempt != followed.attempt


def _last_lines(descriptor: int, lines: int | None) -> int:
    """Return the offset where the last `lines` lines begin; None means from the start."""
    if lines is None:
        return 0
    end = os.fstat(descriptor).st_size
    position, wanted = end, lines + 1
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        wanted = lines
    while position > 0:
        start = max(0, position - _BLOCK)
        block = os.pread(descriptor, position - start, start)
        found = block.count(b"\n")
        if found >= wanted:
            return start + _after_newline(block, found - wanted)
        wanted -= found
        position = start
    return 0


def _after_newline(block: bytes, skip: int) -> int:
    """Return the place after the newline number `skip` (from 0) of the block."""
    place = -1
    for _ in range(skip + 1):
        place = block.index(b"\n", place + 1)
    return place + 1

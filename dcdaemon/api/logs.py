"""A job's output as a stream: the last lines, or everything until its last process is gone."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from dcdaemon.api.changes import Changes
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.log_file import LogFile
from dcdaemon.api.turns import turn_of
from dcdaemon.control.access import find_seen
from dcdaemon.control.desk import Desk
from dcdaemon.control.together import find
from dcdaemon.core.errors import NotFound
from dcdaemon.core.job import ACTIVE, Job, JobState

router = APIRouter(prefix="/v1", tags=["jobs"])
_LOOK_AGAIN_S = 0.2
#: A shim makes the log some milliseconds after it was launched.
_OPEN_AGAIN_S = 0.02
_OPEN_AT_LEAST_EVERY_S = 1.0
_KEEP_ALIVE_S = 15.0


@router.get("/jobs/{job_id}/log", response_class=Response)
async def get_log(  # noqa: PLR0913  each is one option of `dcd logs`
    request: Request,
    job_id: int,
    desk: DeskOf,
    actor: ActorOf,
    lines: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    offset: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    attempt: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    *,
    follow: bool = False,
) -> Response:
    """Send a job's output as it was written; with follow, wait for the start and go on to the end."""
    async with turn_of(request):
        job = await run_in_threadpool(find_seen, desk, actor, job_id)
    desk.check_rights(actor, job, "read the log of")
    to_come = job.state is JobState.WAITING
    if attempt is not None and attempt > job.attempt + to_come and not follow:
        raise NotFound(f"job {job.id} has no attempt {attempt}", f"dcd show {job.id} tells how many there were")
    if follow and attempt is None:
        job = await _started(request, desk, job)
    number = attempt or job.attempt
    log = await _open(request, desk, job, number, follow=follow)
    if log is None:
        return Response(b"", media_type="text/plain", headers={"X-Dcd-Offset": "0"})
    if offset is not None:
        log.offset = offset
    elif lines is not None:
        async with turn_of(request):
            await run_in_threadpool(log.go_back, lines)
    headers = {"X-Dcd-Offset": str(log.offset)}
    stream = _send(request, desk, log, (job.id, number) if follow else None)
    return StreamingResponse(stream, media_type="text/plain; charset=utf-8", headers=headers)


async def _started(request: Request, desk: Desk, job: Job) -> Job:
    """Wait until the job runs or never will."""
    changes: Changes = request.app.state.changes
    heard = changes.rings
    while (newest := desk.book.get(job.id)) is not None:
        if newest.pid is not None or await request.is_disconnected():
            return newest
        await changes.next(heard, _KEEP_ALIVE_S)
        heard = changes.rings
    return await run_in_threadpool(find, desk, job.id)


async def _open(request: Request, desk: Desk, job: Job, attempt: int, *, follow: bool) -> LogFile | None:
    """Open the log; a follower of an attempt that has just begun waits until there is one."""
    nap_s = _OPEN_AGAIN_S
    while True:
        over = not follow or _is_over(desk, job.id, attempt)
        async with turn_of(request):
            descriptor = await run_in_threadpool(desk.engine.open_log, job, attempt)
        if descriptor is not None:
            return LogFile(descriptor)
        if over or await request.is_disconnected():
            return None
        await asyncio.sleep(nap_s)
        nap_s = min(nap_s * 2, _OPEN_AT_LEAST_EVERY_S)


async def _send(request: Request, desk: Desk, log: LogFile, followed: tuple[int, int] | None) -> AsyncIterator[bytes]:
    """Send what is there; while the attempt lives, look again; the order of the checks loses no last line."""
    try:
        while True:
            over = followed is None or _is_over(desk, *followed)
            # In a thread: a log that its owner put on a dead network mount must not stop the door.
            while block := await _read(request, log):
                yield block
            if over:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
    finally:
        log.close()


async def _read(request: Request, log: LogFile) -> bytes:
    async with turn_of(request):
        return await run_in_threadpool(log.read)


def _is_over(desk: Desk, job_id: int, attempt: int) -> bool:
    job = desk.book.get(job_id)
    return job is None or job.state not in ACTIVE or job.attempt != attempt

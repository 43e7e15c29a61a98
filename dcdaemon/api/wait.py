"""Wait for jobs to end: one sleeping request per client, woken by changes, never a poll."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from dcdaemon.api.changes import Changes
from dcdaemon.api.documents import SCHEMA, Document, iso
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.listing import listed
from dcdaemon.api.turns import turn_of
from dcdaemon.api.visible import shown_job
from dcdaemon.control.desk import Desk
from dcdaemon.control.select import resolve
from dcdaemon.core.errors import Unreachable
from dcdaemon.core.job import UNFINISHED, Job
from dcdaemon.core.ports import Actor, JobQuery

router = APIRouter(prefix="/v1", tags=["jobs"])
_LONGEST_NAP_S = 30.0
_SETTLE_WITHIN_S = 3.0
_LOOK_AGAIN_S = 0.05
#: Of more jobs, or with longer command lines together, only ids and ends are told.
_WHOLE_AT_MOST = 200
_WORDS_MAX_BYTES = 1024 * 1024


@router.get("/wait", response_model=Document)
async def wait(  # noqa: PLR0913  each is one option of `dcd wait`
    request: Request,
    desk: DeskOf,
    actor: ActorOf,
    sel: Annotated[list[str], Query()] = [],  # noqa: B006  FastAPI copies defaults
    name: str | None = None,
    timeout_s: Annotated[float | None, Query(ge=0)] = None,
    *,
    any: bool = False,  # noqa: A002  the word of the command line
    settled: bool = False,
) -> Response:
    """Answer when all of the jobs have ended, or one of them with `any`; `done` is false after the timeout.

    With `settled` also their last second of energy is in the ledger, where GPUs are read at all. Of more than 200 jobs
    only ids, states and ends are told (`brief`).
    """
    async with turn_of(request):
        ids = await run_in_threadpool(resolve, desk, actor, sel, name)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    changes: Changes = request.app.state.changes
    heard = changes.rings
    while not (done := _done(desk, ids, one_is_enough=any)):
        left = _LONGEST_NAP_S if deadline is None else min(deadline - time.monotonic(), _LONGEST_NAP_S)
        if left <= 0 or await request.is_disconnected():
            break
        await changes.next(heard, left)
        heard = changes.rings
        if changes.closing:
            raise Unreachable("the daemon is being stopped; jobs go on", "ask again when it is back")
    if settled and done:
        await _settle(desk, ids)
    async with turn_of(request):
        if await request.is_disconnected():
            return Response(b"")
        return await run_in_threadpool(_answer, desk, actor, ids, done)


async def _settle(desk: Desk, ids: tuple[int, ...]) -> None:
    """Wait until the ledger has reached the end of these jobs, but not for GPUs that are not read any more."""
    jobs = await run_in_threadpool(desk.store.jobs, JobQuery(ids=ids))
    ends = [job.ended_at for job in jobs if job.gpus and job.ended_at is not None]
    deadline = time.monotonic() + _SETTLE_WITHIN_S
    while ends and desk.board.booked_until < max(ends) and time.monotonic() < deadline:  # noqa: ASYNC110  a duty, not a task
        await asyncio.sleep(_LOOK_AGAIN_S)


def _done(desk: Desk, ids: tuple[int, ...], *, one_is_enough: bool) -> bool:
    # Lazily, and the newest first: the last to end are mostly the last submitted, and one that goes on settles it.
    ended = ((job := desk.book.get(job_id)) is None or job.state not in UNFINISHED for job_id in reversed(ids))
    return any(ended) if one_is_enough and ids else all(ended)


def _answer(desk: Desk, actor: Actor, ids: tuple[int, ...], done: bool) -> Response:  # noqa: FBT001  a value
    # Written out in the thread, too: ten thousand jobs take their time.
    jobs = desk.store.jobs(JobQuery(ids=ids, oldest_first=True)) if ids else []
    brief = len(jobs) > _WHOLE_AT_MOST or sum(len(word) for job in jobs for word in job.spec.argv) > _WORDS_MAX_BYTES
    documents = [_brief(desk, actor, job) for job in jobs] if brief else listed(desk, actor, jobs)
    mark = {"brief": True} if brief else {}
    return JSONResponse({"schema": SCHEMA, "done": done, **mark, "jobs": documents})


def _brief(desk: Desk, actor: Actor, job: Job) -> Document:
    """Return what an exit code is made of."""
    document = {
        "id": job.id, "state": job.state.value, "started_at": iso(job.started_at), "ended_at": iso(job.ended_at),
        "exit_code": job.exit_code, "signal": job.signal,
    }  # fmt: skip
    return shown_job(desk, actor, job, document)

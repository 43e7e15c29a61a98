"""The HTTP application: routes, one shape for every error, nothing else."""

import logging

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dcdaemon.api import audit, bookings, events, gpus, jobs, ledger, logs, queues, status, tokens, wait
from dcdaemon.api.changes import Changes
from dcdaemon.api.door import Doorkeeper
from dcdaemon.api.needs import meet_need, undeclared
from dcdaemon.api.turns import FairTurns
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadInput, DcdError, NotFound

log = logging.getLogger(__name__)


def make_app(desk: Desk, changes: Changes, version: str) -> FastAPI:
    """Return the application for one desk; `changes` wakes the streams."""
    app = FastAPI(title="dcdaemon", version=version, docs_url=None, redoc_url=None, dependencies=[Depends(meet_need)])
    app.state.desk = desk
    app.state.changes = changes
    for part in (jobs, logs, wait, gpus, bookings, queues, events, ledger, status, tokens, audit):
        if unknown := undeclared(part.router.routes):
            raise RuntimeError(f"api/needs.py does not say who may use {', '.join(unknown)}")
        app.include_router(part.router)
    app.add_middleware(FairTurns)
    app.add_middleware(Doorkeeper)  # the last one added is the first to be asked
    app.add_exception_handler(DcdError, _refuse)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _broken)
    return app


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DcdError)  # noqa: S101  narrows the type; registered for nothing else
    return JSONResponse(error.as_json(), error.http_status)


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  as above
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return await _refuse(request, BadInput(f"{where}: {first['msg']}", "see /openapi.json for what is accepted"))


async def _no_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  as above
    refusal = NotFound(f"{request.method} {request.url.path}: {error.detail}", "see /openapi.json")
    return JSONResponse(refusal.as_json(), error.status_code)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", exc_info=error, extra={"action": "request_failed", "path": request.url.path})
    unexpected = DcdError(
        f"the daemon failed on {request.method} {request.url.path}", "its log tells more; please report it"
    )
    return JSONResponse(unexpected.as_json(), unexpected.http_status)

"""Whose turn it is: one user's requests wait for each other, so that they do not make all others wait."""

import asyncio
import os
from collections import Counter, defaultdict
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dcdaemon.api.identity import ACTOR_KEY
from dcdaemon.core.errors import Refused

#: Requests of one user that are worked on at once: the threads that answer are few, and there for everybody.
TURNS_PER_USER = 4
#: Each keeps its list of jobs in memory while it sleeps; more jobs than these can be named in one.
WAITS_PER_USER = 128
_TURN_KEY = "dcd_turn"


def turn_of(request: Request) -> AbstractAsyncContextManager[object]:
    """Return the turn that a request that sleeps takes for its work, and only for that."""
    turn: AbstractAsyncContextManager[object] = request.scope[_TURN_KEY]
    return turn


class FairTurns:
    """ASGI middleware: answers when it is this user's turn; root and the daemon's own user never wait."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns: defaultdict[int, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, TURNS_PER_USER))
        self._waits: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the turn for the whole request, but leave it to a request that sleeps to take it by itself."""
        uid, path = scope[ACTOR_KEY].uid, scope.get("path", "")
        free = uid in {0, os.geteuid()}
        turn: AbstractAsyncContextManager[object] = nullcontext() if free else self._turns[uid]
        if path.endswith("/wait") and not free:
            await self._wait(uid, {**scope, _TURN_KEY: turn}, receive, send)
        elif path.endswith(("/log", "/wait")):
            await self._app({**scope, _TURN_KEY: turn}, receive, send)
        else:
            async with turn:
                await self._app(scope, receive, send)

    async def _wait(self, uid: int, scope: Scope, receive: Receive, send: Send) -> None:
        if self._waits[uid] >= WAITS_PER_USER:
            error = Refused(f"{WAITS_PER_USER} of your requests wait already", "name more jobs in one: dcd wait 1-100")
            await JSONResponse(error.as_json(), error.http_status)(scope, receive, send)
            return
        self._waits[uid] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._waits[uid] -= 1

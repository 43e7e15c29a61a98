"""The door: nobody passes without being somebody, whatever path they name, and viewers pass with empty hands."""

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dcdaemon.api.identity import ACTOR_KEY, actor_of_scope, authorization
from dcdaemon.api.needs import SAFE_METHODS, refused_viewer
from dcdaemon.control.desk import Desk
from dcdaemon.control.tokens import is_open
from dcdaemon.core.errors import DcdError, Unauthorized


class Doorkeeper:
    """ASGI middleware around everything else: puts the Actor into the scope, or answers that there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or refuse it before anything of it was understood."""
        if scope["type"] != "http":
            return
        desk: Desk = scope["app"].state.desk
        try:
            actor = await actor_of_scope(desk, scope)
            if actor.read_only and scope["method"] not in SAFE_METHODS:
                raise refused_viewer()
        except DcdError as error:
            await _refuse(error)(scope, receive, send)
            return
        scope[ACTOR_KEY] = actor
        await self._app(scope, receive, send if actor.token is None else _Watched(desk, scope, send))


class _Watched:
    """Sends as long as the token is not revoked: a log that is followed ends with the token."""

    def __init__(self, desk: Desk, scope: Scope, send: Send) -> None:
        self._desk, self._send = desk, send
        self._header = authorization(scope)
        self._shut = False

    async def __call__(self, message: Message) -> None:
        """Send a message on; the body ends early once the token is gone."""
        if self._shut:
            return
        if self._desk.revoked and message["type"] == "http.response.body" and not is_open(self._desk, self._header):
            self._shut = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


def _refuse(error: DcdError) -> JSONResponse:
    challenge = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else None
    return JSONResponse(error.as_json(), error.http_status, challenge)

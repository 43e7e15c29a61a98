"""Answers scrapes from a thread and an event loop of its own: no slow request to the API makes one wait."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from dcdaemon.api.limits import LimitedProtocol
from dcdaemon.api.metrics.text import CONTENT_TYPE

log = logging.getLogger(__name__)
_START_WITHIN_S = 15.0
#: Longer than the usual minute between two scrapes, so that they share a connection.
_KEEP_ALIVE_S = 75

PageMaker = Callable[[], bytes]


class MetricsServer:
    """A listener without tokens that knows a few pages and nothing else; `on_failure` is told when it falls shut.

    No answer is compressed: that would take longer than the page itself, and a page of 100 KB is soon sent.
    """

    def __init__(
        self,
        pages: Mapping[str, PageMaker],
        listener: socket.socket,
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._listener = listener
        self._on_failure = on_failure
        # Nothing of uvicorn's own server is needed: it wakes again and again only to see whether it should end.
        self._config = uvicorn.Config(
            _App(pages), http=LimitedProtocol, loop="asyncio", lifespan="off", ws="none", interface="asgi3",
            proxy_headers=False, server_header=False, date_header=False, log_config=None, access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )  # fmt: skip
        self._state = ServerState()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        self._stopping = False

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        self._ready.wait(_START_WITHIN_S)

    def stop(self) -> None:
        """Close the door."""
        self._stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told.set)
        if self._thread.ident is not None:
            self._thread.join(3)
        self._listener.close()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  told to whoever stops the daemon
            failure = error
        self._ready.set()
        if not self._stopping:
            self._on_failure("metrics", failure or RuntimeError("the server ended by itself"))

    async def _serve(self) -> None:
        self._config.load()
        self._loop = asyncio.get_running_loop()
        protocol = partial(LimitedProtocol, config=self._config, server_state=self._state, app_state={})
        server = await self._loop.create_server(protocol, sock=self._listener, backlog=128)
        self._ready.set()
        await self._told.wait()
        server.close()
        for connection in list(self._state.connections):
            connection.shutdown()


class _App:
    """The pages, as an ASGI application."""

    def __init__(self, pages: Mapping[str, PageMaker]) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        status, body = self._answer(scope["method"], scope["path"])
        kind = CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str) -> tuple[int, bytes]:
        maker = self._pages.get(path)
        if maker is None:
            return 404, f"there is nothing here but {' and '.join(self._pages)}\n".encode()
        if method not in {"GET", "HEAD"}:
            return 405, b"only GET\n"
        try:
            return 200, maker()
        except Exception:
            log.exception("a scrape failed", extra={"action": "scrape_failed", "path": path})
            return 500, b"the page could not be made; the log of the daemon tells why\n"

"""What one connection, and one user, may take of the daemon's memory and descriptors before anything is understood."""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from dcdaemon.api.identity import ACTOR_KEY, PeerProtocol
from dcdaemon.core.errors import BadInput, DcdError, Refused

#: More than the transport hands over at once (256 KiB), which may hold the rest of an earlier request, too.
HEAD_MAX_BYTES = 512 * 1024
#: Ten thousand jobs of 1.6 KB: a body is parsed while nobody else is served.
BODY_MAX_BYTES = 16 * 1024 * 1024
#: A process has some thousand descriptors for everybody, and no idle connection is ever closed.
CONNECTIONS_PER_USER = 256
#: The same for one address of TCP, whose users are known only later.
CONNECTIONS_PER_ADDRESS = 256
#: Of all connections over TCP together: the rest of the descriptors is for people on the node.
CONNECTIONS_OF_TCP = 512
#: How long a request may take to arrive: its head, and then its body. Who dribbles is cut off.
HEAD_WITHIN_S = 15.0
BODY_WITHIN_S = 60.0
#: Requests of one user that are worked on at once: the threads that answer are few, and there for everybody.
TURNS_PER_USER = 4


class LimitedProtocol(PeerProtocol):
    """Refuses requests without end and the connections of a user who has too many; root's are not counted."""

    _received = 0
    _in_head = False
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the user's connections; one too many is told so and closed."""
        super().connection_made(transport)
        self._within(HEAD_WITHIN_S)
        if self.peer is None:
            self._limit_tcp()
        elif self.peer[0] not in {0, os.geteuid()}:
            self._limit(self._many(lambda other: other.peer == self.peer), CONNECTIONS_PER_USER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._in_time()
        super().connection_lost(exc)

    def _limit_tcp(self) -> None:
        host = self.client[0] if self.client else None
        self._limit(self._many(lambda other: other.peer is None), CONNECTIONS_OF_TCP)
        if not self.transport.is_closing():
            same = self._many(lambda other: other.peer is None and other.client is not None and other.client[0] == host)
            self._limit(same, CONNECTIONS_PER_ADDRESS)

    def _many(self, like: Callable[["LimitedProtocol"], bool]) -> int:
        return sum(isinstance(other, LimitedProtocol) and like(other) for other in self.connections)

    def _limit(self, theirs: int, most: int) -> None:
        if theirs > most:
            self._refuse(Refused(f"you have {theirs - 1} connections open", "close some, or wait for them to end"))

    def _within(self, limit_s: float) -> None:
        """Give the rest of this part of the request so much time."""
        self._in_time()
        self._watch = self.loop.call_later(limit_s, self._too_slow)

    def _in_time(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._refuse(BadInput("the request did not arrive in time", "send it faster, or in several parts"))

    def data_received(self, data: bytes) -> None:
        """Count what came for this request: neither the parser nor the application has an upper bound."""
        super().data_received(data)
        self._received += len(data)
        limit = HEAD_MAX_BYTES if self._in_head else BODY_MAX_BYTES
        if self._received > limit and not self.transport.is_closing():
            self._refuse(BadInput(f"the request is longer than {limit} bytes", "send it in several parts"))

    def on_message_begin(self) -> None:
        """Count anew for each request."""
        super().on_message_begin()
        self._received, self._in_head = 0, True
        self._within(HEAD_WITHIN_S)

    def on_headers_complete(self) -> None:
        """From here on it is the body that is counted."""
        super().on_headers_complete()
        self._received, self._in_head = 0, False
        self._within(BODY_WITHIN_S)

    def on_message_complete(self) -> None:
        """Stop the watch: the whole request is there, and the time that its answer takes is ours."""
        super().on_message_complete()
        self._in_time()

    def _refuse(self, error: DcdError) -> None:
        body = json.dumps(error.as_json()).encode()
        head = f"HTTP/1.1 {error.http_status} Refused\r\ncontent-type: application/json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()


class FairTurns:
    """ASGI middleware: one user's requests wait for each other, so that they do not make all others wait."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns: defaultdict[int, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, TURNS_PER_USER))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when it is this user's turn; streams only sleep, and need none."""
        uid = scope[ACTOR_KEY].uid
        sleeps = scope.get("path", "").endswith(("/log", "/wait"))
        if sleeps or uid in {0, os.geteuid()}:
            await self._app(scope, receive, send)
            return
        async with self._turns[uid]:
            await self._app(scope, receive, send)

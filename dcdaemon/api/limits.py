"""What one connection, and one user, may take of the daemon's memory and descriptors before anything is understood."""

import asyncio
import json
import os
from collections.abc import Callable
from operator import attrgetter

from dcdaemon.api.identity import PeerProtocol
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


class LimitedProtocol(PeerProtocol):
    """Refuses requests without end and the connections of a user who has too many; root's are not counted."""

    #: Since when it is open, in seconds of the loop.
    since_s = 0.0
    _received = 0
    _in_head = False
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the user's connections; one too many is told so and closed."""
        super().connection_made(transport)
        self.since_s = self.loop.time()
        self._within(HEAD_WITHIN_S)
        if self.peer is None:
            self._limit_tcp()
        elif self.peer[0] not in {0, os.geteuid()}:
            self._limit(lambda other: other.peer == self.peer, CONNECTIONS_PER_USER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._in_time()
        super().connection_lost(exc)

    def _limit_tcp(self) -> None:
        host = self.client[0] if self.client else None
        self._make_room(lambda other: other.peer is None, CONNECTIONS_OF_TCP)
        if not self.transport.is_closing():
            self._make_room(
                lambda other: other.peer is None and other.client is not None and other.client[0] == host,
                CONNECTIONS_PER_ADDRESS,
            )

    def _make_room(self, like: Callable[["LimitedProtocol"], bool], most: int) -> None:
        """Let the oldest connection go that never showed a good token: who has none must not keep others out."""
        theirs = self._open(like)
        if len(theirs) <= most:
            return
        strangers = [other for other in theirs if not other.trusted and other is not self]
        if strangers:
            min(strangers, key=attrgetter("since_s")).transport.close()
        else:
            self._refuse(_too_many(most))

    def _open(self, like: Callable[["LimitedProtocol"], bool]) -> list["LimitedProtocol"]:
        others = (other for other in self.connections if isinstance(other, LimitedProtocol))
        return [other for other in others if like(other) and not other.transport.is_closing()]

    def _limit(self, like: Callable[["LimitedProtocol"], bool], most: int) -> None:
        if len(self._open(like)) > most:
            self._refuse(_too_many(most))

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


def _too_many(most: int) -> Refused:
    return Refused(f"all {most} connections are taken", "close some, or wait for them to end and ask again")

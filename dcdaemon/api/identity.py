"""Who is asking: the peer of the unix socket or the owner of a token, never anything the request says about itself."""

import asyncio
import functools
import pwd
import socket
import struct
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dcdaemon.control.desk import Desk
from dcdaemon.control.tokens import admit
from dcdaemon.core.errors import Unauthorized
from dcdaemon.core.ports import Actor

#: Our own keys in the ASGI scope; no header can reach them.
PEER_KEY = "dcd_peer"
PID_KEY = "dcd_pid"
ACTOR_KEY = "dcd_actor"
CONNECTION_KEY = "dcd_connection"
_UCRED = struct.Struct("3i")


class PeerProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that also notes uid, gid and pid of a unix socket's peer (SO_PEERCRED, unix(7))."""

    #: Whether a good token came over it.
    trusted = False
    peer: tuple[int, int] | None = None
    pid: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the peer's credentials once per connection."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            self.pid, uid, gid = _UCRED.unpack(credentials)
            self.peer = (uid, gid)

    def on_message_begin(self) -> None:
        """Put the credentials into the scope of every request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[PEER_KEY] = self.peer
        scope[PID_KEY] = self.pid
        scope[CONNECTION_KEY] = self


async def desk_of(request: Request) -> Desk:
    """Return the desk this application was made for (async: needs no thread of the pool)."""
    desk: Desk = request.app.state.desk
    return desk


async def actor_of(request: Request) -> Actor:
    """Return who asks, as the door found out."""
    actor: Actor = request.scope[ACTOR_KEY]
    return actor


async def actor_of_scope(desk: Desk, scope: Scope) -> Actor:
    """Return who asks; raise Unauthorized for TCP without a good token."""
    peer = scope.get(PEER_KEY)
    if peer is not None:
        uid, gid = peer
        user = user_name(uid)
        return Actor(uid, gid, user, desk.is_operator(uid, user), via="socket", peer=f"pid {scope.get(PID_KEY)}")
    client = scope.get("client")
    address = f"{client[0]}:{client[1]}" if client else None
    actor = await run_in_threadpool(admit, desk, authorization(scope), address)
    if (connection := scope.get(CONNECTION_KEY)) is not None:
        connection.trusted = True
    return actor


def authorization(scope: Scope) -> str:
    """Return the one `Authorization` header, "" where there is none; raise Unauthorized where there are several."""
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(found) > 1:
        raise Unauthorized("the request has several Authorization headers", "send one")
    return found[0].decode("latin-1") if found else ""


@functools.lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """Return the login name of a uid, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


DeskOf = Annotated[Desk, Depends(desk_of)]
ActorOf = Annotated[Actor, Depends(actor_of)]

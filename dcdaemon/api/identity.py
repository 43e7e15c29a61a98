"""Who is asking: the peer of the unix socket or the owner of a token, never anything the request says about itself."""

import asyncio
import functools
import hashlib
import pwd
import socket
import struct
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import Unauthorized
from dcdaemon.core.ports import Actor

#: Our own key in the ASGI scope; no header can reach it.
PEER_KEY = "dcd_peer"
_UCRED = struct.Struct("3i")


class PeerProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that also notes the uid and gid of a unix socket's peer (SO_PEERCRED, unix(7))."""

    peer: tuple[int, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the peer's credentials once per connection."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            _, uid, gid = _UCRED.unpack(credentials)
            self.peer = (uid, gid)

    def on_message_begin(self) -> None:
        """Put the credentials into the scope of every request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[PEER_KEY] = self.peer


async def desk_of(request: Request) -> Desk:
    """Return the desk this application was made for (async: needs no thread of the pool)."""
    desk: Desk = request.app.state.desk
    return desk


async def actor_of(request: Request) -> Actor:
    """Return who asks; raise Unauthorized for TCP without a good token."""
    desk: Desk = request.app.state.desk
    peer = request.scope.get(PEER_KEY)
    if peer is not None:
        uid, gid = peer
        user = user_name(uid)
        operator = uid in {0, desk.rules.daemon_uid} or user in desk.rules.operators
        return Actor(uid=uid, gid=gid, user=user, operator=operator, via="socket")
    return await run_in_threadpool(_token_owner, desk, request.headers.get("authorization", ""))


def _token_owner(desk: Desk, header: str) -> Actor:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("this address needs a token", "send it with --token-file FILE, or use the unix socket")
    owner = desk.store.token_owner(hash_token(token.strip()))
    if owner is None:
        raise Unauthorized("this token is not known here", "check --token-file, or use the unix socket")
    return owner


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token; tokens are 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


@functools.lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """Return the login name of a uid, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


DeskOf = Annotated[Desk, Depends(desk_of)]
ActorOf = Annotated[Actor, Depends(actor_of)]

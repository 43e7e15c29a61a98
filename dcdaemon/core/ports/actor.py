"""Who asks for something."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the peer of the socket or the owner of a token, never a field of the request.

    `peer` is from where, as an address; `token` the id of the token it came with. Who is `read_only` changes nothing.
    """

    uid: int
    gid: int
    user: str
    operator: bool = False
    via: str = "socket"
    read_only: bool = False
    peer: str | None = None
    token: str | None = None


#: Who acts when nobody asked: the daemon itself, in the audit table.
DAEMON = Actor(uid=0, gid=0, user="dcdaemon", operator=True, via="daemon")

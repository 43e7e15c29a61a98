"""Tokens: made on the node, shown once, known here only as hashes; looked up for each request, so revoked at once."""

import contextlib
import logging
import secrets
from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadInput, Forbidden, NotFound, Refused, StoreUnavailable, Unauthorized
from dcdaemon.core.ports import Actor
from dcdaemon.core.token import Token, TokenRole, hash_token
from dcdaemon.core.units import format_duration

log = logging.getLogger(__name__)
DEFAULT_LIFE_S = 30 * 86400.0
LONGEST_LIFE_S = 366 * 86400.0
_BYTES = 32
_PER_USER = 100
#: Ours has 43 characters; what is longer is not even hashed.
_LONGEST = 256
#: The last use is told to the minute: a write for each request would cost more than the request.
_NOTE_USE_EVERY_S = 60.0
_HOW_TO_SEND = "send it with --token-file FILE, or use the unix socket"
_HOW_TO_RENEW = "make a new one on the node: dcd token create"


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What is asked for; None means oneself and the usual."""

    name: str | None = None
    user: str | None = None
    role: TokenRole = TokenRole.SUBMITTER
    life_s: float = DEFAULT_LIFE_S


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(_BYTES)


def create_token(desk: Desk, actor: Actor, wish: TokenWish) -> tuple[str, Token]:
    """Return a new token, which is told this once, and what is kept of it; raise Forbidden, BadInput or Refused."""
    if actor.token is not None:
        raise Forbidden("a token makes no other token: that could outlive it", "run dcd token create on the node")
    if not 0 < wish.life_s <= LONGEST_LIFE_S:
        raise BadInput(f"a token lives for at most {format_duration(LONGEST_LIFE_S)}", "write it like --expires 30d")
    uid, gid, user = _owner(desk, actor, wish.user)
    _check_role(desk, uid, user, wish.role)
    now = desk.clock.now()
    _check_number(desk, uid, now)
    secret = new_secret()
    kept = hash_token(secret)
    name = wish.name or f"{user}-{kept[:6]}"
    token = Token(kept, name, uid, gid, user, wish.role, now, actor.user, now + wish.life_s)
    if not desk.store.add_token(token, actor):
        raise Refused(f"there is a token {name!r} already", f"choose another name, or dcd token revoke {name}")
    return secret, token


def list_tokens(desk: Desk, actor: Actor) -> list[Token]:
    """Return all tokens to an operator, and to a user those that stand for him."""
    return [token for token in desk.store.tokens() if actor.operator or token.uid == actor.uid]


def revoke_token(desk: Desk, actor: Actor, which: str) -> Token:
    """Have a token, by name or id, open nothing from now on; raise NotFound or StoreUnavailable.

    Somebody else's is not found either: who has which tokens is nobody's business.
    """
    mine = [token for token in list_tokens(desk, actor) if token.revoked_at is None]
    found = next((token for token in mine if which in (token.name, token.id)), None)
    if found is None or not desk.store.revoke_token(found.hash, desk.clock.now(), actor):
        raise NotFound(f"there is no token {which!r} to revoke", "dcd token list names them")
    desk.revoked.add(found.hash)
    return found


def admit(desk: Desk, header: str, peer: str | None) -> Actor:
    """Return whom the bearer of this `Authorization` is; raise Unauthorized, and count it, when it is nobody."""
    try:
        token = _known(desk, header)
    except Unauthorized:
        _count(desk, peer)
        raise
    _note_use(desk, token, peer)
    operator = token.role is TokenRole.OPERATOR and desk.is_operator(token.uid, token.user)
    return Actor(
        token.uid, token.gid, token.user, operator, via="token", read_only=token.role is TokenRole.VIEWER,
        peer=peer, token=token.id,
    )  # fmt: skip


def is_open(desk: Desk, header: str) -> bool:
    """Say, without asking the database, whether an answer that has begun may go on to this bearer."""
    return hash_token(_bearer(header)) not in desk.revoked


def _known(desk: Desk, header: str) -> Token:
    text = _bearer(header)
    token = desk.store.token(hash_token(text)) if len(text) <= _LONGEST else None
    if token is None:
        raise Unauthorized("this token is not known here", "check --token-file, or use the unix socket")
    if token.revoked_at is not None:
        raise Unauthorized("this token was revoked", _HOW_TO_RENEW)
    if not token.is_valid(desk.clock.now()):
        raise Unauthorized("this token has expired", _HOW_TO_RENEW)
    return token


def _bearer(header: str) -> str:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Unauthorized("this address needs a token", _HOW_TO_SEND)
    return text.strip()


def _count(desk: Desk, peer: str | None) -> None:
    address = (peer or "unknown").rpartition(":")[0] or "unknown"
    refused = desk.attempts.count(address, desk.clock.monotonic())
    if refused is not None:
        facts = {"action": "token_refused", "from": address, "times": refused}
        log.warning("refused a caller without a good token", extra=facts)


def _note_use(desk: Desk, token: Token, peer: str | None) -> None:
    now = desk.clock.now()
    if token.last_used_at is None or abs(now - token.last_used_at) >= _NOTE_USE_EVERY_S:
        with contextlib.suppress(StoreUnavailable):  # who asks shall be answered even when nothing can be written
            desk.store.used_token(token.hash, now, peer)


def _owner(desk: Desk, actor: Actor, user: str | None) -> tuple[int, int, str]:
    """Return uid, gid and name of whom the token is to stand for."""
    if user is None or user == actor.user:
        return actor.uid, actor.gid, actor.user
    if not actor.operator:
        raise Forbidden(f"{actor.user} may not make a token for {user}", "ask an operator of this node")
    known = desk.login_of(user)
    if known is None:
        raise NotFound(f"there is no user {user!r} on this node", "check the name: getent passwd USER")
    return *known, user


def _check_role(desk: Desk, uid: int, user: str, role: TokenRole) -> None:
    """Refuse a token with more rights than its user has: an operator's is for operators."""
    if role is TokenRole.OPERATOR and not desk.is_operator(uid, user):
        hint = "use --role submitter, or add the user to [daemon] operators"
        raise Forbidden(f"{user} is no operator of this node", hint)


def _check_number(desk: Desk, uid: int, now: float) -> None:
    valid = sum(token.uid == uid and token.is_valid(now) for token in desk.store.tokens())
    if valid >= _PER_USER:
        raise Refused(f"there are {valid} valid tokens of this user already", "revoke some: dcd token list")

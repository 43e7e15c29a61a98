"""Tokens: what is kept of them is a hash, whom they stand for, and until when; revoked ones stay for the record."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dcdaemon.core.audit import token_created, token_revoked
from dcdaemon.core.ports import Actor
from dcdaemon.core.token import Token, TokenRole
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.schema import token


def add(connection: Connection, node: str, new: Token, actor: Actor) -> bool:
    """Remember a new token; False when one of the node that is not revoked has its name."""
    named = (token.c.node == node) & (token.c.name == new.name) & token.c.revoked_at.is_(None)
    if connection.execute(select(token.c.hash).where(named)).first() is not None:
        return False
    connection.execute(insert(token), _row(node, new))
    add_audit(connection, [audit_row(node, new.created_at, actor, token_created(new))])
    return True


def find_one(connection: Connection, node: str, token_hash: str) -> Token | None:
    """Return the node's token of that hash, valid or not."""
    statement = select(token).where(token.c.hash == token_hash, token.c.node == node)
    row = connection.execute(statement).one_or_none()
    return _token_of(row) if row else None


def find(connection: Connection, node: str) -> list[Token]:
    """Return the node's tokens, the oldest first."""
    statement = select(token).where(token.c.node == node).order_by(token.c.created_at, token.c.hash)
    return [_token_of(row) for row in connection.execute(statement)]


def revoke(connection: Connection, node: str, token_hash: str, at: float, actor: Actor) -> bool:
    """Revoke a token; False when there is none that is not revoked already."""
    known = find_one(connection, node, token_hash)
    if known is None or known.revoked_at is not None:
        return False
    gone = replace(known, revoked_at=at, revoked_by=actor.user)
    statement = update(token).where(token.c.hash == token_hash)
    connection.execute(statement.values(revoked_at=gone.revoked_at, revoked_by=gone.revoked_by))
    add_audit(connection, [audit_row(node, at, actor, token_revoked(known, at))])
    return True


def used(connection: Connection, node: str, token_hash: str, at: float, peer: str | None) -> None:
    """Note the last use of a token."""
    statement = update(token).where(token.c.hash == token_hash, token.c.node == node)
    connection.execute(statement.values(last_used_at=at, last_used_from=peer))


def _row(node: str, new: Token) -> dict[str, Any]:
    return {
        "hash": new.hash,
        "node": node,
        "name": new.name,
        "uid": new.uid,
        "gid": new.gid,
        "user_name": new.user,
        "role": new.role.value,
        "created_at": new.created_at,
        "created_by": new.created_by,
        "expires_at": new.expires_at,
    }


def _token_of(row: Row[Any]) -> Token:
    return Token(
        row.hash, row.name, row.uid, row.gid, row.user_name, TokenRole(row.role), row.created_at, row.created_by,
        row.expires_at, row.revoked_at, row.revoked_by, row.last_used_at, row.last_used_from,
    )  # fmt: skip

"""The part of the store that keeps who may ask and who did what: tokens and the audit."""

from typing import Protocol

from dcdaemon.core.audit import AuditQuery, AuditRow, Change
from dcdaemon.core.ports.actor import Actor
from dcdaemon.core.token import Token


class AccessStore(Protocol):
    """Tokens, and the audit."""

    def audit(self, since: float | None = None, job_id: int | None = None) -> list[AuditRow]:
        """Return the audit rows, oldest first."""
        ...

    def find_audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return this node's audit rows that match, oldest first."""
        ...

    def note(self, change: Change, at: float, actor: Actor) -> None:
        """Add a row to the audit for a change of something that is not in the database."""
        ...

    def add_token(self, token: Token, actor: Actor) -> bool:
        """Remember what is to be kept of a new token; False when a valid one of this node has its name."""
        ...

    def token(self, token_hash: str) -> Token | None:
        """Return this node's token of that hash, valid or not."""
        ...

    def tokens(self) -> list[Token]:
        """Return this node's tokens, revoked ones too, the oldest first."""
        ...

    def revoke_token(self, token_hash: str, at: float, actor: Actor) -> bool:
        """Have a token open nothing from now on; False when there is none that is not revoked already."""
        ...

    def used_token(self, token_hash: str, at: float, peer: str | None) -> None:
        """Note the last use of a token; not durable, and no row of the audit."""
        ...

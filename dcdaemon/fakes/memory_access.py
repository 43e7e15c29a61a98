"""The tokens of MemoryStore, and its audit."""

from dataclasses import replace

from dcdaemon.core.audit import AuditQuery, AuditRow, Change, token_created, token_revoked
from dcdaemon.core.ports import Actor
from dcdaemon.core.token import Token
from dcdaemon.fakes.memory import Memory


class MemoryAccess(Memory):
    """Who may ask, and who did what."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self._tokens: dict[str, Token] = {}

    def audit(self, since: float | None = None, job_id: int | None = None) -> list[AuditRow]:
        """Return the audit rows, oldest first."""
        with self._lock:
            return [
                row
                for row in self._audit
                if (since is None or row.at >= since) and (job_id is None or row.job_id == job_id)
            ]

    def find_audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return the audit rows that match, oldest first."""
        with self._lock:
            found = [row for row in self._audit if _tells(row, query)]
        return found if query.limit is None else found[max(len(found) - query.limit, 0) :]

    def note(self, change: Change, at: float, actor: Actor) -> None:
        """Add a row to the audit for a change of something that is not in the store."""
        with self._lock:
            self._note(at, actor, change)

    def add_token(self, token: Token, actor: Actor) -> bool:
        """Remember what is to be kept of a new token; False when a valid one has its name."""
        with self._lock:
            if any(known.name == token.name and known.revoked_at is None for known in self._tokens.values()):
                return False
            self._tokens[token.hash] = token
            self._note(token.created_at, actor, token_created(token))
            return True

    def token(self, token_hash: str) -> Token | None:
        """Return the token of that hash, valid or not."""
        return self._tokens.get(token_hash)

    def tokens(self) -> list[Token]:
        """Return the tokens, revoked ones too, the oldest first."""
        with self._lock:
            return sorted(self._tokens.values(), key=lambda token: (token.created_at, token.hash))

    def revoke_token(self, token_hash: str, at: float, actor: Actor) -> bool:
        """Have a token open nothing from now on; False when there is none that is not revoked already."""
        with self._lock:
            token = self._tokens.get(token_hash)
            if token is None or token.revoked_at is not None:
                return False
            self._tokens[token_hash] = replace(token, revoked_at=at, revoked_by=actor.user)
            self._note(at, actor, token_revoked(token, at))
            return True

    def used_token(self, token_hash: str, at: float, peer: str | None) -> None:
        """Note the last use of a token."""
        with self._lock:
            self._tokens[token_hash] = replace(self._tokens[token_hash], last_used_at=at, last_used_from=peer)


def _tells(row: AuditRow, query: AuditQuery) -> bool:
    return (
        (query.since is None or row.at >= query.since)
        and (not query.job_ids or row.job_id in query.job_ids)
        and query.uid in (None, row.uid)
        and query.user in (None, row.user)
        and query.action in (None, row.action)
    )

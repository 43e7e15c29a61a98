"""A token for TCP: whom it stands for, what it may do, and until when; the token itself only its owner knows."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

#: So much of the hash names a token in lists and in the audit; it says nothing of the token itself.
ID_LENGTH = 12


class TokenRole(StrEnum):
    """What a token may do, from the least to the most; never more than the user it stands for."""

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"

    @property
    def rank(self) -> int:
        """Return the place in that order."""
        return list(TokenRole).index(self)


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token; times are epoch seconds, `expires_at` None for one that never does."""

    hash: str
    name: str
    uid: int
    gid: int
    user: str
    role: TokenRole
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None
    revoked_by: str | None = None
    last_used_at: float | None = None
    last_used_from: str | None = None

    @property
    def id(self) -> str:
        """Return what it is called where its name is not unique: the start of its hash."""
        return self.hash[:ID_LENGTH]

    def is_valid(self, now: float) -> bool:
        """Say whether it opens the door now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def audit_detail(self) -> dict[str, object]:
        """Return what the audit keeps of it."""
        return {
            "token": self.id, "name": self.name, "user": self.user, "role": self.role.value,
            "expires_at": self.expires_at,
        }  # fmt: skip


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token, in hex.

    A token is 256 random bits, so no slow hash is needed; and since the database is asked for the hash, no comparison
    takes longer the more of a token was guessed.
    """
    return hashlib.sha256(token.encode()).hexdigest()

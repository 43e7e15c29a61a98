"""The token for TCP: made once, kept in a 0600 file for its owner, known to the database only as a hash."""

import os
import secrets
from pathlib import Path

from dcdaemon.api.identity import hash_token, user_name
from dcdaemon.core.ports import Actor, Store

_BYTES = 32


def ensure_token(path: Path, store: Store, now: float) -> Path:
    """Make the token of the daemon's own user unless the file holds one that is known; returns the file."""
    if path.exists() and store.token_owner(hash_token(path.read_text("ascii").strip())) is not None:
        return path
    token = secrets.token_urlsafe(_BYTES)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(token + "\n")
    uid = os.geteuid()
    owner = Actor(uid=uid, gid=os.getegid(), user=user_name(uid), operator=True, via="token")
    store.add_token(hash_token(token), owner, "made at start", now)
    return path

"""The daemon's own token for TCP: made once, kept in a 0600 file for its user, known to the database only as a hash."""

import os
from pathlib import Path

from dcdaemon.api.identity import user_name
from dcdaemon.control.tokens import new_secret
from dcdaemon.core.errors import Refused
from dcdaemon.core.ports import DAEMON, Store
from dcdaemon.core.token import Token, TokenRole, hash_token


def ensure_token(path: Path, store: Store, now: float) -> Path:
    """Make the token of the daemon's own user unless the file holds one that is valid; returns the file.

    It has no end: whoever can read the file is the daemon's user, or root.
    """
    known = store.token(hash_token(path.read_text("ascii").strip())) if path.exists() else None
    if known is not None and known.is_valid(now):
        return path
    secret = new_secret()
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(secret + "\n")
    uid, kept = os.geteuid(), hash_token(secret)
    name = f"made at start {kept[:12]}"
    own = Token(kept, name, uid, os.getegid(), user_name(uid), TokenRole.OPERATOR, now, DAEMON.user)
    if not store.add_token(own, DAEMON):
        raise Refused(f"there is a token {name!r} already", f"remove {path} and start again")
    return path

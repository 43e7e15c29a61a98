"""One daemon for one state directory: a lock that the kernel gives back however the daemon ends."""

import fcntl
import os
from pathlib import Path

from dcdaemon.core.errors import BadConfig, Refused


def lock_state_dir(state_dir: Path) -> int:
    """Make the directory and lock it until the returned descriptor is closed; raise BadConfig or Refused."""
    try:
        state_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadConfig(
            f"the state directory {state_dir} cannot be used: {error.strerror}",
            "give it to the daemon's user, or choose another [daemon] state_dir",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Refused(
            f"another daemon already serves {state_dir}", "stop it first, or choose another [daemon] state_dir"
        ) from error
    return descriptor

"""Read a batch script, and keep a copy: a job runs what was submitted, whatever becomes of the file meanwhile."""

import hashlib
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.errors import BadInput, StoreUnavailable

MAX_SCRIPT_BYTES = 4 * 1024 * 1024
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it was read: where from, in words, its file name, and its text."""

    source: str
    name: str
    text: str


def read_script(file: str) -> Script:
    """Return the script in this file (`-` = standard input); raise BadInput when it cannot be read."""
    try:
        raw = sys.stdin.buffer.read(MAX_SCRIPT_BYTES + 1) if file == "-" else _first_bytes(Path(file))
        text = raw.decode()
    except OSError as error:
        why, hint = error.strerror or str(error), "check the path; --sbatch - reads standard input"
        raise BadInput(f"the batch script {file} cannot be read: {why}", hint) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"the batch script {file} is not text (UTF-8)", "give the script itself") from error
    if len(raw) > MAX_SCRIPT_BYTES:
        raise BadInput(f"the batch script {file} is larger than {MAX_SCRIPT_BYTES} bytes", "let it call a larger one")
    return Script("standard input", "sbatch", text) if file == "-" else Script(file, Path(file).name, text)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_SCRIPT_BYTES + 1)


def keep_copy(script: Script) -> Path:
    """Write the script, durably, to a file of this user that is named after its content; return where.

    Equal scripts share one copy. Raise StoreUnavailable when the disk refuses.
    """
    content = script.text.encode()
    path = state_directory() / "scripts" / hashlib.sha256(content).hexdigest()[:_DIGITS] / script.name
    try:
        if not path.exists():
            _write_durably(path, content)
    except OSError as error:
        raise StoreUnavailable(
            f"no copy of the script could be written to {path.parent}: {error.strerror}",
            "make room there, or name another directory in XDG_STATE_HOME; nothing was queued",
        ) from error
    return path


def state_directory() -> Path:
    """Return where this user's copies and tools are kept."""
    state = os.environ.get("XDG_STATE_HOME") or ""
    home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return home / "dcdaemon"


def _write_durably(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o500)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    for directory in (path.parent, path.parent.parent):
        _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The record of an installation: which files it put in place, and how they were then."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dcdaemon.core.errors import BadInput

_SCHEMA = 1


@dataclass(slots=True)
class Manifest:
    """Version and programs of an installation; `files` maps each path to its fingerprint, `folders` were made for it.

    What the operator may make his own without asking, `examples`, is left to him once he has.
    """

    version: str = ""
    programs: str = ""
    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the record as it is kept."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=2, sort_keys=True) + "\n"


def read_manifest(path: Path) -> Manifest | None:
    """Return the record, None where nothing is installed; raise BadInput for one that cannot be read."""
    try:
        document = json.loads(path.read_bytes())
        return Manifest(
            str(document["version"]), str(document["programs"]), dict(document["files"]),
            folders=list(document["folders"]), examples=list(document["examples"]),
        )  # fmt: skip
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"the record of the installation {path} cannot be read: {error}",
            "move it away; dcd service install writes a new one",
        ) from error


def fingerprint(text: str, *, link: bool = False) -> str:
    """Return what a file or a link is known by again."""
    return f"link:{text}" if link else hashlib.sha256(text.encode()).hexdigest()


def fingerprint_of(path: Path) -> str | None:
    """Return the fingerprint of what stands there, None for nothing."""
    if path.is_symlink():
        return fingerprint(str(path.readlink()), link=True)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        return "folder"
    except PermissionError:
        return "closed"  # a dry run needs no rights

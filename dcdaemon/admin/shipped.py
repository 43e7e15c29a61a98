"""The files of systemd/ that come with the program: one copy in a checkout, carried inside an installed package."""

import re
from pathlib import Path

from dcdaemon.core.errors import NotFound

_PACKAGED = Path(__file__).with_name("units")
_CHECKOUT = Path(__file__).parents[2] / "systemd"
#: Programs are named where a person would link them to; an installed unit names them where they are.
_PROGRAM = re.compile(r"(?m)^(Exec\w+=)(?:/usr/local/bin|%h/\.local/bin)/(\S+)")


def shipped(name: str) -> str:
    """Return the text of one of the files."""
    for folder in (_PACKAGED, _CHECKOUT):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise NotFound(f"{name} did not come with this program", "install dcdaemon anew: a part of its package is missing")


def unit_text(name: str, programs: Path) -> str:
    """Return a unit that runs the programs of this folder."""
    return _PROGRAM.sub(lambda match: f"{match[1]}{_quoted(programs / match[2])}", shipped(name))


def _quoted(program: Path) -> str:
    """Write a path as systemd reads it: no specifier, one word, no variable (systemd.service(5))."""
    text = str(program).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if re.search(r"[\s'\"]", text) else text

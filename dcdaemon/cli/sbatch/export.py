"""Read sbatch's --export: which variables of the submit's environment a job gets."""

import re
from collections.abc import Mapping

from dcdaemon.core.errors import BadInput

#: What a job is given of an environment that is not exported: enough to find programs and its home.
ALWAYS = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER")
_PART = re.compile(r"""((?:[^,'"]|'[^']*'|"[^"]*")*)(?:,|$)""")
_NAME = re.compile(r"[A-Za-z_]\w*")


def exported(text: str | None, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for `ALL` (and None), `NONE`, `NIL`, `ALL,LR=0.1` or `HOME,LR=0.1`; raise BadInput."""
    parts = [match[1] for match in _PART.finditer(text or "ALL") if match[1]]
    words = {part.upper() for part in parts}
    env = dict(inherited) if "ALL" in words else {key: inherited[key] for key in ALWAYS if key in inherited}
    for part in parts:
        name, equals, value = part.partition("=")
        if part.upper() in ("ALL", "NONE", "NIL"):
            continue
        if not _NAME.fullmatch(name):
            raise BadInput(f"--export={text}: {part!r} is no variable", "write names or NAME=VALUE, with , between")
        if equals:
            env[name] = _unquoted(value)
        elif name in inherited:
            env[name] = inherited[name]
    return env


def _unquoted(value: str) -> str:
    return re.sub(r"""'([^']*)'|"([^"]*)\"""", lambda match: match[1] or match[2] or "", value)

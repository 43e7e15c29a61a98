"""Prints the configuration: rows of `dcd config show`, file of `dcd config init`, reference page."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dcdaemon.config.load import Loaded
from dcdaemon.config.model import FAMILIES, SECTIONS
from dcdaemon.config.secrets import masked
from dcdaemon.config.setting import Raw, settings_of
from dcdaemon.core.roles import table

_PAGE_HEAD = """\
# Configuration

Nothing has to be configured. What is set is read in this order, the last one wins:

1. the defaults below
2. `/etc/dcdaemon/dcdaemon.toml`, then `/etc/dcdaemon/conf.d/*.toml` in the order of their names
3. `~/.config/dcdaemon/config.toml`
4. environment variables: `DCD_SECTION__KEY`, like `DCD_GPUS__POLL_INTERVAL=2s`
5. flags of the command

`dcd config init` writes a commented file, `dcd config check` tells what is wrong with yours, and
`dcd config show --origin` tells where each value came from. Durations carry a unit (`90s`, `2h30m`, `30d`),
memory too (`32G`); a share goes from 0 to 1. Of `[queues.NAME]`, `[accounts.NAME]` and `[snmp_users.NAME]` there can
be as many as are needed, each under a name of its own; a variable names it in the middle:
`DCD_QUEUES__SHORT__MAX_LIMIT=1h`. An unknown key warns when the daemon starts and fails in `dcd config check`; a
wrong value is refused everywhere.
"""
_ROLES_HEAD = """
## Roles of a node

`node.roles` decides what is read. Without `compute` no driver is loaded, and none is missed. A collector that finds
nothing to read costs next to nothing; `dcd doctor` says why it finds nothing.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `dcd config show` prints it."""

    name: str
    value: Any
    origin: str


def rows(loaded: Loaded) -> list[Row]:
    """Return every setting with its value as written, secrets masked, and its origin."""
    return [Row(name, masked(loaded.raw[name]), origin) for name, origin in loaded.origins.items()]


def init_text() -> str:
    """Return a configuration file in which every setting stands as a comment, with its default."""
    return "\n".join(_init_lines()) + "\n"


def page_text() -> str:
    """Return docs/configuration.md."""
    return "\n".join((_PAGE_HEAD + "\n".join(_page_lines()), _ROLES_HEAD, *table(), ""))


def _init_lines() -> Iterator[str]:
    yield "# dcdaemon: what stands here as a comment is the default."
    yield "# dcd config check tells what is wrong, dcd config show --origin what is in force and why."
    for section, cls in SECTIONS.items():
        yield from ("", *_commented(cls), f"[{section}]")
        for setting in settings_of(section, cls):
            yield f"# {setting.meaning}"
            yield f"#{setting.key} = {_toml(setting.default)}"
    for family, cls in FAMILIES.items():
        # Further in: a section that is there counts, even an empty one, and taking away every # must change nothing.
        yield from ("", *_commented(cls), f"# As many as are needed, each with a name of its own: [{family}.NAME]")
        yield f"#   [{family}.NAME]"
        for setting in settings_of(family, cls):
            yield f"# {setting.meaning}"
            yield f"#   {setting.key} = {_toml(setting.default)}"


def _page_lines() -> Iterator[str]:
    for section, cls in [*SECTIONS.items(), *((f"{family}.NAME", cls) for family, cls in FAMILIES.items())]:
        yield from (
            "",
            f"## `[{section}]`",
            "",
            _text(cls),
            "",
            "| key | kind | default | meaning |",
            "|---|---|---|---|",
        )
        for setting in settings_of(section, cls):
            default = _toml(setting.default)
            yield f"| `{setting.key}` | {setting.kind.name} | `{default}` | {setting.meaning} |"


def _text(cls: type) -> str:
    return inspect.cleandoc(str(cls.__doc__))


def _commented(cls: type) -> list[str]:
    return [f"# {line}".rstrip() for line in _text(cls).splitlines()]


def _toml(value: Raw) -> str:
    # JSON writes texts, numbers, true, false and lists of texts as TOML does.
    return json.dumps(value)

"""Sections of which there can be several, each under a name of its own, like [queues.short]."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from dcdaemon.config.model import FAMILIES, SETTINGS
from dcdaemon.config.setting import Setting, settings_of
from dcdaemon.core.errors import BadConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MEMBERS_AT_MOST = 1000


def setting_named(name: str) -> Setting | None:
    """Return the setting of this name, in whatever section; None when there is none."""
    family, _, rest = name.partition(".")
    member, _, key = rest.partition(".")
    if family not in FAMILIES or not key:
        return SETTINGS.get(name)
    return next((one for one in settings_of(f"{family}.{member}", FAMILIES[family]) if one.key == key), None)


def is_known(name: str) -> bool:
    """Tell whether this is a setting, or a section of a family."""
    return setting_named(name) is not None or is_section(name)


def is_section(name: str) -> bool:
    """Tell whether this names a section of a family."""
    family, _, member = name.partition(".")
    return family in FAMILIES and bool(member) and "." not in member


def sections(names: Iterable[str]) -> dict[str, type]:
    """Return the sections of families that settings of these names make, as they come, each with its class."""
    found = dict.fromkeys(".".join(name.split(".")[:2]) for name in names if name.partition(".")[0] in FAMILIES)
    return {section: FAMILIES[section.partition(".")[0]] for section in found if is_section(section)}


def flattened(family: str, members: object, origin: str) -> Iterator[tuple[str, Any]]:
    """Yield name and raw value of all that a file says of a family; raise BadConfig for what is no section of it."""
    if not isinstance(members, dict):
        raise BadConfig(f"{origin}: {family} = {members!r} is not a section", f"write [{family}.NAME] on a line")
    if len(members) > _MEMBERS_AT_MOST:
        raise BadConfig(f"{origin}: {len(members)} sections of {family}", f"at most {_MEMBERS_AT_MOST} make sense")
    for member, table in members.items():
        section = f"{family}.{member}"
        if not isinstance(table, dict):
            raise BadConfig(
                f"{origin}: {section} = {table!r} stands in no section", f"write it below a line [{family}.NAME]"
            )
        if not _NAME.fullmatch(member):
            raise BadConfig(
                f"{origin}: {member!r} cannot be a name in {family}", "use letters, digits, and _ - within, at most 64"
            )
        yield section, {}
        for key, raw in table.items():
            yield f"{section}.{key}", raw

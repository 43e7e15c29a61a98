"""Which devices came, went and changed their names between two looks at a folder of /sys."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.event import Event, EventKind, Tell

#: What stays when a device gets another name, and differs when another device gets its name; None is not known.
Identity = tuple[int, int] | None
Roster = Mapping[str, Identity]


@dataclass(frozen=True, slots=True)
class Moves:
    """The differences between two rosters; `renamed` goes from new names to old ones."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    renamed: Mapping[str, str]

    def tell(self, tell: Tell, at: float, what: str) -> None:
        """Tell of each of them; `what` is the word for such a device."""
        for name, was in self.renamed.items():
            tell(Event(at, EventKind.DEVICE_RENAMED, name, f"{what} {was} is called {name} now", {"was": was}))
        for name in self.gone:
            tell(Event(at, EventKind.DEVICE_GONE, name, f"{what} {name} is not there any more"))
        for name in self.new:
            tell(Event(at, EventKind.DEVICE_NEW, name, f"{what} {name} was not there before"))


def identities(folder: Path, names: Iterable[str]) -> dict[str, Identity]:
    """Return who goes by each name: a folder of /sys keeps its inode when its device is renamed, and never lends it."""
    return {name: _identity(f"{folder}/{name}") for name in names}


def moves(before: Roster, now: Roster) -> Moves | None:
    """Return what changed from one roster to the next; None, quickly, when nothing did."""
    if before == now:
        return None
    names = {identity: name for name, identity in before.items()}
    renamed = {name: was for name, identity in now.items() if identity and (was := names.get(identity, name)) != name}
    left = set(renamed.values())
    new = tuple(name for name, identity in now.items() if name not in renamed and _other(before, name, identity))
    gone = tuple(name for name, identity in before.items() if name not in left and _other(now, name, identity))
    return Moves(new, gone, renamed)


def _other(roster: Roster, name: str, identity: Identity) -> bool:
    """Tell whether no such device is in the roster; one that could not be looked at passes for the same."""
    known = roster.get(name)
    return name not in roster or (known is not None and identity is not None and known != identity)


def _identity(path: str) -> Identity:
    try:
        status = os.stat(path)  # noqa: PTH116  a Path for each device and sweep would cost more than the call
    except OSError:
        return None
    return status.st_dev, status.st_ino

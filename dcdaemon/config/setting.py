"""What one setting is, and how a section declares its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from dcdaemon.config.values import Kind

Raw = str | int | float | bool | Sequence[str] | Sequence[int]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the files name it; `attribute` is its name in the tree, with the unit."""

    section: str
    key: str
    attribute: str
    kind: Kind
    default: Raw
    meaning: str

    @property
    def name(self) -> str:
        """Section and key, as messages and `dcd config show` print it."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"DCD_{self.section.replace('.', '__')}__{self.key}".upper()


def declared(default: Raw, kind: Kind, meaning: str, key: str | None = None) -> Any:
    """Declare a setting as a field of its section's class; `key` where the files name it otherwise."""
    metadata = {"default": default, "kind": kind, "meaning": meaning, "key": key}
    return field(default=kind.read(default), metadata=metadata)


def settings_of(section: str, cls: type) -> Iterator[Setting]:
    """Yield the settings that a section's class declares."""
    for one in fields(cls):
        meta = one.metadata
        if meta:
            key = meta["key"] or one.name
            yield Setting(section, key, one.name, meta["kind"], meta["default"], meta["meaning"])

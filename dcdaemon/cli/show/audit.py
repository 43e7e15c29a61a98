"""The audit as a table: one line a change, from what to what."""

from datetime import UTC, datetime

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, ago, count, duration, memory, when
from dcdaemon.client.answer import Document

_COMMON = ("state", "held", "priority")


def audit_page(document: Document) -> Page:
    """Return the page of `dcd audit`, the newest at the end, where the eye is."""
    rows = document["audit"]
    return Page(document, rows, AUDIT, talk=count(len(rows), "change") if rows else "nothing was changed in this time")


def change(row: Document) -> str:
    """Return what is different: `held: no -> yes, gpus: none -> 0,1`; of what is new, all of it."""
    before, after = row["before"] or {}, row["after"] or {}
    # What is new begins with what tells it from others, and not with what all have in common.
    names = sorted({**before, **after}, key=lambda name: not before and name in _COMMON)
    return ", ".join(f"{name}: {_step(before, after, name)}" for name in names)


def _step(before: Document, after: Document, name: str) -> str:
    if name not in before:
        return _word(name, after[name])
    return f"{_word(name, before[name])} -> {_word(name, after.get(name))}"


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _figure(name, value)
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _figure(name: str, value: float) -> str:
    """Return a number in the unit that its name ends with."""
    if name.endswith("_at"):
        return datetime.fromtimestamp(value, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if name.endswith("_s"):
        return duration(value)
    return memory(int(value)) if name.endswith("_bytes") else str(value)


def _where(row: Document) -> str:
    token = f", token {row['token']}" if row["token"] else ""
    return f"{row['via']} {row['from'] or ''}".strip() + token


AUDIT = (
    Column("ID", lambda row: str(row["id"]), right=True, whole=True),
    Column("WHEN", lambda row: ago(row["at"]), whole=True),
    Column("AT", lambda row: when(row["at"]), whole=True, wide=True),
    Column("USER", lambda row: str(row["user"])),
    Column("ACTION", lambda row: str(row["action"]), whole=True),
    Column("WHAT", lambda row: row["subject"] or UNKNOWN),
    Column("CHANGE", change),
    Column("FROM", _where, wide=True),
)

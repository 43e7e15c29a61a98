"""The audit as a table: one line a change, from what to what."""

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, ago, count, when
from dcdaemon.client.answer import Document


def audit_page(document: Document) -> Page:
    """Return the page of `dcd audit`, the newest at the end, where the eye is."""
    rows = document["audit"]
    return Page(document, rows, AUDIT, talk=count(len(rows), "change") if rows else "nothing was changed in this time")


def change(row: Document) -> str:
    """Return what is different: `held: no -> yes, gpus: none -> 0,1`; of what is new, all of it."""
    before, after = row["before"] or {}, row["after"] or {}
    return ", ".join(f"{name}: {_step(before, after, name)}" for name in {**before, **after})


def _step(before: Document, after: Document, name: str) -> str:
    if name not in before:
        return _word(after[name])
    return f"{_word(before[name])} -> {_word(after.get(name))}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


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

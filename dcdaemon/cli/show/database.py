"""What `dcd db` says of backups, restores, checks and migrations."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import count, memory, printable
from dcdaemon.client.answer import Document
from dcdaemon.core.backup import BackupMade

#: Ids named in one line, before it says how many more there are.
_NAMED = 10


def backup_page(file: Path, made: BackupMade) -> Page:
    """Tell of a backup that is complete."""
    row: Document = {
        "file": str(file), "size_bytes": made.size_bytes, "database_schema": made.schema, "jobs": made.jobs,
        "environments": made.environments, "missing_environments": list(made.missing), "encrypted": made.encrypted,
    }  # fmt: skip
    text = (
        f"{printable(str(file))}: {memory(made.size_bytes)}, schema {made.schema}, {count(made.jobs, 'job')}, "
        f"{count(made.environments, 'environment')}, {'encrypted' if made.encrypted else 'not encrypted'}"
    )
    if made.missing:
        text += (
            f"\nwarn  {count(len(made.missing), 'environment')} of unfinished jobs could not be read, and is not in it"
        )
    return Page({"schema": 1, **row}, [row], id_key="file", text=text)


def restore_page(done: Document) -> Page:
    """Tell of a restore: what is in place now, and what came along."""
    held = f"{count(done['jobs'], 'job')}, made with schema {done['backup_schema']}"
    lines = [
        f"{printable(done['backup'])} is in place as {printable(done['database'])}: {held}",
        *_restored_lines(done),
        "start the daemon: it asks the shims of jobs that run, or have ended, what became of them",
    ]
    return Page({"schema": 1, **done}, [done], id_key="database", text="\n".join(lines))


def _restored_lines(done: Document) -> Iterator[str]:
    if kept := done["kept_aside"]:
        yield f"the database of before is {printable(kept)}{'' if kept.startswith('/') else ', a schema beside it'}"
    if done["environments"]:
        yield f"{count(done['environments'], 'environment')} of jobs put back"
    told = {
        "newer_jobs": "submitted since the backup, taken along from the database of before",
        "moved_jobs": "begun or queued again since, taken as they stand in the database of before",
        "jobs_on_disk": "known from their directories alone: the next start finds out what became of them",
        "strangers": "another one in the database of before, which keeps that one",
    }
    for key, words in told.items():
        if done[key]:
            yield f"{count(len(done[key]), 'job')} {words}: {_ids(done[key])}"
    for warning in done["warnings"]:
        yield f"warn  {printable(warning)}"


def check_page(name: str, verdict: Document) -> Page:
    """Tell what a check found, each violation in a line of its own."""
    rows = verdict["violations"]
    known = f"schema {verdict['database_schema']}"
    text = "\n".join(f"{row['rule']:<13} {printable(row['message'])}" for row in rows)
    if not rows:
        text = f"ok    {printable(name)}, {known}"
        if not verdict["complete"]:
            text += ": its pages are sound; its contents are checked once it is of this version's schema"
    columns = (Column("RULE", lambda row: str(row["rule"])), Column("MESSAGE", lambda row: printable(row["message"])))
    return Page({"schema": 1, "database": name, **verdict}, rows, columns, id_key="rule", text=text)


def migration_page(done: Document) -> Page:
    """Tell from which schema to which the database was brought, or would be."""
    steps: Sequence[str] = done["steps"]
    stored = done["from_schema"] or "nothing"
    if not steps:
        text = f"schema {stored} is the one of this version: there is nothing to do"
    elif done["dry_run"]:
        text = f"schema {stored} would be brought to {steps[-1]}, through {', '.join(steps)}; nothing was changed"
    else:
        text = f"schema {stored} was brought to {steps[-1]}"
    if done["copy"]:
        text += f"\nas it was before, it is in {printable(done['copy'])}"
    return Page({"schema": 1, **done}, [done], id_key="from_schema", text=text)


def _ids(ids: Sequence[int]) -> str:
    named = ", ".join(map(str, ids[:_NAMED]))
    return named if len(ids) <= _NAMED else f"{named} and {len(ids) - _NAMED} more"

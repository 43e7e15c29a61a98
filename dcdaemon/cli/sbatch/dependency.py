"""Read sbatch's --dependency: `afterok:12:13,afterany:14`, `singleton`."""

import re
from dataclasses import dataclass

from dcdaemon.core.errors import BadInput

#: Slurm's word -> the field of a job.
_FIELDS = {"afterok": "after", "afterany": "after_any", "afternotok": "after_not_ok"}
_JOB = re.compile(r"\d{1,18}(?:_(?:\d{1,9}|\*))?")
_UNKNOWN = {
    "after": "use afterany, or --begin: jobs do not wait for a start",
    "aftercorr": "use afterok: it waits for the whole array",
    "afterburstbuffer": "there are no burst buffers",
    "expand": "submit a job of the whole size",
}


@dataclass(frozen=True, slots=True)
class Dependency:
    """Which jobs are waited for, by field of a job; and whether for all of the same name and user."""

    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    after_not_ok: tuple[str, ...] = ()
    singleton: bool = False


def dependency_of(text: str) -> Dependency:
    """Return what is waited for; raise BadInput for a kind of waiting that jobs here do not know."""
    if "?" in text:
        raise BadInput(f"--dependency={text}: jobs cannot wait for any one of several (?)", "write , for all of them")
    found: dict[str, list[str]] = {field: [] for field in _FIELDS.values()}
    singleton = False
    for part in text.split(","):
        kind, _, jobs = part.partition(":")
        if part == "singleton":
            singleton = True
        elif _JOB.fullmatch(part):
            found["after_any"].append(part)
        else:
            found[_field(kind)] += _jobs(part, jobs)
    return Dependency(**{field: tuple(jobs) for field, jobs in found.items()}, singleton=singleton)


def _field(kind: str) -> str:
    if kind in _FIELDS:
        return _FIELDS[kind]
    hint = _UNKNOWN.get(kind, f"known are {', '.join(_FIELDS)} and singleton")
    raise BadInput(f"--dependency: {kind!r} is not understood", hint)


def _jobs(part: str, text: str) -> list[str]:
    jobs = text.split(":")
    for job in jobs:
        if not _JOB.fullmatch(job):
            raise BadInput(f"--dependency={part}: {job!r} is no job", "write ids, like afterok:12:13")
    return jobs

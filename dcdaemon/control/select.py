"""Selectors: turn `42`, `3-7`, `last`, `@~1`, `all` or a name into job ids."""

import re
from collections.abc import Sequence

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.ports import Actor, JobQuery

_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})")
_BACK = re.compile(r"(?:@|last)(?:~(\d{1,6}))?")
MAX_SELECTED = 100_000


def resolve(desk: Desk, actor: Actor, selectors: Sequence[str], name: str | None = None) -> tuple[int, ...]:
    """Return the ids that are meant, each once, in the order given; raise BadInput or NotFound."""
    ids: dict[int, None] = {}
    for selector in selectors:
        for part in selector.split(","):
            ids.update(dict.fromkeys(_one(desk, actor, part.strip())))
    if name is not None:
        named = [job.id for job in desk.book.unfinished() if job.spec.name == name]
        named = named or [job.id for job in desk.store.jobs(JobQuery(name=name, limit=1))]
        if not named:
            raise NotFound(f"there is no job named {name!r}", "dcd ps -a lists all jobs")
        ids.update(dict.fromkeys(named))
    return tuple(ids)


def _one(desk: Desk, actor: Actor, text: str) -> Sequence[int]:
    if text.isdecimal() and len(text) <= 18:
        return _known(desk, [int(text)], text)
    span = _RANGE.fullmatch(text)
    if span:
        first, last = int(span[1]), int(span[2])
        if last < first or last - first >= MAX_SELECTED:
            raise BadInput(f"{text!r} is not a range of jobs", "write the smaller id first, like 3-7")
        return _known(desk, range(first, last + 1), text)
    if text == "all":
        return [job.id for job in desk.book.unfinished() if job.spec.uid == actor.uid]
    back = _BACK.fullmatch(text)
    if back:
        return _latest(desk, actor, int(back[1] or 0), text)
    raise BadInput(f"{text!r} selects no job", "use an id (42), a range (3-7), last, @~1, all, or --name NAME")


def _known(desk: Desk, ids: Sequence[int], text: str) -> Sequence[int]:
    known = desk.store.states(ids)
    found = [job_id for job_id in ids if job_id in known]
    if not found:
        raise NotFound(f"there is no job {text}", "dcd ps -a lists all jobs")
    return found


def _latest(desk: Desk, actor: Actor, back: int, text: str) -> Sequence[int]:
    jobs = desk.store.jobs(JobQuery(uid=actor.uid, limit=back + 1))
    if len(jobs) <= back:
        raise NotFound(f"{actor.user} has no job {text}", "dcd ps -a lists all jobs")
    return [jobs[back].id]

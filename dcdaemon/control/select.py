"""Selectors: turn `42`, `3-7`, `last`, `@~1`, `all` or `name:TEXT` into job ids."""

import re
from collections.abc import Iterable, Sequence

from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.ports import Actor, JobQuery

_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})")
_BACK = re.compile(r"(?:@|last)(?:~(\d{1,6}))?")
_NAME = "name:"
MAX_SELECTED = 100_000
#: What `all` counts for: it looks at every unfinished job.
_WEIGHT_OF_ALL = 1000


def resolve(desk: Desk, actor: Actor, selectors: Sequence[str], name: str | None = None) -> tuple[int, ...]:
    """Return the ids that are meant, each once, in the order given; raise BadInput or NotFound."""
    ids: dict[int, None] = {}
    refuse_too_many(selectors)
    asked = [*selectors, *([] if name is None else [_NAME + name])]
    for part in _parts(asked):
        ids.update(dict.fromkeys(_one(desk, actor, part)))
    return tuple(ids)


def refuse_too_many(selectors: Iterable[str]) -> None:
    """Raise BadInput when looking these up would take seconds: each range is a query, however few jobs are in it."""
    if sum(map(_weight, _parts(selectors))) > MAX_SELECTED:
        raise BadInput(f"more than {MAX_SELECTED} jobs are selected", "name fewer, or ask in several requests")


def _parts(selectors: Iterable[str]) -> list[str]:
    """Split at commas; a name is left whole, since it may hold any character."""
    split = ([text] if text.startswith(_NAME) else text.split(",") for text in selectors)
    return [part.strip() for parts in split for part in parts]


def _weight(text: str) -> int:
    if text == "all":
        return _WEIGHT_OF_ALL
    if span := _RANGE.fullmatch(text):
        return max(0, int(span[2]) - int(span[1])) + 1
    back = _BACK.fullmatch(text)
    return int(back[1] or 0) + 1 if back else 1


def _one(desk: Desk, actor: Actor, text: str) -> Sequence[int]:
    if text.startswith(_NAME):
        return _named(desk, text.removeprefix(_NAME))
    if text.isdecimal() and len(text) <= 18:
        return _known(desk, [int(text)], text)
    span = _RANGE.fullmatch(text)
    if span:
        first, last = int(span[1]), int(span[2])
        if last < first:
            raise BadInput(f"{text!r} is not a range of jobs", "write the smaller id first, like 3-7")
        return _known(desk, range(first, last + 1), text)
    if text == "all":
        return [job.id for job in desk.book.unfinished() if job.spec.uid == actor.uid]
    back = _BACK.fullmatch(text)
    if back:
        return _latest(desk, actor, int(back[1] or 0), text)
    raise BadInput(f"{text!r} selects no job", "use an id (42), a range (3-7), last, @~1, all, or --name NAME")


def _named(desk: Desk, name: str) -> Sequence[int]:
    """Return the unfinished jobs of that name, or else the newest one that ended."""
    named = [job.id for job in desk.book.unfinished() if job.spec.name == name]
    named = named or [job.id for job in desk.store.jobs(JobQuery(name=name, limit=1))]
    if not named:
        raise NotFound(f"there is no job named {name!r}", "dcd ps -a lists all jobs")
    return named


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

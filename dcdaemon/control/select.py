"""Selectors: turn `42`, `3-7`, `120_3`, `120_*`, `last`, `@~1`, `all` or `name:TEXT` into job ids."""

import re
from collections.abc import Iterable, Sequence

from dcdaemon.control.access import seen_ids
from dcdaemon.control.desk import Desk, no_such_job
from dcdaemon.core.array import parse_array
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.ports import Actor, JobQuery

_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})")
_BACK = re.compile(r"(?:@|last)(?:~(\d{1,6}))?")
_OF_ARRAY = re.compile(r"(\d{1,18})_(?:(\d{1,9})|\*|\[([^\]]*)\])", re.ASCII)
NAME = "name:"
MAX_SELECTED = 100_000
#: What `all`, a name or an array counts for: every unfinished job is looked at, or every job of the array.
_WEIGHT_OF_MANY = 1000
_HINT = "use an id (42), a range (3-7), an array (120_3, 120_*), last, @~1, all, or a name (name:prep)"


def resolve(desk: Desk, actor: Actor, selectors: Sequence[str], name: str | None = None) -> tuple[int, ...]:
    """Return the ids that are meant, each once, in the order given; raise BadInput or NotFound."""
    ids: dict[int, None] = {}
    refuse_too_many(selectors)
    finder = Finder(desk, actor)
    asked = [*selectors, *([] if name is None else [NAME + name])]
    for part in parts(asked):
        ids.update(dict.fromkeys(finder.find(part)))
    return tuple(ids)


def refuse_too_many(selectors: Iterable[str]) -> None:
    """Raise BadInput when looking these up would take seconds: each range is a query, however few jobs are in it."""
    single = parts(selectors)
    arrays = {match[1] for part in single if (match := _OF_ARRAY.fullmatch(part))}
    if sum(map(_weight, single)) + _WEIGHT_OF_MANY * len(arrays) > MAX_SELECTED:
        raise BadInput(f"more than {MAX_SELECTED} jobs are selected", "name fewer, or ask in several requests")


def parts(selectors: Iterable[str]) -> list[str]:
    """Split at commas; a name is left whole, since it may hold any character."""
    split = ([text] if text.startswith(NAME) else _pieces(text) for text in selectors)
    return [part.strip() for several in split for part in several]


def _pieces(text: str) -> list[str]:
    """Split at the commas that do not stand between brackets; those belong to the indices of an array."""
    groups: list[list[str]] = []
    inside = False
    for piece in text.split(","):
        if inside:
            groups[-1].append(piece)
        else:
            groups.append([piece])
        inside = (inside or "[" in piece) and "]" not in piece
    return [",".join(group) for group in groups]


def _weight(text: str) -> int:
    if text == "all" or text.startswith(NAME):
        return _WEIGHT_OF_MANY
    if span := _RANGE.fullmatch(text):
        return max(0, int(span[2]) - int(span[1])) + 1
    back = _BACK.fullmatch(text)
    return int(back[1] or 0) + 1 if back else 1


class Finder:
    """Looks up one part of a selector after the other for one caller; an array is read once."""

    def __init__(self, desk: Desk, actor: Actor) -> None:
        self._desk, self._actor = desk, actor
        self._arrays: dict[int, dict[int | None, int]] = {}

    def find(self, text: str) -> Sequence[int]:
        """Return the ids that a part means and the caller may know of; raise BadInput or NotFound."""
        meant = self._find(text)
        seen = seen_ids(self._desk, self._actor, meant)
        if meant and not seen:
            raise no_such_job(f"named {text.removeprefix(NAME)!r}" if text.startswith(NAME) else text)
        return seen

    def _find(self, text: str) -> Sequence[int]:
        if text.startswith(NAME):
            return _named(self._desk, text.removeprefix(NAME))
        if of_array := _OF_ARRAY.fullmatch(text):
            return self._of_array(text, of_array)
        if text.isdecimal() and len(text) <= 18:
            return _known(self._desk, [int(text)], text)
        if span := _RANGE.fullmatch(text):
            return _span(self._desk, int(span[1]), int(span[2]), text)
        if text == "all":
            return [job.id for job in self._desk.book.unfinished() if job.spec.uid == self._actor.uid]
        if back := _BACK.fullmatch(text):
            return _latest(self._desk, self._actor, int(back[1] or 0), text)
        raise BadInput(f"{text!r} selects no job", _HINT)

    def _of_array(self, text: str, match: re.Match[str]) -> list[int]:
        """Return what `120_3`, `120_[1-3]` or `120_*` means."""
        array_id = int(match[1])
        if array_id not in self._arrays:
            jobs = self._desk.store.jobs(JobQuery(array_id=array_id, oldest_first=True))
            self._arrays[array_id] = {job.spec.array_index: job.id for job in jobs}
        tasks = self._arrays[array_id]
        indices = tasks if text.endswith("*") else parse_array(match[2] or match[3]).indices
        found = [tasks[index] for index in indices if index in tasks]
        if not found:
            raise NotFound(f"there is no job {text}", "dcd ps -a lists all jobs")
        return found


def newest_own(desk: Desk, actor: Actor, name: str) -> Sequence[int]:
    """Return the actor's newest job of that name, an unfinished one first; of an array, all of it. May be none."""
    unfinished = [job for job in desk.book.unfinished() if job.spec.name == name and job.spec.uid == actor.uid]
    found = unfinished[-1:] or desk.store.jobs(JobQuery(uid=actor.uid, name=name, limit=1))
    if found and found[0].spec.array_id is not None:
        found = desk.store.jobs(JobQuery(array_id=found[0].spec.array_id, oldest_first=True))
    return [job.id for job in found]


def _named(desk: Desk, name: str) -> Sequence[int]:
    """Return the unfinished jobs of that name, or else the newest one that ended."""
    named = [job.id for job in desk.book.unfinished() if job.spec.name == name]
    named = named or [job.id for job in desk.store.jobs(JobQuery(name=name, limit=1))]
    if not named:
        raise no_such_job(f"named {name!r}")
    return named


def _known(desk: Desk, ids: Sequence[int], text: str) -> Sequence[int]:
    known = desk.store.fates(ids)
    found = [job_id for job_id in ids if job_id in known]
    if not found:
        raise NotFound(f"there is no job {text}", "dcd ps -a lists all jobs")
    return found


def _span(desk: Desk, first: int, last: int, text: str) -> Sequence[int]:
    if last < first:
        raise BadInput(f"{text!r} is not a range of jobs", "write the smaller id first, like 3-7")
    return _known(desk, range(first, last + 1), text)


def _latest(desk: Desk, actor: Actor, back: int, text: str) -> Sequence[int]:
    jobs = desk.store.jobs(JobQuery(uid=actor.uid, limit=back + 1))
    if len(jobs) <= back:
        raise NotFound(f"{actor.user} has no job {text}", "dcd ps -a lists all jobs")
    return [jobs[back].id]

"""What the jobs of a request wait for: jobs there are already, and each other by name, but never in a circle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.control.select import NAME, Finder, newest_own, parts, refuse_too_many
from dcdaemon.control.wish import Wish
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.ports import Actor

#: Of all jobs of a request together; each is a row to store and to look at again.
MAX_DEPENDENCIES = 200_000
_NAMES_SHOWN = 10
Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """One wish of a request: what it is called, and the places of its jobs in the request, counted from 1."""

    wish: Wish
    name: str
    places: range

    @property
    def selectors(self) -> tuple[tuple[str, ...], ...]:
        """Whose success, whose end and whose failure it waits for."""
        return self.wish.after, self.wish.after_any, self.wish.after_not_ok


def resolve_dependencies(desk: Desk, actor: Actor, request: Sequence[Named]) -> list[tuple[Ids, Ids, Ids]]:
    """Return for each wish the ids of each kind; jobs of the request as core.job.placed names them, below zero.

    Raise BadInput for a circle, for a job that would wait for itself, and for what can never come true.
    """
    lookup = _Lookup(desk, actor, request)
    _refuse_circles(request, lookup.inside())
    found: list[tuple[Ids, Ids, Ids]] = []
    total = 0
    for number, named in enumerate(request):
        ok, ended, failed = (lookup.ids(number, selectors) for selectors in named.selectors)
        total += len(named.places) * (len(ok) + len(ended) + len(failed))
        _refuse_too_much(total)
        _refuse_contradiction(named.name, ok, failed)
        found.append((ok, ended, failed))
    return found


class _Lookup:
    """What the selectors of one request mean; each is looked up once, however many jobs wait for it."""

    def __init__(self, desk: Desk, actor: Actor, request: Sequence[Named]) -> None:
        self._desk, self._actor, self._request = desk, actor, request
        self._of_name: dict[str, list[int]] = {}
        for number, named in enumerate(request):
            self._of_name.setdefault(named.name, []).append(number)
        asked = {selector for named in request for each in named.selectors for selector in each}
        self._ids: dict[str, Ids] = {}
        self._finder = Finder(desk, actor)
        refuse_too_many(part for part in parts(asked) if len(self._namesakes(part)) == 0)

    def inside(self) -> list[list[int]]:
        """Return for each wish the numbers of the others that it waits for."""
        found: list[list[int]] = []
        total = 0
        for number, named in enumerate(self._request):
            asked = dict.fromkeys(parts(selector for each in named.selectors for selector in each))
            total += sum(len(self._namesakes(part)) for part in asked)
            _refuse_too_much(total)
            found.append([other for part in asked for other in self._namesakes(part) if other != number])
        return found

    def ids(self, number: int, selectors: Iterable[str]) -> Ids:
        """Return the ids and places that these selectors of this wish mean, each once."""
        found: dict[int, None] = {}
        for part in parts(selectors):
            others = [other for other in self._namesakes(part) if other != number]
            places = (-place for other in others for place in self._request[other].places)
            found.update(dict.fromkeys(places if others else self._known(number, part)))
            _refuse_too_much(len(found) * len(self._request[number].places))
        return tuple(found)

    def _namesakes(self, part: str) -> Sequence[int]:
        return self._of_name.get(part.removeprefix(NAME), ()) if part.startswith(NAME) else ()

    def _known(self, number: int, part: str) -> Ids:
        """Return jobs that are stored already."""
        if part not in self._ids:
            named = part.startswith(NAME)
            name = part.removeprefix(NAME)
            self._ids[part] = tuple(newest_own(self._desk, self._actor, name) if named else self._finder.find(part))
            # The first of those that wait for the one before, as a line of cron submits them, waits for nobody.
            if named and not self._ids[part] and self._request[number].name != name:
                raise NotFound(f"{self._actor.user} has no job named {name!r}", "dcd ps -a lists all jobs")
        return self._ids[part]


def _refuse_too_much(total: int) -> None:
    if total > MAX_DEPENDENCIES:
        raise BadInput(
            f"more than {MAX_DEPENDENCIES} dependencies in one request",
            "let one job wait for all of them, and the others for that one",
        )


def _refuse_contradiction(name: str, ok: Ids, failed: Ids) -> None:
    both = set(ok) & set(failed)
    if both:
        which = "one job" if min(both) < 0 else f"job {min(both)}"
        raise BadInput(f"job {name!r} would wait for {which} both to succeed and to fail", "leave out one of the two")


def _refuse_circles(request: Sequence[Named], edges: Sequence[Sequence[int]]) -> None:
    """Raise BadInput for jobs that wait for each other; walks each edge once, and calls itself never."""
    clear: set[int] = set()
    for start in range(len(request)):
        trail = {start: iter(edges[start])} if start not in clear else {}
        while trail:
            number = next(reversed(trail))
            other = next((other for other in trail[number] if other not in clear), None)
            if other is None:
                clear.add(number)
                del trail[number]
            elif other in trail:
                raise _circle([request[place].name for place in trail][list(trail).index(other) :])
            else:
                trail[other] = iter(edges[other])


def _circle(names: Sequence[str]) -> BadInput:
    shown = [*names, names[0]]
    if len(shown) > _NAMES_SHOWN:
        shown = [*names[: _NAMES_SHOWN - 2], f"({len(names) - _NAMES_SHOWN + 2} more)", names[0]]
    return BadInput(f"the jobs wait for each other in a circle: {' -> '.join(shown)}", "leave out one of these")

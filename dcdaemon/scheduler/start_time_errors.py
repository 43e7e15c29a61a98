"""How far forecasts have been from the truth, so that an interval can say what it says: four starts of five inside."""

import math
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

#: So much of the truth lies below the interval, and so much above.
OUTSIDE = 0.1
#: What is kept of each kind of case: the last ones that started, and some of those that still wait.
STARTED_KEPT, WAITING_KEPT = 150, 75
#: With fewer cases of a kind that started, a coarser kind answers.
ENOUGH = 40
#: A miss moves that end of the interval by so much, as a logarithm; hits move it back, so that OUTSIDE of them miss.
STEP = 0.015
#: Before anything is known: as if a few cases of the coarsest kind had been seen, with errors up to this one.
UNSEEN, _UNSEEN_CASES = 2.0, 4
#: Beyond the longest wait that was seen it is unknown how much longer some last.
BEYOND = 0.35


class Quantiles(NamedTuple):
    """The errors, logarithms of true over foretold, that one case of ten, of two, and nine of ten stay below."""

    low: float
    middle: float
    high: float


class Case:
    """A forecast whose truth comes out later; `error_at` is how wrong it is if the job starts then."""

    __slots__ = ("base", "kinds", "late", "since")

    def __init__(self, since: float, base: float, kinds: Sequence[Hashable]) -> None:
        self.since, self.base, self.kinds, self.late = since, base, kinds, False

    def error_at(self, at: float, least_s: float) -> float:
        """Return the logarithm of true over foretold."""
        return math.log(max(0.0, at - self.since) + least_s) - self.base


class _Seen:
    """The cases of one kind."""

    __slots__ = ("started", "waiting")

    def __init__(self) -> None:
        self.started: deque[float] = deque(maxlen=STARTED_KEPT)
        self.waiting: dict[int, Case] = {}


class Errors:
    """The errors of the last forecasts by kinds of cases, each from fine to coarse.

    Of a job that still waits it is known that its error is no smaller than it would be now (Kaplan and Meier 1958):
    left out, the quick ones alone would say how long people wait. On top of that each miss widens the interval a
    little, and each hit takes some of it back, which holds the share of misses whatever the jobs do (Gibbs and Candes
    2021).
    """

    def __init__(self, least_s: float) -> None:
        """Begin with nothing seen; waits count as at least so long."""
        self._least_s = least_s
        self._seen: dict[Hashable, _Seen] = {}
        self._wider: dict[Hashable, list[float]] = {}
        self._known: dict[Hashable, Quantiles] = {}
        self._known_at: float | None = None

    def quantiles(self, kinds: Sequence[Hashable], unseen: float, now: float) -> Quantiles:
        """Return what to expect of a case of these kinds, and what before such cases have been seen."""
        low, middle, high = self._within(kinds, unseen, now)
        below, above = self._wider.get(kinds[-1], (0.0, 0.0))
        return Quantiles(low - below, middle, high + above)

    def watch(self, job_id: int, case: Case) -> None:
        """Note a forecast that was made."""
        for kind in case.kinds:
            seen = self._seen.setdefault(kind, _Seen())
            if len(seen.waiting) < WAITING_KEPT:
                seen.waiting[job_id] = case

    def started(self, job_id: int, case: Case, at: float) -> None:
        """Note how a forecast turned out."""
        error = case.error_at(at, self._least_s)
        for kind in case.kinds:
            seen = self._seen[kind]
            seen.started.append(error)
            seen.waiting.pop(job_id, None)
        self._known.clear()

    def forget(self, job_id: int, case: Case) -> None:
        """Forget a forecast of which nobody will know how it would have turned out."""
        for kind in case.kinds:
            self._seen[kind].waiting.pop(job_id, None)
        self._known.clear()

    def judge(self, case: Case, *, below: bool, above: bool) -> None:
        """Note whether the truth lies outside of the interval; once for each forecast, as soon as it is certain."""
        wider = self._wider.setdefault(case.kinds[-1], [0.0, 0.0])
        for place, missed in enumerate((below, above)):
            wider[place] = max(0.0, wider[place] + STEP * (missed - OUTSIDE))

    def _within(self, kinds: Sequence[Hashable], unseen: float, now: float) -> Quantiles:
        if now != self._known_at:
            self._known.clear()
            self._known_at = now
        coarsest = kinds[-1]
        kind = next((one for one in kinds if one in self._seen and len(self._seen[one].started) >= ENOUGH), coarsest)
        if kind not in self._known:
            self._known[kind] = self._of(kind, _spread(unseen) if kind == coarsest else (), now)
        return self._known[kind]

    def _of(self, kind: Hashable, before: Sequence[float], now: float) -> Quantiles:
        seen = self._seen.get(kind, _Seen())
        waiting = [(case.error_at(now, self._least_s), False) for case in seen.waiting.values()]
        return quantiles_of([*((error, True) for error in (*before, *seen.started)), *waiting])


def _spread(most: float) -> Sequence[float]:
    return [most * step / _UNSEEN_CASES for step in range(-_UNSEEN_CASES, _UNSEEN_CASES + 1)]


def quantiles_of(errors: Iterable[tuple[float, bool]]) -> Quantiles:
    """Return the quantiles of errors, of which some (False) are only known not to be smaller; there has to be one."""
    ordered = sorted(errors)
    left, found, marks = 1.0, list[float](), [1.0 - OUTSIDE, 0.5, OUTSIDE]
    for place, (error, is_known) in enumerate(ordered):
        if is_known:
            left *= 1.0 - 1.0 / (len(ordered) - place)
            while len(found) < len(marks) and left <= marks[len(found)] + 1e-12:
                found.append(error)
    beyond = max([ordered[-1][0], *found]) + BEYOND
    return Quantiles(*found, *([beyond] * (len(marks) - len(found))))

"""When a job will start, foretold as it is submitted, with the interval that holds the truth in four cases of five."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from dcdaemon.core.view import NodeView, QueuedJob
from dcdaemon.scheduler.order import lasting_s
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.start_time_errors import UNSEEN, Case, Errors, Quantiles
from dcdaemon.scheduler.start_time_line import Line
from dcdaemon.scheduler.start_time_room import Room
from dcdaemon.scheduler.start_time_work import ROUNDING, Before, Work

#: Waits are told apart as (wait + a minute): nobody minds whether it was two seconds or six.
LEAST_S = 60.0
#: Traits are measured around this logarithm of seconds, about 50 minutes.
_MIDDLE = 8.0
#: What a wait depends on, as powers: the work ahead until there is room; what of that is work and what the end of
#: runs; the jobs ahead, the job's own length, its width. Before anything is learned it is just the first, as good as so
#: many starts.
_PRIOR = (8.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_CERTAINTY = (5.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0)
#: A start counts 1/e after so many later ones.
_MEMORY = 1000.0
#: So many nodes are added to what a job takes: one without GPUs has a width, too.
_NARROWEST = 0.05
#: No wait of more than this is foretold: e to the power of it are 60 years.
_MOST = 21.3
_SPARE = 1000


class StartForecast(NamedTuple):
    """A start to expect: when, and between which times in four cases of five; what it was taken from beside it."""

    at: float
    low_at: float
    high_at: float
    made_at: float
    traits: Sequence[float] = ()
    base: float = 0.0
    kinds: Sequence[Hashable] = ()


class StartTimes:
    """Foretells starts from what waits and runs, and learns from each start how far that was from the truth.

    The logarithm of a wait is a straight line in a few traits of the moment; around it lies what the errors of the last
    forecasts say. A job that fits at once is a case of its own.
    """

    def __init__(self, nodes: Iterable[NodeView], policy: Policy, expect: Callable[[float], float]) -> None:
        """Begin with an empty cluster; `expect` says how long jobs of a prediction run in the mean, in seconds."""
        self._work = Work(nodes, policy)
        self._expect = expect
        self._line = Line(_PRIOR, _CERTAINTY, _MEMORY)
        self._errors = Errors(LEAST_S)
        #: What was foretold of the jobs that wait.
        self._watched: dict[int, tuple[StartForecast, Case]] = {}
        self._latest: list[tuple[float, int]] = []
        #: The last question about what goes before, and its answer, good until something happens.
        self._asked: tuple[object, ...] | None = None
        self._answered = (Before(0, 0.0), 0.0)

    def foretell(self, job: QueuedJob, room: Room, now: float, alike: int = 0) -> StartForecast | None:
        """Return when a job that is being submitted will start, with so many like it just before.

        None when there is nothing of what it asks for.
        """
        share = self._work.share(job)
        if share == math.inf:
            return None
        self._find_late(now)
        traits = () if room.fits else self._traits(job, room, now, alike)
        base = math.log(LEAST_S) if room.fits else min(max(self._line.at(traits), math.log(LEAST_S)), _MOST)
        kinds = self._kinds(job, base, fits=room.fits)
        low_s, at_s, high_s = _waits_s(base, self._errors.quantiles(kinds, 0.0 if room.fits else UNSEEN, now))
        return StartForecast(now + at_s, now + low_s, now + max(high_s, LEAST_S), now, traits, base, kinds)

    def room(self, job: QueuedJob) -> Room:
        """Return whether the cluster as a whole has room for a job, where nobody knows about its nodes."""
        return Room(self._work.free >= min(self._work.share(job), 1.0) - ROUNDING)

    def watch(self, job_id: int, foretold: StartForecast) -> None:
        """Note what the owner of a job was told."""
        self._forget(job_id)
        case = Case(foretold.made_at, foretold.base, foretold.kinds)
        self._watched[job_id] = (foretold, case)
        self._errors.watch(job_id, case)
        heappush(self._latest, (foretold.high_at, job_id))
        if len(self._latest) > 2 * len(self._watched) + _SPARE:
            self._latest = [(one.high_at, number) for number, (one, _) in self._watched.items()]
            heapify(self._latest)

    def queued(self, job: QueuedJob) -> None:
        """Note a job that waits for nothing but room."""
        self._asked = None
        self._work.queued(job, self._expect(lasting_s(job)))

    def started(self, job_id: int, at: float) -> None:
        """Note a job that runs, and learn from it."""
        self._asked = None
        self._work.started(job_id, at)
        self._find_late(at)
        foretold, case = self._watched.pop(job_id, (None, None))
        if foretold is None or case is None:
            return
        if not case.late:
            self._errors.judge(case, below=at < foretold.low_at, above=at > foretold.high_at)
        self._errors.started(job_id, case, at)
        if foretold.traits:
            self._line.learn(foretold.traits, math.log(max(0.0, at - foretold.made_at) + LEAST_S))

    def left(self, job_id: int) -> None:
        """Note a job that has ended, or was taken out of the queue before it ran."""
        self._asked = None
        self._work.left(job_id)
        self._forget(job_id)

    def _forget(self, job_id: int) -> None:
        _, case = self._watched.pop(job_id, (None, None))
        if case is not None:
            self._errors.forget(job_id, case)

    def _find_late(self, now: float) -> None:
        """Count those as missed that wait for longer than was foretold, whenever they start."""
        while self._latest and self._latest[0][0] < now:
            high_at, job_id = heappop(self._latest)
            foretold, case = self._watched.get(job_id, (None, None))
            if foretold is not None and case is not None and foretold.high_at == high_at and not case.late:
                case.late = True
                self._errors.judge(case, below=False, above=True)

    def _traits(self, job: QueuedJob, room: Room, now: float, alike: int) -> Sequence[float]:
        (jobs, work_s), drain_s = self._ahead(job, room, now)
        work_s += alike * min(self._work.share(job), 1.0) * self._expect(lasting_s(job))
        return (
            1.0, _log(work_s + drain_s), _log(work_s), _log(drain_s), math.log1p(jobs + alike), _log(lasting_s(job)),
            math.log(self._work.nodes_taken(job) + _NARROWEST),
        )  # fmt: skip

    def _ahead(self, job: QueuedJob, room: Room, now: float) -> tuple[Before, float]:
        """Return what goes before, and when room is expected; worked out once for jobs submitted together."""
        asked = (now, self._work.kind_of(job), job.queued_at, self._work.share(job), room)
        if asked != self._asked:
            share = min(self._work.share(job), 1.0)
            self._asked = asked
            self._answered = (self._work.before(job, now), self._work.drain_s(share, room.kept_gpus, now))
        return self._answered

    def _kinds(self, job: QueuedJob, base: float, *, fits: bool) -> Sequence[Hashable]:
        """Return which cases are alike, from fine to coarse: by fit, foretold wait in steps of 4 times, and width."""
        nodes = self._work.nodes_taken(job)
        width = (job.gpus > 1) + (job.gpus > 1 and nodes >= 1) + (nodes > 1)
        wait = int(base / math.log(4.0))
        return ((fits, wait, width), (fits, wait), (fits,))


def _log(seconds: float) -> float:
    return math.log(seconds + LEAST_S) - _MIDDLE


def _waits_s(base: float, errors: Quantiles) -> Sequence[float]:
    """Return the three waits; less than half a minute is at once."""
    waits_s = (math.exp(min(base + error, _MOST)) - LEAST_S for error in errors)
    return [wait_s if wait_s > LEAST_S / 2 else 0.0 for wait_s in waits_s]

"""The cluster as it moves on from end to end under the real pass, as if no other job came."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from dcdaemon.core.plan import Start
from dcdaemon.core.view import ClusterView, QueuedJob, RunningJob
from dcdaemon.scheduler.caps import Tally
from dcdaemon.scheduler.cycle import anything_fits, pass_on
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import Hold, NodeSpace, spaces_of

#: So many moments are played one by one; later ones are taken together, in spans that grow with the time so far.
EXACT_STEPS = 20
MAX_STEPS = 80
_GROWTH = 0.01
_WIDEST = 0.2
#: Stands among the ids of jobs for a booking's window, or a job that has been loaded.
_NOBODY = -(2**63)


class Started(NamedTuple):
    """A start in the play: when, on which nodes, and how many runs were over before."""

    at: float
    nodes: tuple[str, ...]
    after: int


class Over(NamedTuple):
    """A run that has ended in the play; `foretold` when it was a prediction, not the limit, that ended it."""

    job_id: int
    nodes: tuple[str, ...]
    began_before: bool
    foretold: bool


@dataclass(slots=True)
class _Run:
    """What holds its place: `charges` are what it counts as against limits, a gang's once a node."""

    spaces: list[NodeSpace]
    ends_at: float
    foretold: bool
    began_before: bool
    charges: list[QueuedJob | RunningJob]


class Future:
    """One play; what is left of each run is stretched by one factor, up to its limit.

    Promises are carried from pass to pass; how long people are willing to wait stays as it is. `line` is changed.
    """

    def __init__(self, view: ClusterView, line: QueueIndex, policy: Policy, now: float, stretch: float = 1.0) -> None:
        self.at = self.began = now
        self.started: dict[int, Started] = {}
        self.over: list[Over] = []
        self._policy, self._line, self._stretch = policy, line, stretch
        self._standing, self._bookings = view.standing, view.bookings
        self._spaces = spaces_of(view)
        self._space_of = {space.name: space for space in self._spaces}
        self._tally = Tally.of(view)
        self._runs: dict[int, _Run] = {}
        self._moments: list[tuple[float, int]] = []
        self._dependants: dict[int, list[int]] = {}
        self._take_over(view)

    def play(self, wanted: Iterable[int], most_steps: int = MAX_STEPS) -> bool:
        """Go on until all of these have started; False when the play was given up before all that is known was over."""
        left = set(wanted)
        for step in range(most_steps):
            self._start()
            left.difference_update(self.started)
            if not left or not self._pass_on(step):
                return True
        return False

    def _take_over(self, view: ClusterView) -> None:
        charges: dict[int, list[QueuedJob | RunningJob]] = {}
        for job in view.running:
            charges.setdefault(job.id, []).append(job)
        for space in self._spaces:
            for hold in space.holds:
                self._note_run(hold, space, charges[hold.job_id])
        for job_id, run in self._runs.items():
            heapq.heappush(self._moments, (run.ends_at, job_id))
        for waiting in self._line:
            if waiting.begin_at is not None:
                heapq.heappush(self._moments, (waiting.begin_at, waiting.id))
            for other in waiting.waits_for:
                self._dependants.setdefault(other, []).append(waiting.id)
        for booking in self._bookings:
            for at in (booking.from_at, booking.ends_at):
                heapq.heappush(self._moments, (at, _NOBODY))

    def _note_run(self, hold: Hold, space: NodeSpace, charges: list[QueuedJob | RunningJob]) -> None:
        if hold.gpu_mem_bytes is not None:
            self._note_loading(self.at if hold.started_at is None else hold.started_at)
        known = self._runs.get(hold.job_id)
        if known is not None:
            known.spaces.append(space)
            return
        expected = hold.expected_end(self.at)
        left_s = max(0.0, expected - self.at)
        ends_at = min(self.at + left_s * self._stretch, max(self.at, hold.ends_at))
        self._runs[hold.job_id] = _Run([space], ends_at, ends_at < hold.ends_at, began_before=True, charges=charges)

    def _note_loading(self, started_at: float) -> None:
        """Look again when a job on a shared GPU has been loaded, and another one may join it."""
        heapq.heappush(self._moments, (max(self.at, started_at + self._policy.share_holdoff_s), _NOBODY))

    def _start(self) -> None:
        if not anything_fits(self._line, self._spaces, self._policy):
            return
        decided = pass_on(
            self._spaces, self._line, self._policy, self.at, self._standing, self._tally.copy(), self._bookings
        ).plan
        self._standing = replace(self._standing, kept=decided.sticky)
        for start in decided.starts:
            self._begin(start)

    def _begin(self, start: Start) -> None:
        job = self._line.remove(start.job_id)
        self._tally.take(job)
        nodes = (start.node, *(part.node for part in start.also))
        self.started[job.id] = Started(self.at, nodes, len(self.over))
        longest_s = math.inf if job.limit_s is None else job.limit_s
        expected_s = self._expected_s(job)
        run_s = longest_s if expected_s is None else min(expected_s * self._stretch, longest_s)
        spaces = [self._space_of[node] for node in nodes]
        self._runs[job.id] = _Run(spaces, self.at + run_s, run_s < longest_s, began_before=False, charges=[job])
        heapq.heappush(self._moments, (self.at + run_s, job.id))
        if job.gpu_mem_bytes is not None:
            self._note_loading(self.at)

    def _expected_s(self, job: QueuedJob) -> float | None:
        expect = self._standing.expect
        return job.predicted_s if expect is None or job.predicted_s is None else expect(job.predicted_s)

    def _pass_on(self, step: int) -> bool:
        """Move on to the next moment at which something may change; False when none is known."""
        moments = self._moments
        if not moments or moments[0][0] == math.inf:
            return False
        # A job past its limit is about to be stopped: its end is due now.
        first = max(self.at, moments[0][0])
        span = (first - self.began) * min(_WIDEST, _GROWTH * max(0, step - EXACT_STEPS))
        self.at = first
        while moments and moments[0][0] <= first + span:
            at, job_id = heapq.heappop(moments)
            self.at = max(first, at)
            self._come(job_id)
        return True

    def _come(self, job_id: int) -> None:
        """Let a job end, or let it start from now on, or have a window open or close."""
        run = self._runs.pop(job_id, None)
        if run is not None:
            self._end(job_id, run)
            return
        waiting = self._line.get(job_id)
        if waiting is not None:
            self._line.replace(replace(waiting, begin_at=None))

    def _end(self, job_id: int, run: _Run) -> None:
        for space in run.spaces:
            space.give_back(job_id)
        for number, charge in enumerate(run.charges):
            self._tally.give_back(charge, ends=number == 0)
        names = tuple(space.name for space in run.spaces)
        self.over.append(Over(job_id, names, run.began_before, run.foretold))
        for waiting_id in self._dependants.get(job_id, ()):
            waiting = self._line.get(waiting_id)
            if waiting is not None:
                left = tuple(other for other in waiting.waits_for if other != job_id)
                self._line.replace(replace(waiting, waits_for=left, queued_at=max(waiting.queued_at, self.at)))

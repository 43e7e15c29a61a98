"""What first in, first out would have made of the same jobs: the measure of how long people may be kept waiting."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Older waits are forgotten: people judge by what they remember.
MEMORY_DAYS = 60
DAY_S = 86400.0


class _Longest(NamedTuple):
    day: int
    wait_s: float


class _Waiting(NamedTuple):
    job_id: int
    gpus: int
    since: float


@dataclass(slots=True)
class _Run:
    """A job in the shadow: where, since when, until when; and what is known of the real one."""

    began: float
    nodes: list[int]
    gpus: int
    ends_at: float


class Shadow:
    """Plays strict FIFO beside the real schedule, event by event; jobs that ended run as long as they really did.

    A job of more GPUs than a node has takes whole nodes. What is not known yet is taken from its prediction, and from
    how long it has really run.
    """

    def __init__(self, node_gpus: Sequence[int]) -> None:
        """Begin with empty nodes of so many GPUs each."""
        self._sizes = list(node_gpus)
        self._free = list(node_gpus)
        self._waiting: deque[_Waiting] = deque()
        self._runs: dict[int, _Run] = {}
        self._ends: list[tuple[float, int]] = []
        #: Of jobs that the shadow has not ended yet: how long they are thought to run, or did run.
        self._predicted: dict[int, float] = {}
        self._started: dict[int, float] = {}
        self._lasted: dict[int, float] = {}
        #: Days with a wait longer than those of all later days, the longest first.
        self._longest: deque[_Longest] = deque()

    def submit(self, job_id: int, gpus: int, predicted_s: float, now: float) -> None:
        """Queue a job; one that is known, or that no empty cluster could hold, is left out."""
        self.advance(now)
        if job_id in self._predicted or gpus > sum(self._sizes) or not gpus:
            return
        self._predicted[job_id] = predicted_s
        self._waiting.append(_Waiting(job_id, gpus, now))
        self._start(now)

    def started(self, job_id: int, now: float) -> None:
        """Note that the job really runs."""
        if job_id in self._predicted:
            self._started[job_id] = now

    def ended(self, job_id: int, run_s: float, now: float) -> None:
        """Note how long the job really ran."""
        self.advance(now)
        if job_id not in self._predicted:
            return
        self._lasted[job_id] = run_s
        run = self._runs.get(job_id)
        if run is not None:
            self._end_at(job_id, run, max(now, run.began + run_s))

    def left(self, job_id: int, now: float) -> None:
        """Forget a job that was taken out of the queue before it ran."""
        self.advance(now)
        self._waiting = deque(job for job in self._waiting if job.job_id != job_id)
        self.ended(job_id, 0.0, now)
        self._start(now)

    def longest_wait_s(self, now: float) -> float:
        """Return the longest wait of the last `MEMORY_DAYS` days, those who still wait included."""
        self.advance(now)
        waiting_s = now - self._waiting[0].since if self._waiting else 0.0
        while self._longest and self._longest[0].day < now // DAY_S - MEMORY_DAYS:
            self._longest.popleft()
        return max((waiting_s, *(longest.wait_s for longest in self._longest)))

    def advance(self, now: float) -> None:
        """Play on until now."""
        while self._ends and self._ends[0][0] <= now:
            ends_at, job_id = heapq.heappop(self._ends)
            run = self._runs.get(job_id)
            if run is None or run.ends_at != ends_at:
                continue
            later = self._runs_on(job_id, run, ends_at)
            if later is not None:
                self._end_at(job_id, run, later)
                continue
            self._release(job_id, run)
            self._start(ends_at)

    def _runs_on(self, job_id: int, run: _Run, at: float) -> float | None:
        """Return a later end for a job that really runs, longer than was thought; None when it is over."""
        started = self._started.get(job_id)
        if job_id in self._lasted or started is None:
            return None
        ran_s = at - started
        return None if ran_s <= run.ends_at - run.began else max(run.began + 2 * ran_s, at + 60.0)

    def _end_at(self, job_id: int, run: _Run, ends_at: float) -> None:
        run.ends_at = ends_at
        heapq.heappush(self._ends, (ends_at, job_id))

    def _release(self, job_id: int, run: _Run) -> None:
        for node in run.nodes:
            self._free[node] += run.gpus if len(run.nodes) == 1 else self._sizes[node]
        for known in (self._runs, self._predicted, self._started, self._lasted):
            known.pop(job_id, None)

    def _start(self, now: float) -> None:
        while self._waiting:
            job = self._waiting[0]
            nodes = self._fit(job.gpus)
            if nodes is None:
                return
            self._waiting.popleft()
            self._note_wait(now - job.since, int(now // DAY_S))
            for node in nodes:
                self._free[node] -= job.gpus if len(nodes) == 1 else self._sizes[node]
            run = self._runs[job.job_id] = _Run(now, nodes, job.gpus, now)
            self._end_at(job.job_id, run, now + self._lasted.get(job.job_id, self._predicted[job.job_id]))

    def _note_wait(self, wait_s: float, day: int) -> None:
        while self._longest and self._longest[-1].wait_s <= wait_s:
            self._longest.pop()
        if not self._longest or self._longest[-1].day < day:
            self._longest.append(_Longest(day, wait_s))

    def _fit(self, gpus: int) -> list[int] | None:
        """Return the fullest node that has room, or the first whole nodes that have it between them."""
        roomy = [(free, node) for node, free in enumerate(self._free) if free >= gpus]
        if roomy:
            return [min(roomy)[1]]
        if gpus <= max(self._sizes):
            return None
        nodes: list[int] = []
        found = 0
        for node, free in enumerate(self._free):
            if free == self._sizes[node]:
                nodes.append(node)
                found += free
                if found >= gpus:
                    return nodes
        return None

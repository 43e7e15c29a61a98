"""A play in which running jobs are stopped to make room and start again later: what that takes, and what is lost."""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from dcdaemon.core.plan import Start, Swap
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.cycle import pass_on
from dcdaemon.scheduler.policy import SwapCosts
from dcdaemon.scheduler.progress import Ledger
from dcdaemon.scheduler.space import NodeSpace
from dcdaemon.scheduler.start_time_room import Rooms
from dcdaemon.simulator.choices import Choice
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.stage import Stage, Witness
from dcdaemon.simulator.users import Learner
from dcdaemon.simulator.workload import RecordedJob


class _Stop(NamedTuple):
    """A job that has been told to stop, when it has, and the nodes on which it holds GPUs until then."""

    at: float
    job: QueuedJob
    nodes: list[NodeSpace]
    gpus: int


class SwapStage(Stage):
    """The stage of a policy with swaps."""

    def __init__(
        self,
        jobs: Sequence[RecordedJob],
        estimates_s: Sequence[float] | Learner,
        cluster: Cluster,
        choice: Choice,
        witness: Witness | None,
    ) -> None:
        super().__init__(jobs, estimates_s, cluster, choice, witness)
        self._costs = choice.policy.swaps or SwapCosts()
        self._ledger = Ledger(self._costs, self._memory.given_s)
        self._queued: dict[int, QueuedJob] = {}
        self._stops: deque[_Stop] = deque()
        self._again_s = [0.0] * len(jobs)
        self.again_s = self._again_s

    def foretell(self) -> None:
        """Refuse: a start is no start for good here."""
        raise ValueError("starts are not foretold under a policy that stops jobs")

    def next_event(self) -> float:
        """Return when the next job comes, ends or has stopped."""
        return min(super().next_event(), self._stops[0].at if self._stops else math.inf)

    def end_jobs(self, now: float) -> None:
        """End every job whose time has come, and let those wait again that have stopped."""
        before = set(self._held)
        super().end_jobs(now)
        for number in before.difference(self._held):
            del self._ledger.jobs[number], self._queued[number]
        while self._stops and self._stops[0].at <= now:
            self._wait_again(self._stops.popleft())

    def start_jobs(self, now: float) -> None:
        """Ask plan() and do what it says, full as the machine may be."""
        if not len(self._queue):
            return
        standing = self._memory.standing(now)
        decided = pass_on(self._spaces, self._queue, self._choice.policy, now, standing, ledger=self._ledger).plan
        for start in decided.starts:
            self._start(start, now)
        for swap in decided.swaps:
            self._swap(swap, now)
        self._memory.keep(decided)

    def _take_in(self, job: QueuedJob, rooms: Rooms, now: float) -> None:
        super()._take_in(job, rooms, now)
        self._ledger.queued(job)
        self._queued[job.id] = job

    def _run(self, start: Start, at: float) -> None:
        number = start.job_id
        progress = self._ledger.jobs[number]
        progress.start(at, self._costs.restart_s)
        if not progress.preempted:
            super()._run(start, at)
            return
        end = progress.works_from + self._jobs[number].duration_s - progress.saved_s
        self._again_s[number] = end - self.starts_s[number] - self._jobs[number].duration_s
        heapq.heappush(self._ends, (end, number))
        self._memory.started(number, progress.works_from - progress.saved_s)
        if self._witness is not None:
            self._witness(at, start)

    def _swap(self, swap: Swap, now: float) -> None:
        freed = sum(self._stop(number, now) for number in swap.victims)
        taken = self._seize(swap.start)
        self.meter.start(self._jobs[swap.start.job_id].gpus, taken - freed)
        self._run(swap.start, now + self._costs.stop_s)

    def _stop(self, number: int, now: float) -> int:
        """Stop a job; returns how many of its GPUs another one has from now on."""
        nodes, taken = self._held.pop(number)
        self._ends.remove(next(end for end in self._ends if end[1] == number))
        heapq.heapify(self._ends)
        progress = self._ledger.jobs[number]
        self.lost_gpu_s += progress.stop(now) * taken
        self.preemptions += 1
        self._memory.stopped(number, progress.known_s)
        still = [(node, hold) for node in nodes for hold in node.holds if hold.job_id == number]
        gpus = sum(len(hold.gpus) for _, hold in still)
        self._stops.append(_Stop(now + self._costs.stop_s, self._queued[number], [node for node, _ in still], gpus))
        return taken - gpus

    def _wait_again(self, stop: _Stop) -> None:
        for node in stop.nodes:
            node.give_back(stop.job.id)
        self.meter.end(stop.gpus)
        progress = self._ledger.jobs[stop.job.id]
        queued_at = progress.queued_at - progress.waited_before_s
        predicted_s = self._ledger.rest_s(progress, stop.at)
        again = replace(stop.job, queued_at=queued_at, predicted_s=predicted_s, swapped=progress.preempted)
        self._queue.add(again)
        self.meter.wait(stop.job.gpus)

"""What a play takes place on: the cluster, the queue and the clock, and what each event does to them."""

import heapq
import math
from collections.abc import Callable, Sequence

from dcdaemon.core.plan import Start
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.cycle import anything_fits, pass_on
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import NodeSpace, spaces_of
from dcdaemon.scheduler.start_time import StartForecast, StartTimes
from dcdaemon.scheduler.start_time_room import Rooms
from dcdaemon.simulator.choices import Choice
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.meter import Meter
from dcdaemon.simulator.users import Learner, Told
from dcdaemon.simulator.workload import RecordedJob

#: Called with each start as it happens; tests look on with it.
Witness = Callable[[float, Start], None]
_PRIORITY = 50


class Stage:
    """The cluster, the queue and the clock of one play; the spaces on the nodes are kept from pass to pass."""

    def __init__(
        self,
        jobs: Sequence[RecordedJob],
        estimates_s: Sequence[float] | Learner,
        cluster: Cluster,
        choice: Choice,
        witness: Witness | None,
    ) -> None:
        #: How many jobs have started, however often.
        self.started = 0
        #: What becomes of jobs that are stopped: see Outcome.
        self.preemptions = 0
        self.again_s: Sequence[float] = ()
        self.lost_gpu_s = 0.0
        self.starts_s = [math.nan] * len(jobs)
        self.meter = Meter(cluster.gpus, jobs[0].submit_s if jobs else 0.0)
        self._jobs = jobs
        self._estimates = estimates_s if isinstance(estimates_s, Learner) else Told(estimates_s)
        self._choice = choice
        self._witness = witness
        self._submitted = 0
        self._queue = QueueIndex()
        self._ends: list[tuple[float, int]] = []
        self._spaces = spaces_of(cluster.view())
        self._memory = Memory([cluster.gpus_per_node] * cluster.nodes, choice.policy)
        self._space_of = {space.name: space for space in self._spaces}
        #: What each running job holds: its nodes, and how many GPUs of them all.
        self._held: dict[int, tuple[list[NodeSpace], int]] = {}
        self._nodes = cluster.view().nodes
        self.forecasts: list[StartForecast | None] = []

    def foretell(self) -> None:
        """Have the start of each job foretold from now on."""
        self._memory.starts = StartTimes(self._nodes, self._choice.policy, self._memory.expected_s)

    def next_event(self) -> float:
        """Return when the next job comes or ends, infinity when none does."""
        submit_s = self._jobs[self._submitted].submit_s if self._submitted < len(self._jobs) else math.inf
        return min(submit_s, self._ends[0][0]) if self._ends else submit_s

    def end_jobs(self, now: float) -> None:
        """End every job whose time has come."""
        while self._ends and self._ends[0][0] <= now:
            number = heapq.heappop(self._ends)[1]
            nodes, taken = self._held.pop(number)
            for node in nodes:
                node.give_back(number)
            self.meter.end(taken)
            self._memory.ended(number, self._jobs[number].duration_s, now)
            self._estimates.ended(number, self._jobs[number].duration_s)

    def submit_jobs(self, now: float) -> None:
        """Queue every job that has come."""
        rooms = Rooms(self._spaces, self._memory.reserved, self._choice.policy, now)
        while self._submitted < len(self._jobs) and self._jobs[self._submitted].submit_s <= now:
            number = self._submitted
            job = self._jobs[number]
            estimate_s = self._estimates.predict(number)
            limit_s = self._choice.limit_of(job, estimate_s)
            predicted_s = self._choice.prediction_of(estimate_s)
            queued = QueuedJob(
                number, number, _PRIORITY, job.gpus, 0, 0, limit_s, queued_at=job.submit_s, predicted_s=predicted_s,
            )  # fmt: skip
            self._take_in(queued, rooms, now)
            self._submitted += 1

    def _take_in(self, job: QueuedJob, rooms: Rooms, now: float) -> None:
        self._queue.add(job)
        if self._memory.starts is not None:
            self._tell(self._memory.starts, job, rooms, now)
        self._memory.queued(job, now)
        self.meter.wait(job.gpus)

    def _tell(self, starts: StartTimes, job: QueuedJob, rooms: Rooms, now: float) -> None:
        foretold = starts.foretell(job, rooms.of(job), now)
        if foretold is not None:
            starts.watch(job.id, foretold)
        self.forecasts.append(foretold)

    def start_jobs(self, now: float) -> None:
        """Ask plan() and do what it says; it has taken the GPUs of what it starts already."""
        if not len(self._queue):
            return
        if not anything_fits(self._queue, self._spaces, self._choice.policy):
            return
        decided = pass_on(self._spaces, self._queue, self._choice.policy, now, self._memory.standing(now)).plan
        for start in decided.starts:
            self._start(start, now)
        self._memory.keep(decided)

    def _start(self, start: Start, now: float) -> None:
        self.meter.start(self._jobs[start.job_id].gpus, self._seize(start))
        self._run(start, now)

    def _seize(self, start: Start) -> int:
        """Take the job out of the queue and note what it holds; returns how many GPUs."""
        self._queue.remove(start.job_id)
        taken = len(start.gpus) + sum(len(part.gpus) for part in start.also)
        nodes = [self._space_of[start.node], *(self._space_of[part.node] for part in start.also)]
        self._held[start.job_id] = (nodes, taken)
        return taken

    def _run(self, start: Start, at: float) -> None:
        """Let the job run from then on."""
        number = start.job_id
        self.starts_s[number] = at
        self.started += 1
        heapq.heappush(self._ends, (at + self._jobs[number].duration_s, number))
        self._memory.started(number, at)
        if self._witness is not None:
            self._witness(at, start)

"""What first in, first out would have made of the same jobs: the measure of how long people may be kept waiting."""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcdaemon.scheduler.shadow_nodes import ShadowNodes

#: Older waits are forgotten: people judge by what they remember.
MEMORY_DAYS = 60
DAY_S = 86400.0
#: The wait of the last one in the shadow's queue is foreseen from the work before it, and counted in this part.
FORESEEN = 0.8
#: How full the machine is thought to be while jobs wait, until so much waiting has been seen.
USUALLY_FULL, SEEN_S = 0.8, DAY_S

#: How long a job of this prediction is thought to run in all, given how long it has run, in seconds.
Expect = Callable[[float, float], float]


def as_predicted(predicted_s: float, ran_s: float) -> float:
    """Return the prediction, and past it twice what was run."""
    return predicted_s if ran_s < predicted_s else 2 * ran_s


@dataclass(slots=True)
class _Job:
    """A job in the shadow, and what is known of the real one.

    `began` and `ends_at` are the shadow's; `lasted_s` is known when the real one has ended. `let_off_s` is how much
    shorter the shadow runs it, to pay back what it ran others too long. `reached_s` is how much the real one is known
    to have run, whether it runs now or not.
    """

    gpus: int
    since: float
    predicted_s: float
    work_gpu_s: float = 0.0
    started_at: float | None = None
    lasted_s: float | None = None
    began: float | None = None
    nodes: list[int] | None = None
    ends_at: float = 0.0
    let_off_s: float = 0.0
    reached_s: float = 0.0

    def ran_s(self, at: float) -> float:
        """Return how much the real one is known to have run by then."""
        return self.reached_s if self.started_at is None else max(self.reached_s, at - self.started_at)


class Shadow:
    """Plays strict FIFO beside the real schedule, event by event; jobs that ended run as long as they really did.

    What is not known yet is expected. Where that proves wrong after the shadow has gone on, it makes up for it: time
    that a job ran too short is run later, by a debt that goes before all that wait, and time that it ran too long is
    taken off the next ones.
    """

    def __init__(
        self, node_gpus: Sequence[int] = (), expect: Expect = as_predicted, foreseen: float = FORESEEN
    ) -> None:
        """Begin with empty nodes of so many GPUs each."""
        self._foreseen = foreseen
        self._nodes = ShadowNodes(node_gpus)
        self._expect = expect
        self._jobs: dict[int, _Job] = {}
        self._waiting: deque[int] = deque()
        self._ends: list[tuple[float, int]] = []
        #: Debts are jobs with negative numbers.
        self._debts: deque[int] = deque()
        self._next_debt = -1
        self._surplus_gpu_s = 0.0
        self._backlog_gpu_s = 0.0
        self._seen_s = self._busy_s = 0.0
        self._last: float | None = None
        #: Days with a wait longer than those of all later days, the longest first.
        self._longest: deque[tuple[int, float]] = deque()

    def submit(self, job_id: int, gpus: int, predicted_s: float, now: float) -> None:
        """Queue a job; one that is known, or that no empty cluster could hold, is left out."""
        self.advance(now)
        if job_id in self._jobs or not gpus or gpus > self._nodes.total:
            return
        job = self._jobs[job_id] = _Job(gpus, now, predicted_s)
        self._weigh(job, self._expect(predicted_s, 0.0))
        self._waiting.append(job_id)
        self._start(now)
        self._foresee(now)

    def started(self, job_id: int, at: float) -> None:
        """Note that the job really runs."""
        job = self._jobs.get(job_id)
        if job is not None:
            job.started_at = at

    def stopped(self, job_id: int, reached_s: float) -> None:
        """Note that the job does not run for now, and how much it has run at most."""
        job = self._jobs.get(job_id)
        if job is not None:
            job.started_at, job.reached_s = None, reached_s

    def ended(self, job_id: int, run_s: float, now: float) -> None:
        """Note how long the job really ran."""
        self.advance(now)
        job = self._jobs.get(job_id)
        if job is None:
            return
        job.lasted_s = run_s
        if job.began is None:
            self._weigh(job, run_s)
        elif job.nodes is not None:
            self._end_at(job_id, job, max(now, job.began + run_s - job.let_off_s))
            self.advance(now)
        else:
            self._settle(job, job.began + run_s - job.let_off_s - job.ends_at)
            del self._jobs[job_id]
            self._start(now)

    def left(self, job_id: int, now: float) -> None:
        """Forget a job that was taken out of the queue before it ran."""
        self.ended(job_id, 0.0, now)
        if job_id in self._jobs and self._jobs[job_id].began is None:
            self._waiting.remove(job_id)
            del self._jobs[job_id]
            self._start(now)

    def longest_wait_s(self, now: float) -> float:
        """Return the longest wait of the last `MEMORY_DAYS` days, those who still wait included."""
        self.advance(now)
        self._foresee(now)
        while self._longest and self._longest[0][0] < now // DAY_S - MEMORY_DAYS:
            self._longest.popleft()
        waiting_s = now - self._jobs[self._waiting[0]].since if self._waiting else 0.0
        return max((waiting_s, *(wait_s for _, wait_s in self._longest)))

    def advance(self, now: float) -> None:
        """Play on until now."""
        while self._ends and self._ends[0][0] <= now:
            at = self._ends[0][0]
            self._watch(at)
            while self._ends and self._ends[0][0] <= at:
                self._end(heapq.heappop(self._ends)[1], at)
            self._start(at)
        self._watch(now)

    def _end(self, job_id: int, at: float) -> None:
        job = self._jobs.get(job_id)
        if job is None or job.began is None or job.nodes is None or job.ends_at != at:
            return
        if job.lasted_s is None and (job.started_at is not None or job.reached_s):
            lasting_s = self._expect(job.predicted_s, job.ran_s(at)) - job.let_off_s
            if job.began + lasting_s > at + 1:
                self._end_at(job_id, job, job.began + lasting_s)
                return
        self._nodes.give_back(job.gpus, job.nodes)
        job.nodes = None
        if job.lasted_s is not None:
            del self._jobs[job_id]

    def _end_at(self, job_id: int, job: _Job, at: float) -> None:
        if job.ends_at != at:
            job.ends_at = at
            heapq.heappush(self._ends, (at, job_id))

    def _settle(self, job: _Job, short_s: float) -> None:
        """Make up for a job that the shadow ran too short, or too long."""
        if short_s <= 0:
            self._surplus_gpu_s -= short_s * self._nodes.width(job.gpus)
            return
        self._jobs[self._next_debt] = _Job(job.gpus, 0.0, short_s, lasted_s=short_s)
        self._debts.append(self._next_debt)
        self._next_debt -= 1

    def _start(self, now: float) -> None:
        while self._debts and self._place(self._debts[0], now):
            self._debts.popleft()
        while not self._debts and self._waiting and self._place(self._waiting[0], now):
            job = self._jobs[self._waiting.popleft()]
            self._note_wait(now - job.since, now)
            self._weigh(job, 0.0)
        if not self._waiting and not self._debts and self._nodes.empty:
            self._surplus_gpu_s = 0.0

    def _place(self, job_id: int, now: float) -> bool:
        job = self._jobs[job_id]
        job.nodes = self._nodes.take(job.gpus)
        if job.nodes is None:
            return False
        lasting_s = self._expect(job.predicted_s, job.ran_s(now)) if job.lasted_s is None else job.lasted_s
        if job_id >= 0 and self._surplus_gpu_s > 0:
            width = self._nodes.width(job.gpus)
            job.let_off_s = min(self._surplus_gpu_s / width, lasting_s / 2)
            self._surplus_gpu_s -= job.let_off_s * width
        job.began = now
        job.ends_at = -1.0
        self._end_at(job_id, job, now + lasting_s - job.let_off_s)
        return True

    def _weigh(self, job: _Job, lasting_s: float) -> None:
        work_gpu_s = self._nodes.width(job.gpus) * lasting_s
        self._backlog_gpu_s += work_gpu_s - job.work_gpu_s
        job.work_gpu_s = work_gpu_s

    def _watch(self, now: float) -> None:
        """See how full the nodes are while somebody waits."""
        if self._last is not None and now > self._last and (self._waiting or self._debts):
            self._seen_s += now - self._last
            self._busy_s += (now - self._last) * self._nodes.busy_ratio
        self._last = now if self._last is None else max(now, self._last)

    def _foresee(self, now: float) -> None:
        if self._waiting:
            full = (self._busy_s + USUALLY_FULL * SEEN_S) / (self._seen_s + SEEN_S)
            self._note_wait(self._foreseen * self._backlog_gpu_s / (self._nodes.total * full), now)

    def _note_wait(self, wait_s: float, now: float) -> None:
        day = int(now // DAY_S)
        while self._longest and self._longest[-1][1] <= wait_s:
            self._longest.pop()
        if not self._longest or self._longest[-1][0] < day:
            self._longest.append((day, wait_s))

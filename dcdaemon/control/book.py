"""The queue in memory: every unfinished job, who holds which GPU, and the scheduler's index, in step with the store."""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dcdaemon.core.job import ACTIVE, UNFINISHED, Job, JobState
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.queue import QueueIndex

#: A clock may be this far off without having been set back.
_CLOCK_STEP_S = 5.0
#: How many jobs that left the book are remembered; more than could end while one thread is held up.
_GONE_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Hold:
    """A job on a GPU from one time to another (None: still), in epoch seconds."""

    job_id: int
    gpu: int
    from_at: float
    to_at: float | None = None


class Book:
    """Unfinished jobs and their resources; thread-safe; the store stays the truth, this is its picture."""

    def __init__(self, node: NodeView) -> None:
        self.lock = threading.RLock()
        self.queue = QueueIndex()
        self._node = node
        self._jobs: dict[int, Job] = {}
        self._active: dict[int, Job] = {}  # looked at all the time, and few among thousands
        self._dependents: dict[int, set[int]] = {}
        self._known: dict[int, JobState] = {}
        self._open: dict[int, list[Hold]] = {}
        self._past: list[Hold] = []
        #: Versions of jobs that left the book lately: a thread that saved an older one may put it late.
        self._gone: OrderedDict[int, int] = OrderedDict()

    def put(self, job: Job) -> None:
        """Take a job's newer value; an older one than known is ignored."""
        with self.lock:
            known = self._jobs.get(job.id)
            newest = known.version if known is not None else self._gone.get(job.id, 0)
            if newest > job.version:
                return
            self._note_holds(known, job)
            if job.state in ACTIVE:
                self._active[job.id] = job
            else:
                self._active.pop(job.id, None)
            if job.state in UNFINISHED:
                self._jobs[job.id] = job
            else:
                self._leave(job)
            self._index(job)
            for dependent in self._dependents.get(job.id, ()):
                waiting = self._jobs.get(dependent)
                if waiting is not None:
                    self._index(waiting)

    def learn(self, states: dict[int, JobState]) -> None:
        """Remember the states of ended jobs that others wait for."""
        with self.lock:
            self._known.update(states)

    def dependencies_of(self, jobs: Iterable[Job]) -> set[int]:
        """List the dependencies whose state the book does not know."""
        with self.lock:
            return {dep for job in jobs for dep in job.spec.after if dep not in self._jobs and dep not in self._known}

    def get(self, job_id: int) -> Job | None:
        """Return an unfinished job."""
        return self._jobs.get(job_id)

    def unfinished(self) -> list[Job]:
        """Return all unfinished jobs, oldest first."""
        with self.lock:
            return sorted(self._jobs.values(), key=lambda job: job.id)

    def active(self) -> list[Job]:
        """Return the jobs that hold resources, oldest first."""
        with self.lock:
            return sorted(self._active.values(), key=lambda job: job.id)

    def counts(self) -> tuple[int, int, int]:
        """Return how many jobs wait, are held, and are active."""
        with self.lock:
            waiting = [job for job in self._jobs.values() if job.state is JobState.WAITING]
            return len(waiting), sum(job.held for job in waiting), len(self._jobs) - len(waiting)

    def count_of(self, uid: int) -> int:
        """Return how many unfinished jobs a user has."""
        with self.lock:
            return sum(job.spec.uid == uid for job in self._jobs.values())

    def holders(self) -> dict[int, Job]:
        """Map each allocated GPU to its job."""
        return {gpu: job for job in self.active() for gpu in job.gpus}

    def set_gpus(self, gpus: tuple[GpuSlot, ...]) -> bool:
        """Replace what is known of this node's GPUs; True when something changed for the scheduler."""
        with self.lock:
            changed = gpus != self._node.gpus
            self._node = replace(self._node, gpus=gpus)
            return changed

    @property
    def node(self) -> NodeView:
        """The capacity of the node as the scheduler sees it."""
        return self._node

    def view(self) -> ClusterView:
        """Return the immutable picture a plan is made from."""
        with self.lock:
            return ClusterView(nodes=(self._node,), running=tuple(_running(job) for job in self.active()))

    def holds(self, since: float, now: float, since_of: Mapping[int, float] | None = None) -> list[Hold]:
        """Return who used which GPU after `since`, or after its own time where one is given; forget older ones."""
        begins = since_of or {}
        with self.lock:
            # An end in the future was left there by a clock set back; it would claim that hour a second time.
            self._past = [
                hold for hold in self._past if begins.get(hold.gpu, since) < (hold.to_at or 0.0) <= now + _CLOCK_STEP_S
            ]
            using = [hold for holds in self._open.values() for hold in holds if hold.from_at != math.inf]
            return self._past + using

    def _leave(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        if job.id in self._dependents or job.id in self._known:
            self._known[job.id] = job.state
        self._gone[job.id] = job.version
        self._gone.move_to_end(job.id)
        if len(self._gone) > _GONE_KEPT:
            self._gone.popitem(last=False)

    def _note_holds(self, before: Job | None, after: Job) -> None:
        if after.state in ACTIVE:
            if before is None or before.state not in ACTIVE or after.started_at != before.started_at:
                # A job that is being launched has the GPU but does not use it yet.
                begin = math.inf if after.started_at is None else after.started_at
                self._open[after.id] = [Hold(after.id, gpu, begin) for gpu in after.gpus]
            return
        ended = (_closed(hold, after) for hold in self._open.pop(after.id, ()))
        self._past += [hold for hold in ended if hold is not None]

    def _index(self, job: Job) -> None:
        if job.state is not JobState.WAITING:
            if job.id in self.queue:
                self.queue.remove(job.id)
            return
        for dependency in job.spec.after:
            self._dependents.setdefault(dependency, set()).add(job.id)
        queued = self._queued(job)
        if job.id in self.queue:
            self.queue.remove(job.id)
        self.queue.add(queued)

    def _queued(self, job: Job) -> QueuedJob:
        states = {dep: self._state_of(dep) for dep in job.spec.after}
        failed = [dep for dep, state in states.items() if state not in UNFINISHED and state is not JobState.SUCCEEDED]
        spec = job.spec
        return QueuedJob(
            id=job.id, sequence=job.id, priority=job.priority, gpus=spec.gpus, cpus=spec.cpus, mem_bytes=spec.mem_bytes,
            limit_s=spec.limit_s + spec.grace_s if spec.limit_s is not None else None, grace_s=spec.grace_s,
            held=job.held,
            waits_for=tuple(dep for dep, state in states.items() if state is not JobState.SUCCEEDED),
            failed_dependency=failed[0] if failed else None,
        )  # fmt: skip

    def _state_of(self, job_id: int) -> JobState:
        job = self._jobs.get(job_id)
        return job.state if job is not None else self._known.get(job_id, JobState.LOST)


def _running(job: Job) -> RunningJob:
    spec = job.spec
    begin = job.started_at
    ends_at = None if spec.limit_s is None or begin is None else begin + spec.limit_s + spec.grace_s
    return RunningJob(
        id=job.id, node=job.node, gpus=job.gpus, cpus=spec.cpus, mem_bytes=spec.mem_bytes, ends_at=ends_at
    )


def _closed(hold: Hold, job: Job) -> Hold | None:
    """Return the hold with its end, also when its start was not known before; None when nothing was used."""
    if job.ended_at is None or job.state is JobState.WAITING:
        return None
    starts = [hold.from_at, job.started_at, None if job.run_s is None else job.ended_at - job.run_s]
    begin = min(start for start in starts if start is not None)
    return replace(hold, from_at=begin, to_at=job.ended_at) if begin < job.ended_at else None

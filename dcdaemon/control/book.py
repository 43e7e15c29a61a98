"""The queue in memory: every unfinished job, who holds which GPU, and the scheduler's index, kept in step with the store."""

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dcdaemon.core.job import ACTIVE, UNFINISHED, Job, JobState
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.queue import QueueIndex


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
        self._dependents: dict[int, set[int]] = {}
        self._known: dict[int, JobState] = {}
        self._holds: list[Hold] = []

    def put(self, job: Job) -> None:
        """Take a job's newer value; an older one than known is ignored."""
        with self.lock:
            known = self._jobs.get(job.id)
            if known is not None and known.version > job.version:
                return
            self._note_holds(known, job)
            if job.state in UNFINISHED:
                self._jobs[job.id] = job
            else:
                self._jobs.pop(job.id, None)
                if job.id in self._dependents:
                    self._known[job.id] = job.state
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
            return sorted((job for job in self._jobs.values() if job.state in ACTIVE), key=lambda job: job.id)

    def counts(self) -> tuple[int, int, int]:
        """Return how many jobs wait, are held, and are active."""
        with self.lock:
            waiting = [job for job in self._jobs.values() if job.state is JobState.WAITING]
            return len(waiting), sum(job.held for job in waiting), len(self._jobs) - len(waiting)

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
        """This node's capacity as the scheduler sees it."""
        return self._node

    def view(self) -> ClusterView:
        """Return the immutable picture a plan is made from."""
        with self.lock:
            return ClusterView(nodes=(self._node,), running=tuple(_running(job) for job in self.active()))

    def holds(self, since: float) -> list[Hold]:
        """Return who held which GPU at any time after `since`; older ended ones are forgotten."""
        with self.lock:
            self._holds = [hold for hold in self._holds if hold.to_at is None or hold.to_at > since]
            return list(self._holds)

    def _note_holds(self, before: Job | None, after: Job) -> None:
        if after.state in ACTIVE and (before is None or before.state not in ACTIVE):
            # A job that is being launched has the GPU but does not use it yet.
            begin = after.started_at if after.started_at is not None else math.inf
            self._holds += [Hold(after.id, gpu, begin) for gpu in after.gpus]
        elif after.state in ACTIVE and before is not None and after.started_at != before.started_at:
            self._rewrite(after, lambda hold: replace(hold, from_at=after.started_at or hold.from_at))
        elif after.state not in ACTIVE:
            end = after.ended_at if after.state is not JobState.WAITING else None
            self._rewrite(after, lambda hold: replace(hold, to_at=end if end is not None else hold.from_at))

    def _rewrite(self, job: Job, change: Callable[[Hold], Hold]) -> None:
        self._holds = [change(hold) if hold.job_id == job.id and hold.to_at is None else hold for hold in self._holds]

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
            limit_s=spec.limit_s + spec.grace_s if spec.limit_s is not None else None, held=job.held,
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

"""The queue in memory: every unfinished job, who holds which GPU, and the scheduler's index, in step with the store."""

import math
import threading
from collections import OrderedDict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from dcdaemon.control.fair_use import FairUse
from dcdaemon.control.limits import Limits
from dcdaemon.control.waiting import Begins, Waits
from dcdaemon.core.booking import Booking, next_change
from dcdaemon.core.job import ACTIVE, UNFINISHED, Fate, Job, JobState
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.caps import lent
from dcdaemon.scheduler.fair_share import Payer
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.queues import Sharing

#: A clock may be this far off without having been set back.
_CLOCK_STEP_S = 5.0
#: A job that no database knows any more.
_UNKNOWN = Fate(JobState.LOST)
#: Memory in use is noted in steps of this.
_NOTED_BYTES = 1024**3
#: How many jobs that left the book are remembered; more than could end while one thread is held up.
_GONE_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Hold:
    """A job on a GPU from one time to another (None: still), in epoch seconds.

    Jobs that share the GPU are told apart by their `weight`, the memory they declared.
    """

    job_id: int
    gpu: int
    from_at: float
    to_at: float | None = None
    weight: float = 1.0


class Book:
    """Unfinished jobs and their resources; thread-safe; the store stays the truth, this is its picture."""

    def __init__(self, node: NodeView, sharing: Sharing | None = None) -> None:
        self.lock = threading.RLock()
        self.sharing = sharing or Sharing()
        self.queue = QueueIndex(by_owner=self.sharing.by_owner, by_deadline=self.sharing.by_deadline)
        self.fair_use = FairUse(self.sharing)
        self._node = node
        self._jobs: dict[int, Job] = {}
        self._active: dict[int, Job] = {}  # looked at all the time, and few among thousands
        self._dependents: dict[int, set[int]] = {}
        self._known: dict[int, Fate] = {}
        self._begins = Begins()
        #: GPUs set aside, without what is over; each time replaced whole.
        self.bookings: tuple[Booking, ...] = ()
        self._limits = Limits(self.sharing)
        #: Jobs that changed since somebody asked for news.
        self._news: dict[int, Job] = {}
        self._open: dict[int, list[Hold]] = {}
        self._past: list[Hold] = []
        #: Versions of jobs that left the book lately: a thread that saved an older one may put it late.
        self._gone: OrderedDict[int, int] = OrderedDict()

    def put(self, job: Job) -> None:
        """Take a job's newer value; an older one than known is ignored."""
        self.put_all([job])

    def put_all(self, jobs: Iterable[Job]) -> None:
        """Take newer values of jobs; those that wait for several of them are looked at once."""
        with self.lock:
            concerned: set[int] = set()
            for job in jobs:
                concerned.update(self._put(job))
            for job_id in concerned:
                waiting = self._jobs.get(job_id)
                if waiting is not None:
                    self._index(waiting)

    def _put(self, job: Job) -> Collection[int]:
        """Take a job's newer value; return who waits for a job that has ended, or waits again."""
        known = self._jobs.get(job.id)
        newest = known.version if known is not None else self._gone.get(job.id, 0)
        if newest > job.version:
            return ()
        self._note_holds(known, job)
        self._limits.note(known, job)
        self.fair_use.note(known, job, self._node)
        if job.state in ACTIVE:
            self._active[job.id] = job
        else:
            self._active.pop(job.id, None)
        if job.state in UNFINISHED:
            self._jobs[job.id] = job
        else:
            self._leave(job)
        self._index(job)
        # That a job starts, or is stopped, changes nothing for those that wait for its end.
        same = known is not None and job.state in UNFINISHED
        return () if same else self._dependents.get(job.id, ())

    def learn(self, fates: Mapping[int, Fate]) -> None:
        """Remember the ends of jobs that others wait for."""
        with self.lock:
            self._known.update(fates)

    def pass_time(self, now: float) -> None:
        """Let the jobs whose begin time has come start."""
        with self.lock:
            for job_id in self._begins.pass_time(now):
                job = self._jobs.get(job_id)
                if job is not None:
                    self._index(job)

    def next_due(self, now: float) -> float | None:
        """Return when time alone changes what may start, epoch seconds; None when it never does."""
        with self.lock:
            due = [at for at in (self._begins.next, next_change(self.bookings, now)) if at is not None]
            return min(due, default=None)

    def set_bookings(self, bookings: Iterable[Booking]) -> None:
        """Replace what is booked on this node; while something is, jobs of different owners are not alike."""
        with self.lock:
            self.bookings = tuple(bookings)
            by_owner, by_deadline = self.sharing.by_owner or bool(self.bookings), self.sharing.by_deadline
            if (by_owner, by_deadline) != (self.queue.by_owner, self.queue.by_deadline):
                self.queue = QueueIndex(self.queue, by_owner=by_owner, by_deadline=by_deadline)

    def go_by(self, sharing: Sharing) -> None:
        """Serve the same queues in other orders from now on; limits and accounts stay as they were."""
        with self.lock:
            self.sharing = sharing
            self.set_bookings(self.bookings)

    def dependencies_of(self, jobs: Iterable[Job]) -> set[int]:
        """List the dependencies whose state the book does not know."""
        with self.lock:
            return {
                dep for job in jobs for dep in job.spec.dependencies if dep not in self._jobs and dep not in self._known
            }

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
        """Map each allocated GPU to its job, a shared one to the oldest of its jobs."""
        return {gpu: jobs[0] for gpu, jobs in self.sharers().items()}

    def sharers(self) -> dict[int, list[Job]]:
        """Map each allocated GPU to its jobs, oldest first: several where they share it."""
        found: dict[int, list[Job]] = {}
        for job in self.active():
            for gpu in job.gpus:
                found.setdefault(gpu, []).append(job)
        return found

    def next_settled(self, now: float, holdoff_s: float) -> float | None:
        """Return when the next job on a shared GPU has run so long, epoch seconds; None while nobody waits for that."""
        with self.lock:
            shares = [job for job in self._active.values() if job.is_sharing]
            if not shares or not any(demand[-1] is not None for demand in self.queue.demands):
                return None
            starts = [job.started_at for job in shares if job.started_at is not None]
            return min((at + holdoff_s for at in starts if at > now - holdoff_s), default=None)

    def set_gpus(self, gpus: tuple[GpuSlot, ...]) -> bool:
        """Replace what is known of this node's GPUs; True when something changed for the scheduler."""
        with self.lock:
            shared = {gpu for job in self._active.values() if job.is_sharing for gpu in job.gpus}
            before, after = ([_decisive(slot, shared) for slot in slots] for slots in (self._node.gpus, gpus))
            self._node = replace(self._node, gpus=gpus)
            return before != after

    @property
    def node(self) -> NodeView:
        """The capacity of the node as the scheduler sees it."""
        return self._node

    def view(self) -> ClusterView:
        """Return the immutable picture a plan is made from."""
        with self.lock:
            running = tuple(self._running(job) for job in self.active())
            return ClusterView(nodes=(self._node,), running=running, caps=self._limits.most, bookings=self.bookings)

    def lent(self) -> frozenset[int]:
        """Return the jobs that run on GPUs beyond a quota."""
        return lent(self.view())

    def shares_used(self, now: float, ahead_s: float = 0.0) -> dict[Payer, float]:
        """Return the decayed GPU seconds of each account and user; what runs counts up to now and so much ahead."""
        with self.lock:
            return self.fair_use.used(self.active(), self._node, now, ahead_s)

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

    def take_news(self) -> list[Job]:
        """Return the newest values of the jobs that changed since the last time."""
        with self.lock:
            news, self._news = self._news, {}
            return list(news.values())

    def _leave(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        if job.id in self._dependents or job.id in self._known:
            self._known[job.id] = Fate(job.state, job.ended_at)
        for dependency in job.spec.dependencies:
            self._no_longer_waits(job.id, dependency)
        self._gone[job.id] = job.version
        self._gone.move_to_end(job.id)
        if len(self._gone) > _GONE_KEPT:
            self._gone.popitem(last=False)

    def _note_holds(self, before: Job | None, after: Job) -> None:
        if after.state in ACTIVE:
            if before is None or before.state not in ACTIVE or after.started_at != before.started_at:
                # A job that is being launched has the GPU but does not use it yet.
                begin = math.inf if after.started_at is None else after.started_at
                self._open[after.id] = [
                    Hold(after.id, gpu, begin, weight=after.spec.gpu_mem_bytes or 1.0) for gpu in after.gpus
                ]
            return
        ended = (_closed(hold, after) for hold in self._open.pop(after.id, ()))
        self._past += [hold for hold in ended if hold is not None]

    def _index(self, job: Job) -> None:
        self._news[job.id] = job
        if job.state is not JobState.WAITING:
            if job.id in self.queue:
                self.queue.remove(job.id)
            return
        for dependency in job.spec.dependencies:
            self._dependents.setdefault(dependency, set()).add(job.id)
        queued = self._queued(job)
        if job.id in self.queue:
            self.queue.remove(job.id)
        self.queue.add(queued)

    def _queued(self, job: Job) -> QueuedJob:
        spec = job.spec
        waits = Waits.of(spec, self._fate_of)
        begin_at = self._begins.pending(job.id, spec.begin_at)
        return QueuedJob(
            id=job.id, sequence=job.id, priority=job.priority, gpus=spec.gpus, cpus=spec.cpus, mem_bytes=spec.mem_bytes,
            limit_s=spec.limit_s + spec.grace_s if spec.limit_s is not None else None, grace_s=spec.grace_s,
            held=job.held,
            waits_for=waits.open, waits_any=waits.any, waits_not_ok=waits.not_ok, failed_dependency=waits.failed,
            queued_at=max(job.queued_at, spec.begin_at or 0.0, waits.over_at), begin_at=begin_at,
            predicted_s=job.predicted_s, gpu_mem_bytes=spec.gpu_mem_bytes, user=spec.user, account=spec.account,
            queue=self.sharing.queue(spec.queue).name, caps=self._limits.of(spec), deadline_at=spec.deadline_at,
        )  # fmt: skip

    def as_queued(self, job: Job) -> QueuedJob:
        """Return what the queue would hold of a job that has no id yet."""
        return self._queued(job)

    def _running(self, job: Job) -> RunningJob:
        spec = job.spec
        begin = job.started_at
        ends_at = None if spec.limit_s is None or begin is None else begin + spec.limit_s + spec.grace_s
        return RunningJob(
            id=job.id, node=job.node, gpus=job.gpus, cpus=spec.cpus, mem_bytes=spec.mem_bytes, ends_at=ends_at,
            started_at=begin, predicted_s=job.predicted_s, gpu_mem_bytes=spec.gpu_mem_bytes, priority=job.priority,
            user=spec.user, account=spec.account, queue=self.sharing.queue(spec.queue).name,
            caps=self._limits.of(spec), preemptible=spec.preemptible, checkpoint_at=job.checkpoint_at,
            stopping=job.state is JobState.STOPPING, gpu_instance=job.gpu_instance,
        )  # fmt: skip

    def _fate_of(self, job_id: int) -> Fate:
        job = self._jobs.get(job_id)
        return Fate(job.state) if job is not None else self._known.get(job_id, _UNKNOWN)

    def _no_longer_waits(self, job_id: int, dependency: int) -> None:
        """Forget a dependency that nobody waits for any more; it is looked up again when the job is requeued."""
        dependents = self._dependents.get(dependency, set())
        dependents.discard(job_id)
        if not dependents:
            self._dependents.pop(dependency, None)
            self._known.pop(dependency, None)


def _decisive(slot: GpuSlot, shared: Container[int]) -> GpuSlot:
    """Return what of a GPU may let a waiting job start: how full it is matters where it is shared, and then roughly."""
    used = slot.mem_used_bytes if slot.index in shared else None
    instances = slot.instances and tuple(replace(one, blocked_detail="") for one in slot.instances)
    noted = None if used is None else -(-used // _NOTED_BYTES)
    return replace(slot, penalty=0, blocked_detail="", mem_used_bytes=noted, instances=instances)


def _closed(hold: Hold, job: Job) -> Hold | None:
    """Return the hold with its end, also when its start was not known before; None when nothing was used."""
    if job.ended_at is None or job.state is JobState.WAITING:
        return None
    starts = [hold.from_at, job.started_at, None if job.run_s is None else job.ended_at - job.run_s]
    begin = min(start for start in starts if start is not None)
    return replace(hold, from_at=begin, to_at=job.ended_at) if begin < job.ended_at else None

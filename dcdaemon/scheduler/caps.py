"""Limits on how much may run at once: of a user, an account, a queue, an array; and quotas, which only come last."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, Self

from dcdaemon.core.gpu_time import weight
from dcdaemon.core.view import CapKey, ClusterView, QueuedJob, RunningJob


class Cap(StrEnum):
    """Kinds of limits; the second part of a CapKey names whose it is.

    QUEUE_USER and QUEUE_JOBS are named like "main/ada", QUOTA like "user/ada" or "account/vision". NO_CPU is a user's,
    and counts the jobs that ask for no CPU and no GPU: nothing else keeps them from running all at once.
    """

    USER = "user"
    ACCOUNT = "account"
    QUEUE = "queue"
    QUEUE_USER = "queue-user"
    QUEUE_JOBS = "queue-jobs"
    ARRAY = "array"
    QUOTA = "quota"
    NO_CPU = "no-cpu"


#: Of these kinds of limits jobs are counted, of all others GPUs.
COUNTS_JOBS = frozenset({Cap.ARRAY, Cap.QUEUE_JOBS, Cap.NO_CPU})
#: Shares of GPUs are added up as fractions; this much is no excess.
_ROUNDING = 1e-6


class Over(NamedTuple):
    """A limit that one more job would exceed: what counts against it now and the most it allows, GPUs or jobs."""

    key: CapKey
    used: float
    most: int

    @property
    def counts_jobs(self) -> bool:
        """Whether it counts jobs, not GPUs."""
        return self.key[0] in COUNTS_JOBS


class Tally:
    """What counts against each limit while one pass hands out the rest.

    A question costs the few limits of one job, whatever else runs or waits. A limit that `most` does not name does
    not exist. `gpu_mem_bytes` is what a whole GPU has, to weigh shares of one; None where it is not known.
    """

    def __init__(
        self, most: Mapping[CapKey, int], running: Iterable[RunningJob] = (), gpu_mem_bytes: int | None = None
    ) -> None:
        self._most = most
        self.has_quotas = any(kind == Cap.QUOTA for kind, _ in most)
        self._gpu_mem_bytes = gpu_mem_bytes
        self._used: defaultdict[CapKey, float] = defaultdict(float)
        self._closed: set[CapKey] = set()
        seen: set[int] = set()
        for job in running if most else ():
            # A gang over several nodes has an entry for each, and is one job.
            self._add(job.caps, self._weight(len(job.gpus), job.gpu_mem_bytes), 0 if job.id in seen else 1)
            seen.add(job.id)

    @classmethod
    def of(cls, view: ClusterView) -> Self:
        """Return the tally of all that runs."""
        return cls(view.caps, view.running, gpu_size(view) if view.caps else None)

    def used(self, key: CapKey) -> float:
        """Return what counts against a limit, GPUs or jobs."""
        return self._used.get(key, 0.0)

    def allows(self, job: QueuedJob) -> bool:
        """Say whether the job breaks no cap; a quota is none."""
        return not job.caps or self.refusing(job) is None

    def refusing(self, job: QueuedJob) -> Over | None:
        """Return the first cap that the job would break, None when it breaks none."""
        return self._first((key for key in job.caps if key[0] != Cap.QUOTA), job)

    def beyond(self, job: QueuedJob) -> Over | None:
        """Return the quota that the job would exceed, None for a job within its quotas."""
        return self._first((key for key in job.caps if key[0] == Cap.QUOTA), job) if job.caps else None

    def take(self, job: QueuedJob) -> None:
        """Count a job that starts."""
        self._add(job.caps, self._weight(job.gpus, job.gpu_mem_bytes), 1)

    def is_kept(self, key: CapKey) -> bool:
        """Say whether what is left of a limit is kept for somebody."""
        return key in self._closed

    def give_back(self, job: QueuedJob | RunningJob, *, ends: bool = True) -> None:
        """Take off a job that is over; a gang that runs has an entry for each node and `ends` with one of them."""
        gpus = job.gpus if isinstance(job, QueuedJob) else len(job.gpus)
        self._add(job.caps, -self._weight(gpus, job.gpu_mem_bytes), -1 if ends else 0)

    def copy(self, without: Collection[CapKey] = ()) -> Self:
        """Return a tally for another pass, in which nothing is kept for anybody, and these limits do not exist."""
        most = {key: cap for key, cap in self._most.items() if key not in without} if without else self._most
        twin = type(self)(most, (), self._gpu_mem_bytes)
        twin._used.update(self._used)  # noqa: SLF001  its own kind
        return twin

    def close(self, over: Over, job: QueuedJob) -> None:
        """Keep what is left of a limit for a job that needs more of it: nobody else gets any in this pass.

        A job that the limit could never allow keeps nothing.
        """
        if self.more(over.key, job) <= over.most + _ROUNDING:
            self._closed.add(over.key)

    def _first(self, keys: Iterable[CapKey], job: QueuedJob) -> Over | None:
        return next((over for key in keys if (over := self._over(key, job)) is not None), None)

    def _over(self, key: CapKey, job: QueuedJob) -> Over | None:
        most, more = self._most.get(key), self.more(key, job)
        # What takes nothing of it exceeds nothing, even where the limit was lowered under what runs.
        if most is None or not more:
            return None
        if key not in self._closed and self.used(key) + more <= most + _ROUNDING:
            return None
        return Over(key, self.used(key), most)

    def more(self, key: CapKey, job: QueuedJob) -> float:
        """Return what the job would add to a limit, GPUs or jobs."""
        return 1.0 if key[0] in COUNTS_JOBS else self._weight(job.gpus, job.gpu_mem_bytes)

    def _weight(self, gpus: int, gpu_mem_bytes: int | None) -> float:
        return weight(gpus, gpu_mem_bytes, self._gpu_mem_bytes)

    def _add(self, caps: Iterable[CapKey], gpus: float, jobs: int) -> None:
        for key in caps:
            self._used[key] += jobs if key[0] in COUNTS_JOBS else gpus


def owner_of(key: CapKey) -> str:
    """Return whose limit it is, in words: "ada", "account vision", "ada in queue short"."""
    kind, name = key
    if kind == Cap.QUOTA:
        kind, name = name.split("/", 1)
    queue, _, user = name.partition("/")
    if kind in {Cap.QUEUE_USER, Cap.QUEUE_JOBS}:
        return f"{user} in queue {queue}"
    if kind == Cap.NO_CPU:
        return f"{name} (jobs without a CPU)"
    return name if kind == Cap.USER else f"{kind} {name}"


def gpu_size(view: ClusterView) -> int | None:
    """Return the memory of the largest GPU, None where none is known."""
    sizes = (gpu.mem_total_bytes for node in view.nodes for gpu in node.gpus)
    return max((size for size in sizes if size), default=None)


def lent(view: ClusterView) -> frozenset[int]:
    """Return the running jobs on lent GPUs: of the jobs of each quota, the last ones to start, those that exceed it.

    When others of its owner end, such a job comes within the quota and is not lent any more.
    """
    if not any(key[0] == Cap.QUOTA for key in view.caps):
        return frozenset()
    tally, found = Tally(view.caps, gpu_mem_bytes=gpu_size(view)), set()
    for job in sorted(view.running, key=lambda job: (job.started_at is None, job.started_at or 0.0, job.id)):
        queued = _queued(job)
        if tally.beyond(queued) is not None:
            found.add(job.id)
        tally.take(queued)
    return frozenset(found)


def _queued(job: RunningJob) -> QueuedJob:
    return QueuedJob(
        job.id, job.id, job.priority, len(job.gpus), job.cpus, job.mem_bytes, None,
        gpu_mem_bytes=job.gpu_mem_bytes, caps=job.caps,
    )  # fmt: skip

"""Fair-share of this node: what its accounts and users have used, kept in step with the jobs and with the store."""

from collections.abc import Iterable

from dcdaemon.core.gpu_time import HOUR_S, attempt_span, weight
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Store
from dcdaemon.core.view import NodeView
from dcdaemon.scheduler.fair_share import FairShare, Payer, Use, used_now
from dcdaemon.scheduler.queues import Sharing

#: What was used longer ago counts less than half a per cent.
_HALF_LIVES = 8
#: Use within this part of a half-life is not told apart when it is recalled.
_STEPS = 64


class FairUse:
    """Decayed GPU time: attempts that have ended as they end, those that run up to the moment somebody asks."""

    def __init__(self, sharing: Sharing) -> None:
        self.sharing = sharing
        self._past = FairShare(sharing.half_life_s)

    def recall(self, store: Store, now: float) -> None:
        """Take in what was used before this daemon began; before any job is known, or it would count twice."""
        half_life_s = self.sharing.half_life_s
        step_s = max(int(half_life_s / _STEPS) // HOUR_S, 1) * HOUR_S
        for used in store.gpu_time(now - _HALF_LIVES * half_life_s, step_s):
            self._past.add((used.account, used.user), used.gpu_s, min(used.at, now))

    def note(self, before: Job | None, after: Job, node: NodeView) -> None:
        """Count the attempt that this change of a job ends, if it ends one."""
        span = None if before is None else attempt_span(before, after)
        if span is not None:
            self._past.charge(_payer(after), _gpus(after, node), *span)

    def used(self, active: Iterable[Job], node: NodeView, now: float, ahead_s: float = 0.0) -> dict[Payer, float]:
        """Return the decayed GPU seconds of each payer; what runs counts up to now and so much ahead."""
        running = [
            Use(_payer(job), _gpus(job, node), now if job.started_at is None else job.started_at)
            for job in active
            if job.gpus
        ]
        return used_now(self._past, running, now, ahead_s)


def _payer(job: Job) -> Payer:
    return job.spec.account, job.spec.user


def _gpus(job: Job, node: NodeView) -> float:
    sizes = [slot.mem_total_bytes for slot in node.gpus if slot.index in job.gpus]
    return weight(len(job.gpus), job.spec.gpu_mem_bytes, sizes[0] if sizes else None)

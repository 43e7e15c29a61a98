"""Which running jobs have to make room for a waiting one; off unless queues are urgent or quotas are lent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from dcdaemon.core.plan import Plan, Preemption
from dcdaemon.core.view import ClusterView, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.caps import Tally, lent
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex

#: To stop and start again costs a job about so much beside its work since the last checkpoint.
RESTART_S = 60.0
#: How many sets of victims are tried out with the real plan, the cheapest first.
MOST_TRIALS = 4


def preempt(view: ClusterView, queue: QueueIndex, policy: Policy, decided: Plan, now: float) -> Preemption | None:
    """Return whom to stop for the first waiting job that may ask for it, None when nobody should be.

    The plan is the one just made of this view. Victims are chosen whole, and only if the job then starts, by plan()
    itself; while earlier victims are still on their way out, nobody else is stopped.
    """
    loans = lent(view) if policy.recall else frozenset()
    if not loans and not any(rule.urgent for rule in policy.queues.values()):
        return None
    if any(job.stopping for job in view.running):
        return None
    for reservation in decided.reservations:
        job = queue.get(reservation.job_id)
        if job is not None and (chosen := _for(_Asking(view, queue, policy, now, job, loans))) is not None:
            return chosen
    return None


@dataclass(frozen=True, slots=True)
class _Asking:
    """One waiting job, and what it may ask for."""

    view: ClusterView
    queue: QueueIndex
    policy: Policy
    now: float
    job: QueuedJob
    loans: frozenset[int]

    def may_stop(self, other: RunningJob) -> bool:
        """Say whether this running job may be stopped for the waiting one."""
        if other.priority > self.job.priority or other.started_at is None:
            return False
        ran_s = self.now - other.started_at
        return self._is_more_urgent(other, ran_s) or self._recalls(other, ran_s)

    def _is_more_urgent(self, other: RunningJob, ran_s: float) -> bool:
        rule = self.policy.rule_of(other.queue)
        urgent, preemptible = self.policy.rule_of(self.job.queue).urgent, other.preemptible or rule.preemptible
        return urgent and preemptible and ran_s >= rule.min_run_s

    def _recalls(self, other: RunningJob, ran_s: float) -> bool:
        if other.id not in self.loans or ran_s < self.policy.recall_after_s:
            return False
        return ran_s >= self.policy.rule_of(other.queue).min_run_s and Tally.of(self.view).beyond(self.job) is None


def _for(asking: _Asking) -> Preemption | None:
    victims = {other.id for other in asking.view.running if asking.may_stop(other)}
    # All of a job's nodes must be its to give: a gang is stopped whole or not at all.
    victims -= {other.id for other in asking.view.running if not asking.may_stop(other)}
    if not victims:
        return None
    sets = sorted(_sets(asking, victims), key=lambda ids: (cost_gpu_s(asking.view, ids, asking.now), sorted(ids)))
    for chosen in islice(sets, MOST_TRIALS):
        if _starts_without(asking, chosen):
            return Preemption(asking.job.id, tuple(sorted(_needed(asking, chosen))))
    return None


def _sets(asking: _Asking, victims: set[int]) -> Iterator[frozenset[int]]:
    """Yield sets of victims that may make room: for each node the cheapest few, for a gang the cheapest nodes."""
    by_node = {node.name: _by_cost(asking, node, victims) for node in asking.view.nodes}
    widest = max((len(node.gpus) for node in asking.view.nodes), default=0)
    if asking.job.gpus > widest:
        yield from _gang_sets(asking, by_node)
        return
    for ids in by_node.values():
        for count in range(1, len(ids) + 1):
            yield frozenset(ids[:count])
            if _starts_without(asking, frozenset(ids[:count])):
                break


def _gang_sets(asking: _Asking, by_node: dict[str, list[int]]) -> Iterator[frozenset[int]]:
    """Yield the victims of more and more nodes, those that cost least first."""
    whole = sorted(by_node.values(), key=lambda ids: cost_gpu_s(asking.view, ids, asking.now))
    for count in range(1, len(whole) + 1):
        ids = frozenset(job_id for node in whole[:count] for job_id in node)
        if ids and _starts_without(asking, ids):
            yield ids
            return


def _by_cost(asking: _Asking, node: NodeView, victims: set[int]) -> list[int]:
    here = {job.id for job in asking.view.running if job.node == node.name and job.id in victims}
    return sorted(here, key=lambda job_id: (cost_gpu_s(asking.view, (job_id,), asking.now), -job_id))


def _needed(asking: _Asking, chosen: Iterable[int]) -> frozenset[int]:
    """Return the set without those that need not be stopped, the most expensive let off first."""
    left = frozenset(chosen)
    for job_id in sorted(left, key=lambda one: (-cost_gpu_s(asking.view, (one,), asking.now), one)):
        if len(left) > 1 and _starts_without(asking, left - {job_id}):
            left -= {job_id}
    return left


def _starts_without(asking: _Asking, gone: frozenset[int]) -> bool:
    running = tuple(job for job in asking.view.running if job.id not in gone)
    queue = asking.queue.copy()
    for job_id in gone:
        # They wait again at once: where one of them would go first, it would only be stopped once more.
        queue.add(_again([job for job in asking.view.running if job.id == job_id], asking.now))
    decided = plan(replace(asking.view, running=running), queue, asking.policy, asking.now)
    return any(start.job_id == asking.job.id for start in decided.starts)


def _again(parts: Sequence[RunningJob], now: float) -> QueuedJob:
    """Return how a job waits that is stopped now; a gang has a part on each node."""
    job = parts[0]
    limit_s = None if job.ends_at is None or job.started_at is None else job.ends_at - job.started_at
    return QueuedJob(
        job.id, job.id, job.priority, sum(len(part.gpus) for part in parts), sum(part.cpus for part in parts),
        sum(part.mem_bytes for part in parts), limit_s, queued_at=now, predicted_s=job.predicted_s,
        gpu_mem_bytes=job.gpu_mem_bytes, user=job.user, account=job.account, queue=job.queue, caps=job.caps,
    )  # fmt: skip


def cost_gpu_s(view: ClusterView, job_ids: Iterable[int], now: float) -> float:
    """Return the GPU-seconds that are lost when these jobs are stopped: work since a checkpoint, and a restart."""
    stopped = frozenset(job_ids)
    return sum(len(job.gpus) * (at_risk_s(job, now) + RESTART_S) for job in view.running if job.id in stopped)


def at_risk_s(job: RunningJob, now: float) -> float:
    """Return the work of a running job that is not safe on disk, in seconds."""
    safe_at = job.checkpoint_at if job.checkpoint_at is not None else job.started_at
    return 0.0 if safe_at is None else max(0.0, now - safe_at)

"""Small clusters and queues for the tests of the scheduler."""

from dcdaemon.core.view import ClusterView, GpuBlock, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.policy import Policy

NOW = 1_000_000.0
POLICY = Policy()
GIB = 1024**3


def node(name="n1", gpus=8, cpus=64, mem_gib=512, blocked=None) -> NodeView:
    blocked = blocked or {}
    slots = [GpuSlot(index, None, *blocked.get(index, (None, ""))) for index in range(gpus)]
    return NodeView(name, cpus, mem_gib * GIB, tuple(slots))


def running(job_id, gpus, ends_in_s=None, *, on="n1", cpus=1, mem_gib=0) -> RunningJob:
    ends_at = None if ends_in_s is None else NOW + ends_in_s
    return RunningJob(job_id, on, tuple(gpus), cpus, mem_gib * GIB, ends_at)


def waiting(job_id, gpus, limit_s=None, *, priority=50, cpus=1, mem_gib=0, **rest) -> QueuedJob:
    return QueuedJob(job_id, job_id, priority, gpus, cpus, mem_gib * GIB, limit_s, **rest)


def view(*jobs, nodes=None) -> ClusterView:
    return ClusterView(tuple(nodes or [node()]), tuple(jobs))


def drained(index, detail="ECC, ticket 881") -> dict:
    return {index: (GpuBlock.DRAINED, detail)}

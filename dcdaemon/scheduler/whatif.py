"""The world after a change: what the cluster and the queue would look like, for plan() to decide on."""

from collections.abc import Container
from dataclasses import replace

from dcdaemon.core.reasons import Unblock
from dcdaemon.core.view import ClusterView, NodeView, QueuedJob
from dcdaemon.scheduler.queue import QueueIndex


def apply(view: ClusterView, queue: QueueIndex, unblock: Unblock, job_id: int) -> tuple[ClusterView, QueueIndex]:
    """Return view and queue after the change was made for this job; raises KeyError when it does not wait."""
    changed = queue.without(unblock.skip_jobs)
    changed.add(freed(changed.remove(job_id), unblock))
    return cleared(view, unblock), changed


def cleared(view: ClusterView, unblock: Unblock) -> ClusterView:
    """Return the cluster with the jobs ended and the GPUs given back."""
    ended, restored = frozenset(unblock.end_jobs), frozenset(unblock.restore_gpus)
    running = tuple(job for job in view.running if job.id not in ended) if ended else view.running
    nodes = tuple(_restore(node, restored) for node in view.nodes) if restored else view.nodes
    return ClusterView(nodes, running)


def freed(job: QueuedJob, unblock: Unblock) -> QueuedJob:
    """Return the job with its hold released and its dependencies met."""
    met = frozenset(unblock.finish_dependencies)
    return replace(
        job,
        held=job.held and not unblock.release,
        waits_for=tuple(other for other in job.waits_for if other not in met),
        failed_dependency=None if job.failed_dependency in met else job.failed_dependency,
    )


def _restore(node: NodeView, restored: Container[tuple[str, int]]) -> NodeView:
    gpus = tuple(
        replace(gpu, blocked=None, blocked_detail="") if (node.name, gpu.index) in restored else gpu
        for gpu in node.gpus
    )
    return replace(node, gpus=gpus)

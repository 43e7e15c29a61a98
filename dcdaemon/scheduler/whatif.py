"""The world after a change: what the cluster and the queue would look like, for plan() to decide on."""

from collections.abc import Container
from dataclasses import replace

from dcdaemon.core.reasons import Unblock
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob
from dcdaemon.scheduler.queue import QueueIndex


def apply(view: ClusterView, queue: QueueIndex, unblock: Unblock, job_id: int) -> tuple[ClusterView, QueueIndex]:
    """Return view and queue after the change was made for this job; raises KeyError when it does not wait.

    What it waited for is over then, and neither runs nor waits.
    """
    changed = queue.without((*unblock.skip_jobs, *unblock.dependencies))
    highest = max(job.priority for job in queue) if unblock.first else None
    changed.add(freed(changed.remove(job_id), unblock, highest))
    return cleared(view, unblock), changed


def cleared(view: ClusterView, unblock: Unblock) -> ClusterView:
    """Return the cluster with the jobs ended, the GPUs given back and the limits lifted."""
    ended, restored = {*unblock.end_jobs, *unblock.dependencies}, frozenset(unblock.restore_gpus)
    running = tuple(job for job in view.running if job.id not in ended) if ended else view.running
    nodes = tuple(restore(node, restored) for node in view.nodes) if restored else view.nodes
    caps = {key: most for key, most in view.caps.items() if key not in unblock.lift_limits}
    bookings = tuple(booking for booking in view.bookings if booking.id not in unblock.unbook)
    return replace(view, nodes=nodes, running=running, caps=caps, bookings=bookings)


def freed(job: QueuedJob, unblock: Unblock, highest: int | None = None) -> QueuedJob:
    """Return the job with its hold released, its dependencies met and its begin time come.

    `highest` is the priority it goes past, None where its place stays.
    """
    met = frozenset(unblock.dependencies)
    return replace(
        job,
        held=job.held and not unblock.release,
        waits_for=tuple(other for other in job.waits_for if other not in met),
        failed_dependency=None if job.failed_dependency in met else job.failed_dependency,
        begin_at=job.begin_at if unblock.begin_at is None else None,
        priority=job.priority if highest is None else highest + 1,
    )


def restore(node: NodeView, restored: Container[tuple[str, int]]) -> NodeView:
    """Return the node with these GPUs, named by node and index, taking work again."""
    gpus = tuple(_restored(gpu) if (node.name, gpu.index) in restored else gpu for gpu in node.gpus)
    return replace(node, gpus=gpus)


def _restored(gpu: GpuSlot) -> GpuSlot:
    instances = gpu.instances
    if instances is not None:
        instances = tuple(replace(one, blocked=None, blocked_detail="") for one in instances)
    return replace(gpu, blocked=None, blocked_detail="", instances=instances)


def all_open(view: ClusterView) -> ClusterView:
    """Return the cluster with all GPUs taking work."""
    blocked = {(node.name, gpu.index) for node in view.nodes for gpu in node.gpus if gpu.stopped.blocked is not None}
    return replace(view, nodes=tuple(restore(node, blocked) for node in view.nodes)) if blocked else view

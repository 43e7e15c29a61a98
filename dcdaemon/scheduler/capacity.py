"""Whether a job could ever run here, however empty the nodes are."""

from collections.abc import Sequence

from dcdaemon.core.reasons import Facts, Reason, ReasonCode
from dcdaemon.core.view import GpuSlot, NodeView
from dcdaemon.scheduler.sentences import worded
from dcdaemon.scheduler.shape import NOTHING, Asking, Lack, Shape, missing


def check_fits(asking: Asking, nodes: Sequence[NodeView], job_id: int = 0) -> Reason | None:
    """Return why the job can never run on these nodes, None when it can; GPUs blocked today count as there.

    The reason names the node that comes nearest. Job id 0 stands for a job that has no number yet.
    """
    shape = Shape.of(asking)
    if any(shortfall(shape, node) == NOTHING for node in nodes):
        return None
    facts = _wanted(shape, nodes)
    return worded(Reason(job_id, ReasonCode.NEVER_FITS, facts))


def shortfall(shape: Shape, node: NodeView) -> Lack:
    """Return what the whole node lacks for the shape."""
    return missing(shape, len(node.gpus), node.cpus, node.mem_bytes)


def blocked_of(node: NodeView) -> list[GpuSlot]:
    """Return the node's GPUs that take no new work."""
    return [gpu for gpu in node.gpus if gpu.blocked is not None]


def _wanted(shape: Shape, nodes: Sequence[NodeView]) -> Facts:
    facts = Facts(gpus_needed=shape.gpus, cpus_needed=shape.cpus, mem_needed_bytes=shape.mem_bytes, nodes=len(nodes))
    if nodes:
        nearest = min(nodes, key=lambda node: shortfall(shape, node))
        facts["node"] = nearest.name
        facts["gpus_total"] = len(nearest.gpus)
        facts["cpus_total"] = nearest.cpus
        facts["mem_total_bytes"] = nearest.mem_bytes
    return facts

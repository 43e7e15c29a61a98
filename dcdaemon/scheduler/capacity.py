"""Whether a job could ever run here, however empty the nodes are."""

from collections.abc import Container, Sequence
from dataclasses import replace

from dcdaemon.core.reasons import Facts, Reason, ReasonCode
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView
from dcdaemon.scheduler.gang import could_hold
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.sentences import worded
from dcdaemon.scheduler.shape import NOTHING, Asking, Lack, Shape, missing
from dcdaemon.scheduler.shares import capacity_bytes
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import all_open

_ONE_NODE = Policy()


def check_fits(
    asking: Asking,
    nodes: Sequence[NodeView],
    job_id: int = 0,
    policy: Policy = _ONE_NODE,
    queue: str = "",
) -> Reason | None:
    """Return why the job can never run on these nodes, None when it can; GPUs blocked today count as there.

    The reason names the node that comes nearest. Job id 0 stands for a job that has no number yet.
    """
    shape, gpus = Shape.of(asking), policy.gpus_of(queue)
    there = nodes if gpus is None else [_only(node, gpus) for node in nodes]
    if any(shortfall(shape, node) == NOTHING for node in there):
        return None
    if policy.gangs and could_hold(shape, spaces_of(all_open(ClusterView(tuple(there)))), policy):
        return None
    facts = _wanted(shape, there, policy) | (Facts() if gpus is None else Facts(queue=queue))
    return worded(Reason(job_id, ReasonCode.NEVER_FITS, facts))


def shortfall(shape: Shape, node: NodeView) -> Lack:
    """Return what the whole node lacks for the shape."""
    gpus = whole_of(node)
    if shape.gpu_mem_bytes is not None:
        gpus = [gpu for gpu in node.gpus if capacity_bytes(gpu) >= shape.gpu_mem_bytes]
    return missing(shape, len(gpus), node.cpus, node.mem_bytes)


def whole_of(node: NodeView) -> list[GpuSlot]:
    """Return the node's GPUs that are not cut by MIG."""
    return [gpu for gpu in node.gpus if gpu.instances is None]


def instances_of(node: NodeView) -> int:
    """Return how many MIG instances the node has."""
    return sum(len(gpu.instances or ()) for gpu in node.gpus)


def places_of(node: NodeView) -> int:
    """Return how many jobs with a GPU each the node holds: on whole GPUs, and on MIG instances."""
    return len(whole_of(node)) + instances_of(node)


def blocked_of(node: NodeView) -> list[GpuSlot]:
    """Return the node's GPUs that take no new work, or have an instance that takes none."""
    return [stopped for gpu in node.gpus if (stopped := gpu.stopped).blocked is not None]


def _only(node: NodeView, gpus: Container[int]) -> NodeView:
    return replace(node, gpus=tuple(gpu for gpu in node.gpus if gpu.index in gpus))


def _wanted(shape: Shape, nodes: Sequence[NodeView], policy: Policy) -> Facts:
    facts = Facts(gpus_needed=shape.gpus, cpus_needed=shape.cpus, mem_needed_bytes=shape.mem_bytes, nodes=len(nodes))
    if policy.gangs and len(nodes) > 1 and all(len(whole_of(node)) < shape.gpus for node in nodes):
        facts["gpus_total"] = sum(len(whole_of(node)) for node in nodes)
        facts["cpus_total"] = sum(node.cpus for node in nodes)
        facts["mem_total_bytes"] = sum(node.mem_bytes for node in nodes)
    elif nodes:
        nearest = min(nodes, key=lambda node: shortfall(shape, node))
        facts["node"] = nearest.name
        # A share may have an instance; whole GPUs are only those that are not cut.
        there = whole_of(nearest) if shape.gpu_mem_bytes is None else nearest.gpus
        facts["gpus_total"] = len(there)
        if len(there) < len(nearest.gpus):
            facts["gpus_cut"] = len(nearest.gpus) - len(there)
        facts["cpus_total"] = nearest.cpus
        facts["mem_total_bytes"] = nearest.mem_bytes
    if shape.gpu_mem_bytes is not None:
        facts["gpu_mem_needed_bytes"] = shape.gpu_mem_bytes
        facts["gpu_mem_total_bytes"] = max((capacity_bytes(gpu) for node in nodes for gpu in node.gpus), default=0)
    return facts

"""Jobs wider than any node: how many whole nodes they take, where the policy lets a job span nodes."""

from collections.abc import Sequence
from itertools import islice
from math import ceil
from typing import NamedTuple

from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import NodeSpace


class Gang(NamedTuple):
    """So many nodes, and what the job needs of each; it takes all GPUs of those it gets, needed or not."""

    nodes: int
    share: Shape

    def on(self, node: NodeSpace) -> Shape:
        """Return what the job takes of this node."""
        return self.share._replace(gpus=len(node.usable))


def gang_of(shape: Shape, nodes: Sequence[NodeSpace], policy: Policy) -> Gang | None:
    """Return the fewest nodes that hold the shape between them; None when one does, or all together do not."""
    if not policy.gangs or any(len(node.usable) >= shape.gpus for node in nodes):
        return None
    widest = max((len(node.usable) for node in nodes), default=0)
    if not widest:
        return None
    for count in range(ceil(shape.gpus / widest), len(nodes) + 1):
        share = _share(shape, count)
        found = islice((node for node in nodes if node.can_hold(share)), count)
        if sum(1 for _ in found) == count:
            return Gang(count, share)
    return None


def could_hold(shape: Shape, nodes: Sequence[NodeSpace], policy: Policy) -> bool:
    """Say whether the shape would fit if nothing ran; blocked GPUs do not count."""
    return any(node.can_hold(shape) for node in nodes) or gang_of(shape, nodes, policy) is not None


def _share(shape: Shape, count: int) -> Shape:
    return Shape(ceil(shape.gpus / count), ceil(shape.cpus / count), ceil(shape.mem_bytes / count), shape.limit_s)

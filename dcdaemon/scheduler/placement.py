"""Which GPUs of which node a job gets."""

from collections.abc import Iterable
from typing import NamedTuple

from dcdaemon.scheduler.reserve import Guard
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import NodeSpace


class Placement(NamedTuple):
    """A node and GPUs of it that are free for the job."""

    node: NodeSpace
    gpus: tuple[int, ...]


def fit(shape: Shape, nodes: Iterable[NodeSpace], guard: Guard | None = None) -> Placement | None:
    """Return the best place for the shape, None when there is none.

    Best is: no GPU that the head counts on, then the fewest GPUs left over (so that wide jobs still find a
    whole node), then the first node; on the node the lowest indices.
    """
    reserved = None if guard is None else guard.node
    roomy = (node for node in nodes if node.has_room(shape) and node is not reserved)
    node = min(roomy, key=_left_over, default=None)
    elsewhere = None if node is None else Placement(node, tuple(node.free[: shape.gpus]))
    kept = None if guard is None else _fit_reserved(shape, guard)
    if guard is None or kept is None or elsewhere is None:
        return elsewhere or kept
    return min(kept, elsewhere, key=lambda place: _cost(place, guard))


def _fit_reserved(shape: Shape, guard: Guard) -> Placement | None:
    gpus = guard.open_gpus(shape) if guard.node.has_room(shape) else None
    if gpus is None or len(gpus) < shape.gpus:
        return None
    return Placement(guard.node, tuple(sorted(gpus[: shape.gpus])))


def _cost(place: Placement, guard: Guard) -> tuple[int, int, int]:
    pinned = len(guard.pinned.intersection(place.gpus)) if place.node is guard.node else 0
    return (pinned, _left_over(place.node), place.node.position)


def _left_over(node: NodeSpace) -> int:
    # The same job is placed on every node compared: what is free tells what is left over.
    return len(node.free)

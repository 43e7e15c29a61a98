"""Which GPUs of which node, or of which nodes, a job gets."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dcdaemon.scheduler.gang import Gang, gang_of
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.reserve import Guard
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import NodeSpace


class Placed(NamedTuple):
    """Free GPUs of one node."""

    node: NodeSpace
    gpus: tuple[int, ...]


class Placement(NamedTuple):
    """Room for a job: `share` is what it takes of each node, one node for all but a gang."""

    share: Shape
    parts: tuple[Placed, ...]


def place(shape: Shape, nodes: Sequence[NodeSpace], policy: Policy, guard: Guard | None = None) -> Placement | None:
    """Return the best room for the shape, on one node or for a gang on several; None when there is none."""
    found = fit(shape, nodes, guard)
    if found is not None:
        return Placement(shape, (found,))
    gang = gang_of(shape, nodes, policy)
    return None if gang is None else _fit_gang(gang, nodes, guard)


def fit(shape: Shape, nodes: Iterable[NodeSpace], guard: Guard | None = None) -> Placed | None:
    """Return the best place for the shape on one node, None when there is none.

    Best is: no GPU that the head counts on, then the fewest GPUs left over (so that wide jobs still find a
    whole node), then the first node; on the node the lowest indices.
    """
    kept = {} if guard is None else guard.kept
    roomy = (node for node in nodes if node.has_room(shape) and node.position not in kept)
    node = min(roomy, key=_left_over, default=None)
    elsewhere = None if node is None else Placed(node, tuple(node.free[: shape.gpus]))
    if guard is None:
        return elsewhere
    places = [place for place in (elsewhere, *_fit_reserved(shape, guard)) if place is not None]
    return min(places, key=lambda place: _cost(place, guard), default=None)


def _fit_reserved(shape: Shape, guard: Guard) -> Iterable[Placed]:
    for kept in guard.kept.values():
        gpus = guard.open_gpus(shape, kept) if kept.node.has_room(shape) else None
        if gpus is not None and len(gpus) >= shape.gpus:
            yield Placed(kept.node, tuple(sorted(gpus[: shape.gpus])))


def _fit_gang(gang: Gang, nodes: Iterable[NodeSpace], guard: Guard | None) -> Placement | None:
    """Return the first nodes of which all GPUs are free, those that the head counts on last."""
    whole: list[tuple[int, int, NodeSpace]] = []
    unpinned = 0
    for node in nodes:
        if unpinned == gang.nodes:
            break
        if len(node.free) < len(node.usable) or not node.can_hold(gang.share) or not node.has_room(gang.share):
            continue
        kept = None if guard is None else guard.kept.get(node.position)
        if guard is None or kept is None:
            whole.append((0, node.position, node))
            unpinned += 1
        elif len(guard.open_gpus(gang.share, kept) or ()) == len(node.usable):
            whole.append((len(kept.pinned), node.position, node))
    if len(whole) < gang.nodes:
        return None
    chosen = sorted(whole, key=lambda found: found[:2])[: gang.nodes]
    return Placement(gang.share, tuple(Placed(node, tuple(node.free)) for _, _, node in chosen))


def _cost(place: Placed, guard: Guard) -> tuple[int, int, int]:
    kept = guard.kept.get(place.node.position)
    pinned = 0 if kept is None else len(kept.pinned.intersection(place.gpus))
    return (pinned, _left_over(place.node), place.node.position)


def _left_over(node: NodeSpace) -> int:
    # The same job is placed on every node compared: what is free tells what is left over.
    return len(node.free)

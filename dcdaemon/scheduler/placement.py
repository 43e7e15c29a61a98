"""Which GPUs of which node, or of which nodes, a job gets."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dcdaemon.scheduler.gang import Gang, gang_of
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.reserve import Guards
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


def place(shape: Shape, nodes: Sequence[NodeSpace], policy: Policy, guards: Guards | None = None) -> Placement | None:
    """Return the best room for the shape, on one node or for a gang on several; None when there is none."""
    found = fit(shape, nodes, guards)
    if found is not None:
        return Placement(shape, (found,))
    gang = gang_of(shape, nodes, policy)
    return None if gang is None else _fit_gang(gang, nodes, guards)


def fit(shape: Shape, nodes: Iterable[NodeSpace], guards: Guards | None = None) -> Placed | None:
    """Return the best place for the shape on one node, None when there is none.

    Best is: no GPU that somebody counts on, then the fewest GPUs left over (so that wide jobs still find a
    whole node), then the first node; on the node the lowest indices.
    """
    kept = guards.on if guards is not None else {}
    best: NodeSpace | None = None
    for node in nodes:
        # The same job is placed on every node compared: what is free tells what is left over.
        if node.has_room(shape) and node.position not in kept and (best is None or len(node.free) < len(best.free)):
            best = node
    elsewhere = None if best is None else Placed(best, tuple(best.free[: shape.gpus]))
    if guards is None or not kept:
        return elsewhere
    reserved = _fit_reserved(shape, (node for node in nodes if node.position in kept), guards)
    places = [place for place in (elsewhere, *reserved) if place is not None]
    return min(places, key=lambda place: _cost(place, guards), default=None)


def _fit_reserved(shape: Shape, nodes: Iterable[NodeSpace], guards: Guards) -> Iterable[Placed]:
    for node in nodes:
        gpus = guards.open_gpus(shape, node) if node.has_room(shape) else None
        if gpus is not None and len(gpus) >= shape.gpus:
            yield Placed(node, tuple(sorted(gpus[: shape.gpus])))


def _fit_gang(gang: Gang, nodes: Iterable[NodeSpace], guards: Guards | None) -> Placement | None:
    """Return the first nodes of which all GPUs are free, those that somebody counts on last."""
    whole: list[tuple[int, int, NodeSpace]] = []
    unpinned = 0
    for node in nodes:
        if unpinned == gang.nodes:
            break
        if len(node.free) < len(node.usable) or not node.can_hold(gang.share) or not node.has_room(gang.share):
            continue
        if guards is None or node.position not in guards.on:
            whole.append((0, node.position, node))
            unpinned += 1
        elif len(guards.open_gpus(gang.share, node) or ()) == len(node.usable):
            whole.append((len(guards.pinned_on(node.position)), node.position, node))
    if len(whole) < gang.nodes:
        return None
    chosen = sorted(whole, key=lambda found: found[:2])[: gang.nodes]
    return Placement(gang.share, tuple(Placed(node, tuple(node.free)) for _, _, node in chosen))


def _cost(place: Placed, guards: Guards) -> tuple[int, int, int]:
    position = place.node.position
    pinned = len(guards.pinned_on(position).intersection(place.gpus)) if position in guards.on else 0
    return (pinned, len(place.node.free), position)

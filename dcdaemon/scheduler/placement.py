"""Which GPUs of which node, or of which nodes, a job gets."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from dcdaemon.scheduler.gang import Gang, gang_of
from dcdaemon.scheduler.neighbours import pick
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.reserve import Guards
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import NodeSpace

#: Whether the node is wholly free, how much longer it would be in use, what it has free, and its position.
NodeCost = tuple[bool, float, int, int]


class Placed(NamedTuple):
    """Free GPUs of one node."""

    node: NodeSpace
    gpus: tuple[int, ...]


class Placement(NamedTuple):
    """Room for a job: `share` is what it takes of each node, one node for all but a gang."""

    share: Shape
    parts: tuple[Placed, ...]


def place(
    shape: Shape, nodes: Sequence[NodeSpace], policy: Policy, guards: Guards | None = None, now: float | None = None
) -> Placement | None:
    """Return the best room for the shape, on one node or for a gang on several; None when there is none.

    Without `now` no shared GPU counts as one on which a job still loads.
    """
    if shape.gpu_mem_bytes is not None:
        settled_by = math.inf if now is None else now - policy.share_holdoff_s
        opened = fit_share(shape, nodes, guards, settled_by)
        return None if opened is None else Placement(shape, (opened,))
    found = fit(shape, nodes, guards)
    if found is not None:
        return Placement(shape, (found,))
    gang = gang_of(shape, nodes, policy)
    return None if gang is None else _fit_gang(gang, nodes, guards)


def fit(shape: Shape, nodes: Iterable[NodeSpace], guards: Guards | None = None) -> Placed | None:
    """Return the best place for the shape on one node, None when there is none.

    Best is: no GPU that somebody counts on; then a node in use, and of those the one whose last end is put off least
    by the job, as predicted, so that whole nodes become free together; then the fewest GPUs left over, so that wide
    jobs still find a whole node; then the first node. On the node those that pick() says.
    """
    kept = guards.on if guards is not None else {}
    # Most nodes are full, and this is asked a million times a simulated month: the cheapest question comes first.
    nodes = [node for node in nodes if len(node.free) >= shape.gpus and node.has_room(shape)]
    roomy = (node for node in nodes if node.position not in kept)
    best = min(roomy, key=lambda node: _node_cost(node, shape, guards), default=None)
    elsewhere = None if best is None else Placed(best, _gpus(best, best.free, shape.gpus))
    if guards is None or not kept:
        return elsewhere
    reserved = _fit_reserved(shape, (node for node in nodes if node.position in kept), guards)
    places = [place for place in (elsewhere, *reserved) if place is not None]
    return min(places, key=lambda place: _cost(place, shape, guards), default=None)


def _fit_reserved(shape: Shape, nodes: Iterable[NodeSpace], guards: Guards) -> Iterable[Placed]:
    for node in nodes:
        gpus = guards.open_gpus(shape, node)
        if gpus is not None and len(gpus) >= shape.gpus:
            yield Placed(node, _gpus(node, gpus, shape.gpus, guards.pinned_on(node.position)))


def fit_share(
    shape: Shape, nodes: Sequence[NodeSpace], guards: Guards | None = None, settled_by: float = math.inf
) -> Placed | None:
    """Return the best GPU for a share: one that is shared already, or an instance, with least room to spare.

    Else a free one; which node has it is decided as for a whole GPU. No shared GPU on which a job has started after
    `settled_by`; an instance is nobody else's, so there is nothing to wait for.
    """
    best = min(_open_shares(shape, nodes, guards, settled_by), default=None)
    if best is not None:
        _, _, place_of, gpu = best
        return Placed(nodes[place_of], (gpu,))
    whole = shape._replace(gpu_mem_bytes=None)
    return fit(whole, [_with_large(node, shape) for node in nodes], guards)


def _open_shares(
    shape: Shape, nodes: Iterable[NodeSpace], guards: Guards | None, settled_by: float
) -> Iterator[tuple[bool, int, int, int]]:
    """Yield each opening: whether somebody counts on it, its room, its node's place among these, and the GPU."""
    beside = shape._replace(gpus=0, gpu_mem_bytes=None)
    for place_of, node in enumerate(nodes):
        gpus: Collection[int] = [*node.open_shares(shape, settled_by), *node.open_instances(shape)]
        if not gpus or not node.has_room(beside):
            continue
        pinned: frozenset[int] = frozenset()
        if guards is not None and node.position in guards.on:
            gpus, pinned = guards.open_gpus(shape, node, gpus) or (), guards.pinned_on(node.position)
        for gpu in gpus:
            room_bytes = node.instances[gpu] if gpu in node.instances else node.shared.opening(gpu).room_bytes
            yield gpu in pinned, room_bytes, place_of, gpu


def _with_large(node: NodeSpace, shape: Shape) -> NodeSpace:
    """Return the node with the free GPUs that are large enough for a share; to look at."""
    mem_bytes = shape.gpu_mem_bytes or 0
    if all(node.shared.holds(gpu, mem_bytes) for gpu in node.free):
        return node
    return node.only(node.large_enough(shape))


def _gpus(node: NodeSpace, free: Sequence[int], count: int, pinned: Collection[int] = ()) -> tuple[int, ...]:
    """Return so many of the free GPUs, of which those that are best left alone come last already."""
    if not node.shared.slots:
        return tuple(sorted(free[:count]))
    later = {gpu for closure in node.closures for gpu in closure.booking.gpus}
    return pick(free, count, node.shared.slots, later.union(pinned))


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


def _cost(place: Placed, shape: Shape, guards: Guards) -> tuple[int, NodeCost]:
    position = place.node.position
    pinned = len(guards.pinned_on(position).intersection(place.gpus)) if position in guards.on else 0
    return (pinned, _node_cost(place.node, shape, guards))


def _node_cost(node: NodeSpace, shape: Shape, guards: Guards | None) -> NodeCost:
    # The same job is placed on every node compared: what is free tells what is left over.
    if guards is None or shape.predicted_s is None:
        return (False, 0.0, len(node.free), node.position)
    longer_s = max(0.0, guards.now + shape.predicted_s - guards.last_end(node))
    return (len(node.free) == len(node.usable), longer_s, len(node.free), node.position)

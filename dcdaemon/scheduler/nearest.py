"""Where a job lacks least: one node, or for a gang the nodes that come nearest to being whole and free."""

from collections.abc import Sequence
from heapq import nsmallest
from typing import NamedTuple

from dcdaemon.core.reasons import Facts, ReasonCode
from dcdaemon.core.view import ClusterView, QueuedJob
from dcdaemon.scheduler.bookings import Windows
from dcdaemon.scheduler.cycle import Pass
from dcdaemon.scheduler.gang import Gang, gang_of
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.shape import NOTHING, Lack, Shape, missing
from dcdaemon.scheduler.space import NodeSpace


class Nearest(NamedTuple):
    """The nodes that lack least; `share` is what is needed of the last, the one that lacks most of them.

    `whole_free` is how many nodes a gang could have now, `gang` is None for a job of one node.
    """

    spaces: tuple[NodeSpace, ...]
    share: Shape
    gang: Gang | None
    whole_free: int

    def share_on(self, node: NodeSpace) -> Shape:
        """Return what the job would take of a node: of a gang's all its GPUs."""
        return self.share if self.gang is None else self.gang.on(node)

    @property
    def code(self) -> ReasonCode:
        """What is missing; PRIORITY when nothing is."""
        lacking = self.spaces[-1].lacking(self.share)
        if lacking == NOTHING:
            return ReasonCode.PRIORITY
        if lacking.gpus:
            return ReasonCode.GPUS_BUSY
        return ReasonCode.CPUS_BUSY if lacking.cpus else ReasonCode.MEMORY_BUSY

    def facts(self, shape: Shape, nodes: int) -> Facts:
        """Return the numbers; `nodes` is how many there are in all."""
        worst = self.spaces[-1]
        facts = Facts(
            gpus_needed=shape.gpus, gpus_free=len(worst.free),
            cpus_needed=self.share.cpus, cpus_free=worst.cpus,
            mem_needed_bytes=self.share.mem_bytes, mem_free_bytes=worst.mem_bytes,
            node=worst.name, nodes=nodes,
        )  # fmt: skip
        if self.gang is not None:
            facts["nodes_needed"], facts["nodes_free"] = self.gang.nodes, self.whole_free
        return facts


def seen_by(
    job: QueuedJob, spaces: Sequence[NodeSpace], view: ClusterView, policy: Policy, now: float
) -> Sequence[NodeSpace]:
    """Return these nodes as they are for one job: only its queue's GPUs, and none that are booked for others.

    Where a window is open for the job, and it lacks less inside, the node is what the window has of it.
    """
    ranking, windows = Ranking(policy, now, view.standing), Windows(view.bookings, now)
    seen = Pass(spaces, policy, now, ranking, windows).nodes_for(job)
    shape = Shape.of(job)
    own = [booking for booking in windows.open if job.gpus and booking.admits(job.user, job.account)]
    for inside in (Pass(spaces, policy, now, ranking, windows, booking).nodes_for(job) for booking in own):
        seen = [_better(shape, node, inside) for node in seen]
    return seen


def _better(shape: Shape, node: NodeSpace, inside: Sequence[NodeSpace]) -> NodeSpace:
    """Return what a window has of this node, where that is better for the shape."""
    same = (one for one in inside if one.position == node.position and one.can_hold(shape))
    return next((one for one in same if one.lacking(shape) <= node.lacking(shape)), node)


def nearest(shape: Shape, nodes: Sequence[NodeSpace], policy: Policy) -> Nearest | None:
    """Return where the shape lacks least of what runs now; None where too many GPUs take no work."""
    holding = [node for node in nodes if node.can_hold(shape)]
    if holding:
        space = min(holding, key=lambda node: (node.lacking(shape), node.position))
        return Nearest((space,), shape, None, 0)
    gang = gang_of(shape, nodes, policy)
    return None if gang is None else _nearest_gang(gang, nodes)


def nearest_if_open(
    shape: Shape, nodes: Sequence[NodeSpace], opened: Sequence[NodeSpace], policy: Policy, most: int = 1
) -> list[Nearest]:
    """Return so many places on which the fewest GPUs have to take work again, of a gang's one.

    `opened` are the nodes as they would be if all GPUs took work; nothing where even that would not do.
    """
    gang = None if any(node.can_hold(shape) for node in opened) else gang_of(shape, opened, policy)
    share = shape if gang is None else gang.share
    able = [pair for pair in zip(nodes, opened, strict=True) if pair[1].can_hold(share)]

    def cost(pair: tuple[NodeSpace, NodeSpace]) -> tuple[Lack, Lack, int]:
        node, space = pair
        asked = share if gang is None else gang.on(space)
        closed = missing(asked, len(node.usable), node.cpus_total, node.mem_total_bytes)
        return closed, node.lacking(asked), node.position

    chosen = [node for node, _ in nsmallest(most if gang is None else gang.nodes, able, key=cost)]
    if gang is None:
        return [Nearest((node,), shape, None, 0) for node in chosen]
    return [Nearest(tuple(chosen), share, gang, 0)]


def _nearest_gang(gang: Gang, nodes: Sequence[NodeSpace]) -> Nearest:
    able = [node for node in nodes if node.can_hold(gang.share)]
    chosen = nsmallest(gang.nodes, able, key=lambda node: (node.lacking(gang.on(node)), node.position))
    free = sum(node.lacking(gang.on(node)) == NOTHING for node in able)
    return Nearest(tuple(chosen), gang.on(chosen[-1]), gang, free)

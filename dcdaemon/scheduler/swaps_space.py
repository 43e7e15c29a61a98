"""Carries a swap out on the spaces of a pass: who goes, who comes, and what is free only once they have gone."""

from collections.abc import Collection, Sequence

from dcdaemon.core.plan import Part, Start, Swap
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.progress import Ledger
from dcdaemon.scheduler.space import Hold, NodeSpace
from dcdaemon.scheduler.swaps import Found


def make_room(found: Found, job: QueuedJob, nodes: Sequence[NodeSpace], ledger: Ledger, ranking: Ranking) -> Swap:
    """Give the GPUs of those that go to the job from now on; it starts when they have stopped.

    Of each node it takes their GPUs first, and then free ones. What it does not need of theirs they hold until then.
    """
    at = ranking.now + ledger.costs.stop_s
    needed = {node.position: count for node, count in found.places}
    taken = {node.position: _cleared(node, found.victims, needed.get(node.position, 0), at) for node in nodes}
    for node, _ in found.places:
        node.take(ledger.hold(job, taken[node.position], at, ranking.standing.expect))
    ranking.take(job)
    first, *others = [Part(node.name, taken[node.position]) for node, _ in found.places]
    return Swap(Start(job.id, first.node, first.gpus, also=tuple(others)), found.victims)


def _cleared(node: NodeSpace, victims: Collection[int], needed: int, at: float) -> tuple[int, ...]:
    """Return the GPUs that the job takes here; the others that become free are held until then."""
    leaving = [hold for hold in node.holds if hold.job_id in victims]
    theirs = [gpu for hold in leaving for gpu in hold.gpus]
    chosen = (*theirs, *node.free)[:needed]
    for hold in leaving:
        node.give_back(hold.job_id)
    for hold in leaving:
        rest = tuple(gpu for gpu in hold.gpus if gpu not in chosen)
        if rest:
            node.take(Hold(hold.job_id, rest, 0, 0, at))
    return tuple(sorted(chosen))

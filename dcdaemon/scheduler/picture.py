"""One decision and what it was made from, to be asked about single jobs."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

from dcdaemon.core.plan import Reservation, Start
from dcdaemon.core.reasons import Reason
from dcdaemon.core.view import ClusterView, GpuSlot, QueuedJob
from dcdaemon.scheduler.ahead import Key
from dcdaemon.scheduler.capacity import blocked_of, check_fits
from dcdaemon.scheduler.caps import Over, Tally
from dcdaemon.scheduler.cycle import pass_on
from dcdaemon.scheduler.nearest import Nearest, nearest, nearest_if_open, seen_by
from dcdaemon.scheduler.order import Ranking
from dcdaemon.scheduler.placement import place
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.reserve import Guard
from dcdaemon.scheduler.shape import Demand, Shape
from dcdaemon.scheduler.space import NodeSpace, spaces_of
from dcdaemon.scheduler.whatif import all_open


class Picture:
    """A pass that was made, beside the nodes as they were before it."""

    def __init__(self, view: ClusterView, queue: QueueIndex, policy: Policy, now: float) -> None:
        self.view, self.queue, self.policy, self.now = view, queue, policy, now
        self.nodes = spaces_of(view)
        self.made = pass_on(spaces_of(view), queue, policy, now, view.standing, Tally.of(view), view.bookings)
        self.plan = self.made.plan
        self.starts: dict[int, Start] = {start.job_id: start for start in self.plan.starts}
        # Of two places that are kept for a job, inside of a window and outside, the earlier one counts.
        kept_last = sorted(self.plan.reservations, key=lambda kept: -math.inf if kept.at is None else -kept.at)
        self.kept_for: dict[int, Reservation] = {kept.job_id: kept for kept in kept_last}
        self.tally = Tally.of(view)
        self.ranking = Ranking(policy, now, view.standing, self.tally, self.nodes)
        queue.line_up(self.ranking)
        self._nearest: dict[object, Nearest | None] = {}
        self._never_fits: dict[tuple[Demand, str], Reason | None] = {}
        self._starting: list[tuple[Key, QueuedJob]] | None = None

    def seen_by(self, job: QueuedJob) -> Sequence[NodeSpace]:
        """Return the nodes as they were for this job before anything started."""
        return seen_by(job, self.nodes, self.view, self.policy, self.now)

    def never_fits(self, job: QueuedJob) -> Reason | None:
        """Return why the job can never run here, None when it can; found once a demand."""
        key = (Shape.of(job).demand, job.queue)
        if key not in self._never_fits:
            self._never_fits[key] = check_fits(job, self.view.nodes, job.id, self.policy, job.queue)
        never = self._never_fits[key]
        return None if never is None else replace(never, job_id=job.id)

    def nearest(self, job: QueuedJob) -> Nearest | None:
        """Return where the job lacked least, None where too many GPUs take no work; found once a demand."""
        shape = Shape.of(job)
        owner = (job.user, job.account, job.limit_s) if self.view.bookings else None
        key = (shape.demand, job.queue, owner)
        if key not in self._nearest:
            self._nearest[key] = nearest(shape, self.seen_by(job), self.policy)
        return self._nearest[key]

    def nearest_if_open(self, job: QueuedJob) -> Nearest:
        """Return where the fewest GPUs have to take work again for a job that could run if all did."""
        opened = seen_by(job, spaces_of(all_open(self.view)), self.view, self.policy, self.now)
        return nearest_if_open(Shape.of(job), self.seen_by(job), opened, self.policy)[0]

    def blocked(self, job: QueuedJob, space: NodeSpace) -> list[GpuSlot]:
        """Return the GPUs of a node that the job could have and that take no work."""
        gpus = self.policy.gpus_of(job.queue)
        blocked = blocked_of(self.view.nodes[space.position])
        # A GPU that is cut is no whole one, whatever becomes of it.
        possible = blocked if job.gpu_mem_bytes is not None else [slot for slot in blocked if slot.instances is None]
        return [slot for slot in possible if gpus is None or slot.index in gpus]

    def refusing(self, job: QueuedJob) -> Over | None:
        """Return the limit that refused the job when its turn came: by what ran, and what had started before it."""
        left = self.made.ranking.tally
        last = left.refusing(job) if job.caps and job.id not in self.kept_for else None
        if last is None:
            return None
        tally = self.tally.copy()
        for other in self.starting_before(job):
            tally.take(other)
        over = tally.refusing(job)
        if over is None and (left.is_kept(last.key) or self._has_room_left(job)):
            return last
        return over

    def starting_before(self, job: QueuedJob) -> list[QueuedJob]:
        """Return the jobs that start in this very pass and go before this one, in order."""
        if self._starting is None:
            jobs = (self.queue.get(job_id) for job_id in self.starts)
            self._starting = sorted((Key.of(other, self.ranking), other) for other in jobs if other is not None)
        first = bisect_left(self._starting, Key.of(job, self.ranking), key=itemgetter(0))
        return [other for _, other in self._starting[:first]]

    def keeper(self, job: QueuedJob) -> Guard | None:
        """Return who keeps the job off a node on which it had room at the end of the pass, None when nobody does."""
        near, shape = self.nearest(job), Shape.of(job)
        if near is None:
            return None
        guards, seen = self.made.guards, {node.position: node for node in self.made.nodes_for(job)}
        for node in (seen[position] for position in guards.on if position in seen):
            # What is nearest is found once for jobs of all lengths.
            share = near.share_on(node)._replace(limit_s=shape.limit_s, predicted_s=shape.predicted_s)
            guard = guards.barring(share, node) if node.has_room(share) else None
            if guard is not None and guard.reservation.job_id != job.id:
                return guard
        return None

    def _has_room_left(self, job: QueuedJob) -> bool:
        return place(Shape.of(job), self.made.nodes_for(job), self.policy, self.made.guards) is not None

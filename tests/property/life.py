"""One life of a cluster under plan(): what happens in it, and what has to hold of every decision."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from worlds import MINUTE, NOW, begun, known, parts

from dcdaemon.core.plan import Plan, Reservation, Start
from dcdaemon.core.view import ClusterView, GpuBlock, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.ahead import Key, Line
from dcdaemon.scheduler.caps import Cap, Tally
from dcdaemon.scheduler.cycle import pass_on, plan
from dcdaemon.scheduler.gang import could_hold
from dcdaemon.scheduler.group import shape_of
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.order import OVERDUE, Ranking
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of


@dataclass(frozen=True, slots=True)
class Running:
    """A job on its nodes, and when it really ends: never after its limit."""

    job: QueuedJob
    parts: tuple[RunningJob, ...]
    ends_at: float


def before_in_tier(job: QueuedJob, other: QueuedJob, policy: Policy) -> bool:
    """Say whether a job goes before another whatever that one was promised: by its priority, or its queue's tier."""
    return (-job.priority, -policy.tier_of(job.queue)) < (-other.priority, -policy.tier_of(other.queue))


def blocked(node: NodeView, gpu: int | None) -> NodeView:
    """Return the node with this GPU drained and no other one changed; with none all take work."""
    gpus = (
        replace(slot, blocked=GpuBlock.DRAINED if slot.index == gpu else slot.blocked if gpu is not None else None)
        for slot in node.gpus
    )
    return replace(node, gpus=tuple(gpus))


class Life:
    """Jobs that wait, run and are over; what was kept for whom is carried from plan to plan, as a daemon carries it."""

    def __init__(self, policy: Policy, machines: tuple[NodeView, ...], caps) -> None:
        self.policy, self.machines, self.now = policy, machines, NOW
        self.caps = dict(caps)
        self.memory = Memory([len(node.gpus) for node in machines], policy)
        self.lost: set[str] = set()
        self.runs: dict[int, float] = {}
        self.waiting: dict[int, QueuedJob] = {}
        self.running: dict[int, Running] = {}
        self.done: set[int] = set()
        #: When jobs were promised to start at the latest.
        self.promised: dict[int, float] = {}

    def view(self) -> ClusterView:
        there = tuple(node for node in self.machines if node.name not in self.lost)
        held = tuple(part for each in self.running.values() for part in each.parts)
        return ClusterView(there, held, self.caps, self.memory.standing(self.now))

    def pick(self, place: int) -> QueuedJob | None:
        return list(self.waiting.values())[place % len(self.waiting)] if self.waiting else None

    def submit(self, wish: QueuedJob, run_s: float, caps) -> None:
        """Queue a job that would run so long, if its limit lets it."""
        number = len(self.runs) + 1
        self.runs[number] = run_s if wish.limit_s is None else min(run_s, wish.limit_s)
        job = replace(wish, id=number, sequence=number, queued_at=self.now)
        self.waiting[number] = replace(job, caps=caps(job))
        self.forget_promises(below=job)
        self.memory.queued(self.waiting[number], self.now)

    def live_on(self, until: float) -> None:
        """Let jobs end, and decide after every end."""
        while (ends_at := min((each.ends_at for each in self.running.values()), default=until)) < until:
            self.now = max(self.now, ends_at)
            for number, each in list(self.running.items()):
                if each.ends_at <= self.now:
                    self.end(number, each)
            self.carry_out(self.decide(), frozenset())
        self.now = until

    def end(self, number: int, run: Running) -> None:
        del self.running[number]
        self.done.add(number)
        self.memory.ended(number, run.ends_at - (run.parts[0].started_at or 0.0), self.now)

    def carry_out(self, decided: Plan, refused: Collection[int]) -> None:
        for number, start in enumerate(decided.starts):
            if number in refused:
                self.forget_promises()
            else:
                self.start(start)

    def decide(self) -> Plan:
        view, queue = self.view(), QueueIndex(self.waiting.values())
        decided = plan(view, queue, self.policy, self.now)
        assert plan(view, QueueIndex(reversed(self.waiting.values())), self.policy, self.now) == decided
        ranking = Line.of(view, queue, self.policy, self.now).ranking
        # As it stands at the end of the pass: what starts may bring others beyond their limits and quotas.
        left = pass_on(spaces_of(view), queue, self.policy, self.now, view.standing, Tally.of(view)).ranking
        self.check_starts(view, decided)
        self.check_caps(view, decided)
        self.check_promises(decided, ranking)
        self.check_the_overdue(view, decided, ranking, left)
        self.forget_promises_beyond_limits(left)
        self.memory.keep(decided)
        return decided

    def start(self, start: Start) -> None:
        job = self.waiting.pop(start.job_id)
        entries = tuple(begun(self.view(), {job.id: job}, (start,), self.policy, self.now))
        self.running[job.id] = Running(job, entries, self.now + self.runs[job.id])
        self.memory.started(job.id, self.now)
        at = self.promised.pop(job.id, None)
        assert at is None or self.now <= at, "a promised start has slipped"
        self.forget_promises(below=job)

    def check_starts(self, view: ClusterView, decided: Plan) -> None:
        """Assert that every start is of a ready job, once, on free GPUs that it may have."""
        assert len({start.job_id for start in decided.starts}) == len(decided.starts)
        free = {space.name: set(space.free) for space in spaces_of(view)}
        for start in decided.starts:
            job = self.waiting[start.job_id]
            allowed = self.policy.gpus_of(job.queue)
            assert is_ready(job)
            for node, gpus in parts(start):
                assert free[node].issuperset(gpus)
                assert allowed is None or allowed.issuperset(gpus)
                free[node] -= set(gpus)
            given = sum(len(part.gpus) for part in parts(start))
            assert given >= job.gpus if start.also else given == job.gpus

    def check_caps(self, view: ClusterView, decided: Plan) -> None:
        """Assert that no start breaks a cap, quotas excepted: these only say who comes last."""
        tally = Tally.of(view)
        for start in decided.starts:
            job = self.waiting[start.job_id]
            assert tally.refusing(job) is None
            tally.take(job)
        assert all(
            tally.used(key) <= max(most, Tally.of(view).used(key))
            for key, most in self.caps.items()
            if key[0] != Cap.QUOTA
        )

    def check_promises(self, decided: Plan, ranking: Ranking) -> None:
        """Assert that what starts on GPUs that are kept for another job is over in time, or goes before that job.

        In time by its limit; only where nothing was promised, a safe guess will do, too. (Guesses count by classes.)
        """
        for kept in decided.reservations:
            owner = self.waiting[kept.job_id]
            starts_at = known(kept.at if kept.expected_at is None else kept.expected_at)
            pinned = {(node, gpu) for node, gpus in parts(kept) for gpu in gpus}
            for start in decided.starts:
                job = self.waiting[start.job_id]
                if pinned.isdisjoint((node, gpu) for node, gpus in parts(start) for gpu in gpus):
                    continue
                in_time = job.limit_s is not None and self.now + job.limit_s <= starts_at
                if not kept.promised and None not in {self.policy.safety, job.predicted_s}:
                    in_time = in_time or self.now + self.policy.safety * shape_of(job).predicted_s <= starts_at
                moved = not kept.promised and (ranking.moves(job) or ranking.moves(owner))
                assert in_time or moved or Key.of(job, ranking) < Key.of(owner, ranking)
            if kept.promised:
                self.note_promise(kept)

    def note_promise(self, kept: Reservation) -> None:
        """Remember the latest start that was promised, and assert that it is not put off.

        A promise does not hold out against jobs of a higher priority or tier, and some are made without a known time.
        """
        owner = self.waiting[kept.job_id]
        if kept.at is None or any(before_in_tier(other, owner, self.policy) for other in self.waiting.values()):
            self.promised.pop(kept.job_id, None)
            return
        before = self.promised.get(kept.job_id)
        assert before is None or kept.at <= before, "a promised start was put off"
        self.promised[kept.job_id] = kept.at

    def check_the_overdue(self, view: ClusterView, decided: Plan, ranking: Ranking, left: Ranking) -> None:
        """Assert that for the first of the overdue, if it has to wait, what it needs is kept from plan to plan.

        With the above: a job that has waited longer than anyone should loses none of it to younger ones of its
        priority, except for a time that ends before it can start anyway.
        """
        if not self.policy.backfill or view.bookings:
            return
        started, spaces = {start.job_id for start in decided.starts}, spaces_of(view)
        overdue = [job for job in self.waiting.values() if is_ready(job) and left.rank_of(job).line == OVERDUE]
        holdable = (job for job in overdue if could_hold(Shape.of(job), self.seen(job, spaces), self.policy))
        waiting = [job for job in holdable if job.id not in started and left.tally.allows(job)]
        if not waiting:
            return
        first = min(waiting, key=lambda job: Key.of(job, ranking))
        before = [
            kept for kept in decided.reservations if Key.of(self.waiting[kept.job_id], ranking) < Key.of(first, ranking)
        ]
        # What is kept for a job of a higher priority may be all there is.
        assert before or first.id in {kept.job_id for kept in decided.sticky}

    def seen(self, job: QueuedJob, spaces):
        gpus = self.policy.gpus_of(job.queue)
        return spaces if gpus is None else [space.only(gpus) for space in spaces]

    def forget_promises(self, below: QueuedJob | None = None) -> None:
        """Count on no promise made so far: something happened that none holds out against.

        Such as a job that goes before whatever was promised `below` it, by its priority or its queue's tier.
        """
        for job_id in list(self.promised):
            other = self.waiting.get(job_id)
            if below is None or other is None or before_in_tier(below, other, self.policy):
                del self.promised[job_id]

    def forget_promises_beyond_limits(self, left: Ranking) -> None:
        """Count on no promise to a job that a limit refuses now: others of its owner may have more urgent claims."""
        for job_id in list(self.promised):
            job = self.waiting.get(job_id)
            if job is None or not left.tally.allows(job) or left.is_beyond(job):
                del self.promised[job_id]

    def lose(self, name: str) -> None:
        """What ran there goes back to the queue."""
        self.lost.add(name)
        for number, each in list(self.running.items()):
            if any(part.node == name for part in each.parts):
                self.waiting[number] = replace(self.running.pop(number).job, queued_at=self.now)

    def repair(self) -> None:
        self.lost.clear()
        self.machines = tuple(blocked(node, None) for node in self.machines)

    def cancel(self, job: QueuedJob) -> None:
        del self.waiting[job.id]
        self.done.add(job.id)
        self.memory.left(job.id, self.now)

    def check_books(self) -> None:
        """Assert that no job is lost or in two places, and no GPU in two jobs."""
        assert sorted([*self.waiting, *self.running, *self.done]) == sorted(self.runs)
        for node in self.machines:
            here = [part for each in self.running.values() for part in each.parts if part.node == node.name]
            held = [gpu for part in here for gpu in part.gpus]
            assert len(held) == len(set(held))
            assert sum(part.cpus for part in here) <= node.cpus

    def live_to_the_end(self) -> None:
        """Repair, release and unlimit all, let nobody come any more, and assert that every job gets its turn."""
        self.repair()
        self.caps.clear()
        self.forget_promises()
        self.waiting = {number: replace(job, held=False) for number, job in self.waiting.items()}
        for _ in range(4 * len(self.runs) + 4):
            self.carry_out(self.decide(), frozenset())
            self.live_on(self.now + 200 * MINUTE)
        left, spaces = self.waiting.values(), spaces_of(self.view())
        assert not [job for job in left if could_hold(Shape.of(job), self.seen(job, spaces), self.policy)]

"""Whole lives of a cluster under plan(): what holds whatever comes, ends, is refused, lost, drained or moved.

What was promised and what people had to wait for is carried from plan to plan, as the daemon carries it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from worlds import (
    CAPS,
    MINUTE,
    NOW,
    OWNERS,
    QUEUES,
    begun,
    caps_of,
    known,
    lengths,
    nodes,
    parts,
    policies,
    predictions,
)

from dcdaemon.core.plan import Plan, Reservation, Start
from dcdaemon.core.view import ClusterView, GpuBlock, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.ahead import Key, Line
from dcdaemon.scheduler.caps import Cap, Tally
from dcdaemon.scheduler.cycle import pass_on, plan
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.gang import could_hold
from dcdaemon.scheduler.group import shape_of
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.order import OVERDUE, Ranking
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import apply

places = st.integers(0, 40)


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


@st.composite
def wishes(draw):
    """A job that has no number yet, and how long it would run."""
    account, user = draw(st.sampled_from(OWNERS))
    gpus = draw(st.sampled_from([0, 1, 1, 2, 3, 4, 4, 7]))
    job = QueuedJob(
        0, 0, draw(st.sampled_from([50, 50, 50, 80])), gpus, draw(st.integers(0, 1)), 0, draw(lengths),
        predicted_s=draw(predictions), user=user, account=account, queue=draw(st.sampled_from(QUEUES)),
    )  # fmt: skip
    return job, draw(st.sampled_from([MINUTE, 10 * MINUTE, 60 * MINUTE, 300 * MINUTE]))


class Life(RuleBasedStateMachine):
    """A cluster, its users, its operators and its accidents."""

    @initialize(policy=policies(), machines=nodes(blocks=False), caps=st.sets(st.sampled_from(sorted(CAPS))))
    def begin(self, *, policy, machines, caps):
        self.policy, self.machines, self.now = policy, machines, NOW
        self.caps = {key: CAPS[key][-1] for key in sorted(caps)}
        self.memory = Memory([len(node.gpus) for node in machines], policy)
        self.lost: set[str] = set()
        self.runs: dict[int, float] = {}
        self.waiting: dict[int, QueuedJob] = {}
        self.running: dict[int, Running] = {}
        self.done: set[int] = set()
        self.promised: dict[int, float] = {}

    def view(self) -> ClusterView:
        there = tuple(node for node in self.machines if node.name not in self.lost)
        held = tuple(part for each in self.running.values() for part in each.parts)
        return ClusterView(there, held, self.caps, self.memory.standing(self.now))

    def pick(self, place: int) -> QueuedJob | None:
        return list(self.waiting.values())[place % len(self.waiting)] if self.waiting else None

    @rule(wishes=st.lists(wishes(), min_size=1, max_size=4))
    def submit(self, wishes):
        for wish, run_s in wishes:
            number = len(self.runs) + 1
            self.runs[number] = run_s if wish.limit_s is None else min(run_s, wish.limit_s)
            job = replace(wish, id=number, sequence=number, queued_at=self.now)
            self.waiting[number] = replace(job, caps=caps_of(job))
            self.forget_promises(below=job)
            self.memory.queued(self.waiting[number], self.now)
        self.carry_out(self.decide(), frozenset())

    @rule(minutes=st.sampled_from([1, 10, 61, 200]))
    def pass_time(self, minutes):
        self.live_on(self.now + minutes * MINUTE)

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

    @rule(refused=st.sets(st.integers(0, 5)))
    def conduct(self, refused):
        """Decide, and carry out some of it: whatever the applier refuses waits on."""
        self.carry_out(self.decide(), refused)

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
        self.check_starts(view, decided)
        self.check_caps(view, decided)
        self.check_promises(decided, ranking)
        self.check_the_overdue(view, decided, ranking)
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
                assert in_time or Key.of(job, ranking) < Key.of(owner, ranking)
            if kept.promised:
                self.note_promise(kept)

    def note_promise(self, kept: Reservation) -> None:
        if kept.at is None:
            return
        before = self.promised.get(kept.job_id)
        assert before is None or kept.at <= before, "a promised start was put off"
        self.promised[kept.job_id] = kept.at

    def check_the_overdue(self, view: ClusterView, decided: Plan, ranking: Ranking) -> None:
        """Assert that for the first of the overdue, if it has to wait, what it needs is kept from plan to plan.

        With the above: a job that has waited longer than anyone should loses none of it to younger ones of its
        priority, except for a time that ends before it can start anyway.
        """
        if not self.policy.backfill or view.bookings:
            return
        started, spaces = {start.job_id for start in decided.starts}, spaces_of(view)
        queue = QueueIndex(self.waiting.values())
        left = pass_on(spaces_of(view), queue, self.policy, self.now, view.standing, Tally.of(view)).ranking.tally
        overdue = [job for job in self.waiting.values() if is_ready(job) and ranking.rank_of(job).line == OVERDUE]
        holdable = (job for job in overdue if could_hold(Shape.of(job), self.seen(job, spaces), self.policy))
        waiting = [job for job in holdable if job.id not in started and left.allows(job)]
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

    @rule(place=places, what=st.sampled_from(["raise", "lower", "hold", "release", "cancel"]))
    def meddle(self, place, what):
        """An operator or an owner changes a waiting job."""
        job = self.pick(place)
        if job is None:
            return
        if what == "cancel":
            del self.waiting[job.id]
            self.done.add(job.id)
            self.memory.left(job.id, self.now)
        elif what in {"raise", "lower"}:
            self.waiting[job.id] = replace(job, priority=90 if what == "raise" else 10)
        else:
            self.waiting[job.id] = replace(job, held=what == "hold")
        self.forget_promises()

    @rule(place=places, gpu=st.integers(0, 3), what=st.sampled_from(["lose", "drain", "repair"]))
    def break_something(self, place, gpu, what):
        """A node is lost with what runs there, or a GPU is drained; or all nodes are back and all GPUs in order."""
        chosen = self.machines[place % len(self.machines)].name
        if what == "lose":
            self.lose(chosen)
        elif what == "drain":
            self.machines = tuple(blocked(node, gpu) if node.name == chosen else node for node in self.machines)
        else:
            self.repair()
        self.forget_promises()

    def lose(self, name: str) -> None:
        """What ran there goes back to the queue."""
        self.lost.add(name)
        for number, each in list(self.running.items()):
            if any(part.node == name for part in each.parts):
                self.waiting[number] = replace(self.running.pop(number).job, queued_at=self.now)

    def repair(self) -> None:
        self.lost.clear()
        self.machines = tuple(blocked(node, None) for node in self.machines)

    @rule(key=st.sampled_from(sorted(CAPS)), most=st.sampled_from([None, 1, 3, 6]))
    def limit(self, key, most):
        self.caps.pop(key, None)
        if most is not None:
            self.caps[key] = most
        self.forget_promises()

    @rule(place=places)
    def ask_why(self, place):
        job = self.pick(place)
        if job is None:
            return
        view, queue = self.view(), QueueIndex(self.waiting.values())
        if not view.nodes:
            return
        reason = explain(view, queue, self.policy, self.now, job.id)
        if reason.code.value != "never_fits":
            then = plan(*apply(view, queue, reason.unblock, job.id), self.policy, self.now)
            assert job.id in {start.job_id for start in then.starts}

    @invariant()
    def every_job_is_somewhere_and_nowhere_twice(self):
        if not hasattr(self, "runs"):
            return
        everywhere = [*self.waiting, *self.running, *self.done]
        assert sorted(everywhere) == sorted(self.runs)

    @invariant()
    def no_gpu_is_in_two_jobs_and_no_node_is_overfull(self):
        for node in getattr(self, "machines", ()):
            here = [part for each in self.running.values() for part in each.parts if part.node == node.name]
            held = [gpu for part in here for gpu in part.gpus]
            assert len(held) == len(set(held))
            assert sum(part.cpus for part in here) <= node.cpus

    def teardown(self):
        """In the end all is repaired, released and unlimited, nobody comes any more, and every job gets its turn."""
        if not hasattr(self, "runs"):
            return
        self.repair()
        self.caps.clear()
        self.forget_promises()
        self.waiting = {number: replace(job, held=False) for number, job in self.waiting.items()}
        for _ in range(4 * len(self.runs) + 4):
            self.carry_out(self.decide(), frozenset())
            self.live_on(self.now + 200 * MINUTE)
        spaces = spaces_of(self.view())
        left = self.waiting.values()
        assert not [job for job in left if could_hold(Shape.of(job), self.seen(job, spaces), self.policy)]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

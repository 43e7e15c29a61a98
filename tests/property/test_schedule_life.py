"""Whole lives of a cluster under plan(): what holds whatever comes, ends, is refused, lost, drained or moved.

What holds of each decision is asserted in life.py: decide() and what it calls.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from life import Life, blocked
from worlds import CAPS, MINUTE, OWNERS, QUEUES, caps_of, deadlines, due_at, lengths, nodes, policies, predictions

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.whatif import apply

places = st.integers(0, 40)


@st.composite
def wishes(draw):
    """A job that has no number yet, and how long it would run."""
    account, user = draw(st.sampled_from(OWNERS))
    gpus = draw(st.sampled_from([0, 1, 1, 2, 3, 4, 4, 7]))
    job = QueuedJob(
        0, 0, draw(st.sampled_from([50, 50, 50, 80])), gpus, draw(st.integers(0, 1)), 0, draw(lengths),
        predicted_s=draw(predictions), user=user, account=account, queue=draw(st.sampled_from(QUEUES)),
        deadline_at=due_at(draw(deadlines)),
    )  # fmt: skip
    return job, draw(st.sampled_from([MINUTE, 10 * MINUTE, 60 * MINUTE, 300 * MINUTE]))


class QuietLife(RuleBasedStateMachine):
    """Jobs come and end, and nothing goes wrong: so all that is promised has to be kept."""

    life: Life | None = None

    @initialize(
        machines=nodes(blocks=False), gangs=st.booleans(), safety=st.sampled_from([None, 1.0, 4.0]),
        order=st.sampled_from([Order.SHORTEST, Order.DEADLINE]),
    )  # fmt: skip
    def begin(self, *, machines, gangs, safety, order):
        self.life = Life(Policy(order, gangs=gangs, safety=safety), machines, {})

    @rule(jobs=st.lists(wishes(), min_size=1, max_size=4))
    def submit(self, jobs):
        for wish, run_s in jobs:
            self.life.submit(wish, run_s, caps_of)
        self.life.carry_out(self.life.decide(), frozenset())

    @rule(minutes=st.sampled_from([1, 10, 61, 200]))
    def pass_time(self, minutes):
        self.life.live_on(self.life.now + minutes * MINUTE)

    @invariant()
    @precondition(lambda self: self.life is not None)
    def the_books_are_right(self):
        self.life.check_books()

    def teardown(self):
        if self.life is not None:
            self.life.live_to_the_end()


class RoughLife(QuietLife):
    """Any policy and limits; operators, owners and accidents interfere, starts are refused, and people ask why."""

    @initialize(policy=policies(), machines=nodes(blocks=False), caps=st.sets(st.sampled_from(sorted(CAPS))))
    def begin(self, *, policy, machines, caps):
        self.life = Life(policy, machines, {key: CAPS[key][-1] for key in sorted(caps)})

    @rule(refused=st.sets(st.integers(0, 5)))
    def conduct(self, refused):
        """Decide, and carry out some of it: whatever the applier refuses waits on."""
        self.life.carry_out(self.life.decide(), refused)

    @rule(place=places, what=st.sampled_from(["raise", "lower", "hold", "release", "cancel"]))
    def meddle(self, place, what):
        """An operator or an owner changes a waiting job."""
        job = self.life.pick(place)
        if job is None:
            return
        if what == "cancel":
            self.life.cancel(job)
        elif what in {"raise", "lower"}:
            self.life.waiting[job.id] = replace(job, priority=90 if what == "raise" else 10)
        else:
            self.life.waiting[job.id] = replace(job, held=what == "hold")
        self.life.forget_promises()

    @rule(place=places, gpu=st.integers(0, 3), what=st.sampled_from(["lose", "drain", "repair"]))
    def break_something(self, place, gpu, what):
        """A node is lost with what runs there, or a GPU is drained; or all nodes are back and all GPUs in order."""
        life = self.life
        chosen = life.machines[place % len(life.machines)].name
        if what == "lose":
            life.lose(chosen)
        elif what == "drain":
            life.machines = tuple(blocked(node, gpu) if node.name == chosen else node for node in life.machines)
        else:
            life.repair()
        life.forget_promises()

    @rule(key=st.sampled_from(sorted(CAPS)), most=st.sampled_from([None, 1, 3, 6]))
    def limit(self, key, most):
        self.life.caps.pop(key, None)
        if most is not None:
            self.life.caps[key] = most
        self.life.forget_promises()

    @rule(place=places)
    def ask_why(self, place):
        life, job = self.life, self.life.pick(place)
        view, queue = life.view(), QueueIndex(life.waiting.values())
        if job is None or not view.nodes:
            return
        reason = explain(view, queue, life.policy, life.now, job.id)
        if reason.code.value != "never_fits":
            then = plan(*apply(view, queue, reason.unblock, job.id), life.policy, life.now)
            assert job.id in {start.job_id for start in then.starts}


TestQuietLife = QuietLife.TestCase
TestQuietLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestRoughLife = RoughLife.TestCase
TestRoughLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

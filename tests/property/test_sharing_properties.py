"""What must hold over a long life of a shared cluster: shares come out as promised, limits hold, nobody starves."""

import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.plan import Plan
from dcdaemon.core.view import CapKey, ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob, Standing
from dcdaemon.scheduler.caps import Cap, Tally
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.fair_share import AHEAD_S, FairShare, Payer, Use, used_now
from dcdaemon.scheduler.policy import Order, Policy, Weights
from dcdaemon.scheduler.queue import QueueIndex

HOUR_S = 3600.0


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  no secret


@dataclass
class Life:
    """A cluster in virtual time on which every payer always has some jobs waiting."""

    policy: Policy
    payers: list[Payer]
    dice: random.Random
    gpus: int = 8
    waiting_each: int = 3
    widths: tuple[int, ...] = (1,)
    hours: dict[Payer, tuple[float, float]] = field(default_factory=dict)
    caps: dict[CapKey, int] = field(default_factory=dict)
    keys: dict[Payer, tuple[CapKey, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = 1e6
        self.queue = QueueIndex()
        self.running: dict[int, tuple[float, RunningJob]] = {}
        self.shares = FairShare(24 * HOUR_S)
        self.had_s: defaultdict[Payer, float] = defaultdict(float)
        self.last_id = 0
        self.longest_wait_s = 0.0

    def submit(self, payer: Payer) -> None:
        self.last_id += 1
        account, user = payer
        job = QueuedJob(
            self.last_id, self.last_id, 50, self.dice.choice(self.widths), 0, 0, None, queued_at=self.now,
            user=user, account=account, caps=self.keys.get(payer, ()),
        )  # fmt: skip
        self.queue.add(job)

    def view(self) -> ClusterView:
        running = tuple(job for _, job in self.running.values())
        uses = [Use((job.account, job.user), len(job.gpus), job.started_at or 0.0) for job in running]
        standing = Standing(shares_used=used_now(self.shares, uses, self.now, AHEAD_S))
        node = NodeView("n1", 0, 0, tuple(GpuSlot(index) for index in range(self.gpus)))
        return ClusterView((node,), running, self.caps, standing)

    def step(self) -> None:
        """Top up the queue, start what the plan starts, and go on to the next end."""
        for payer in self.payers:
            waiting = sum((job.account, job.user) == payer for job in self.queue)
            for _ in range(self.waiting_each - waiting):
                self.submit(payer)
        for start in plan(self.view(), self.queue, self.policy, self.now).starts:
            job = self.queue.remove(start.job_id)
            self.longest_wait_s = max(self.longest_wait_s, self.now - job.queued_at)
            low, high = self.hours.get((job.account, job.user), (1.0, 1.0))
            run = RunningJob(
                job.id, "n1", start.gpus, 0, 0, None, started_at=self.now, user=job.user, account=job.account,
                caps=job.caps,
            )  # fmt: skip
            self.running[job.id] = (self.now + self.dice.uniform(low, high) * HOUR_S, run)
        if not self.running:
            self.now += HOUR_S
            return
        ends_at, job_id = min((ends_at, job_id) for job_id, (ends_at, _) in self.running.items())
        self.now = ends_at
        _, run = self.running.pop(job_id)
        payer = (run.account, run.user)
        self.shares.charge(payer, len(run.gpus), run.started_at or 0.0, self.now)
        self.had_s[payer] += len(run.gpus) * (self.now - (run.started_at or 0.0))


def lived(life: Life, days: float) -> dict[Payer, float]:
    end = life.now + days * 24 * HOUR_S
    while life.now < end:
        life.step()
    return dict(life.had_s)


FAIR = Policy(order=Order.FAIR_SHARE)
SEEDS = st.integers(0, 2**32)


@settings(max_examples=8)
@given(seed=SEEDS)
def test_two_hungry_users_of_equal_shares_get_equal_gpu_time(seed):
    """Within 5 % over 20 days, although one submits jobs of minutes and the other of half days."""
    ada, bob = ("", "ada"), ("", "bob")
    had_s = lived(Life(FAIR, [ada, bob], dice_of(seed), hours={ada: (0.1, 1.0), bob: (2.0, 12.0)}), 20)
    assert had_s[ada] == pytest.approx(had_s[bob], rel=0.05)


@settings(max_examples=8)
@given(seed=SEEDS)
def test_a_user_of_double_shares_gets_double(seed):
    """Within 8 % over 20 days."""
    ada, bob = ("", "ada"), ("", "bob")
    policy = Policy(order=Order.FAIR_SHARE, weights=Weights(users={"ada": 2.0}))
    had_s = lived(Life(policy, [ada, bob], dice_of(seed), hours={ada: (0.5, 6.0), bob: (0.5, 6.0)}), 20)
    assert had_s[ada] == pytest.approx(2 * had_s[bob], rel=0.08)


@settings(max_examples=8)
@given(seed=SEEDS)
def test_accounts_share_first_and_then_their_users(seed):
    """An account of many users gets no more than one of one user; within 8 % over 20 days, the users within 15 %."""
    vision = [("vision", name) for name in ("ada", "bob", "cy")]
    dan = ("speech", "dan")
    life = Life(FAIR, [*vision, dan], dice_of(seed), gpus=12, hours=dict.fromkeys([*vision, dan], (0.5, 4.0)))
    had_s = lived(life, 20)
    assert sum(had_s[payer] for payer in vision) == pytest.approx(had_s[dan], rel=0.08)
    for payer in vision:
        assert had_s[payer] == pytest.approx(had_s[dan] / 3, rel=0.15)


@settings(max_examples=8)
@given(seed=SEEDS)
def test_jobs_of_all_widths_share_alike_and_the_wide_ones_start(seed):
    """One user submits jobs of 1, 2 and 8 GPUs on 8, the other of 1 alone; within 20 % over 20 days."""
    ada, bob = ("", "ada"), ("", "bob")
    life = Life(FAIR, [ada, bob], dice_of(seed), hours={ada: (1.0, 3.0), bob: (0.5, 3.0)}, widths=(1, 2, 8))
    had_s = lived(life, 20)
    assert had_s[ada] == pytest.approx(had_s[bob], rel=0.2)
    assert life.longest_wait_s < 24 * HOUR_S


LIMITS = st.integers(0, 6)


@settings(max_examples=60)
@given(seed=SEEDS, user=LIMITS, queue=LIMITS, jobs=LIMITS, quota=LIMITS, order=st.sampled_from(Order))
def test_caps_hold_at_every_moment_and_beyond_a_quota_nobody_passes_who_is_within(
    seed, user, queue, jobs, quota, order
):
    ada, bob = ("", "ada"), ("", "bob")
    keys = {
        ada: ((Cap.USER, "ada"), (Cap.QUEUE, "main"), (Cap.QUEUE_JOBS, "main/ada"), (Cap.QUOTA, "user/ada")),
        bob: ((Cap.QUEUE, "main"),),
    }
    caps = {
        (Cap.USER, "ada"): user, (Cap.QUEUE, "main"): queue + 1, (Cap.QUEUE_JOBS, "main/ada"): jobs,
        (Cap.QUOTA, "user/ada"): quota,
    }  # fmt: skip
    life = Life(Policy(order=order), [ada, bob], dice_of(seed), caps=caps, keys=keys, widths=(1, 1, 2, 3))
    for _ in range(60):
        before = life.view()
        made, tally, on_loan = plan(before, life.queue.copy(), life.policy, life.now), Tally.of(before), []
        for start in made.starts:
            job = life.queue.get(start.job_id)
            assert job is not None
            assert tally.allows(job)
            on_loan += [job.id] if tally.beyond(job) else []
            tally.take(job)
        without = plan(before, life.queue.without(on_loan), life.policy, life.now)
        assert starts_of(bob, without, life.queue) == starts_of(bob, made, life.queue), "nobody within lost a GPU"
        life.step()
        after = Tally.of(life.view())
        assert all(after.used(key) <= most for key, most in caps.items() if key[0] != Cap.QUOTA)


def starts_of(payer: Payer, made: Plan, queue: QueueIndex) -> set[int]:
    jobs = (queue.get(start.job_id) for start in made.starts)
    return {job.id for job in jobs if job is not None and (job.account, job.user) == payer}

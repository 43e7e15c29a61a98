"""Who is owed GPU time: how use decays, and who comes next."""

from dataclasses import replace

import pytest
from scenes import NOW, node, waiting

from dcdaemon.core.view import ClusterView, Standing
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.fair_share import AHEAD_S, Claims, FairShare, Use, used_now
from dcdaemon.scheduler.policy import Order, Policy, QueueRule, Weights
from dcdaemon.scheduler.queue import QueueIndex

ADA, BOB, CY = ("", "ada"), ("", "bob"), ("", "cy")
DAY_S = 86400.0


def test_use_of_a_half_life_ago_counts_half():
    shares = FairShare(DAY_S)
    shares.add(ADA, 3600.0, NOW)
    assert shares.usage_s(ADA, NOW) == 3600.0
    assert shares.usage_s(ADA, NOW + DAY_S) == pytest.approx(1800.0)
    assert shares.usage_s(ADA, NOW + 3 * DAY_S) == pytest.approx(450.0)
    assert shares.usage_s(BOB, NOW) == 0.0


def test_a_short_run_counts_its_gpu_time():
    shares = FairShare(7 * DAY_S)
    shares.charge(ADA, 4, NOW - 60, NOW)
    assert shares.usage_s(ADA, NOW) == pytest.approx(240.0, rel=1e-4)


def test_one_long_job_counts_as_much_as_short_ones_one_after_the_other():
    long, short = FairShare(DAY_S), FairShare(DAY_S)
    long.charge(ADA, 2, NOW, NOW + 4 * DAY_S)
    for hour in range(96):
        short.charge(ADA, 2, NOW + hour * 3600, NOW + (hour + 1) * 3600)
    at = NOW + 5 * DAY_S
    assert long.usage_s(ADA, at) == pytest.approx(short.usage_s(ADA, at))
    running = used_now(FairShare(DAY_S), [Use(ADA, 2, NOW)], NOW + 4 * DAY_S)
    assert running[ADA] == pytest.approx(long.usage_s(ADA, NOW + 4 * DAY_S))


def test_charges_may_come_in_any_order():
    one, other = FairShare(DAY_S), FairShare(DAY_S)
    charges = [(1.0, NOW, NOW + 50), (2.0, NOW + 5000, NOW + 9000), (3.0, NOW - DAY_S, NOW)]
    for charge in charges:
        one.charge(ADA, *charge)
    for charge in reversed(charges):
        other.charge(ADA, *charge)
    assert one.usage_s(ADA, NOW + DAY_S) == pytest.approx(other.usage_s(ADA, NOW + DAY_S))


def test_a_clock_that_was_set_back_or_far_ahead_breaks_nothing():
    shares = FairShare(1.0)
    shares.add(ADA, 100.0, NOW)
    assert shares.usage_s(ADA, NOW - 1e6) == 100.0
    assert shares.usage_s(ADA, NOW + 1e9) == 0.0
    shares.charge(ADA, 1, NOW + 1e9, NOW)
    shares.charge(ADA, 1, NOW, NOW + 1e9)
    assert 0 < shares.usage_s(ADA, NOW + 1e9) < 2


def test_accounts_come_before_users_and_weights_divide():
    used = {("vision", "ada"): 100.0, ("vision", "bob"): 0.0, ("speech", "cy"): 80.0}
    claims = Claims(used, Weights())
    assert sorted(used, key=claims.key) == [("speech", "cy"), ("vision", "bob"), ("vision", "ada")]
    claims = Claims(used, Weights(accounts={"vision": 2.0}))
    assert sorted(used, key=claims.key) == [("vision", "bob"), ("vision", "ada"), ("speech", "cy")]
    used = {ADA: 100.0, BOB: 60.0}
    assert sorted(used, key=Claims(used, Weights()).key) == [BOB, ADA]
    assert sorted(used, key=Claims(used, Weights(users={"ada": 2.0})).key) == [ADA, BOB]


def test_what_runs_is_counted_so_far_and_some_way_ahead():
    shares = FairShare(DAY_S)
    shares.add(ADA, 10.0, NOW)
    assert used_now(shares, [Use(BOB, 2, NOW)], NOW) == {ADA: 10.0, BOB: 0.0}
    assert used_now(shares, [Use(BOB, 2, NOW)], NOW, AHEAD_S) == {ADA: 10.0, BOB: 2 * AHEAD_S}


def jobs_of(*owners: str, **rest) -> list:
    return [waiting(number, 1, user=owner, **rest) for number, owner in enumerate(owners, start=1)]


def started(gpus: int, jobs: list, used: dict, policy: Policy) -> list[int]:
    view = ClusterView((node(gpus=gpus),), standing=Standing(shares_used=used))
    return [start.job_id for start in plan(view, QueueIndex(jobs), policy, NOW).starts]


FAIR = Policy(order=Order.FAIR_SHARE)


def test_who_had_least_goes_first_and_ties_go_by_age():
    jobs = jobs_of("ada", "bob", "cy")
    assert started(3, jobs, {ADA: 9000.0, BOB: 5000.0}, FAIR) == [3, 2, 1]
    assert started(3, jobs, {}, FAIR) == [1, 2, 3]


def test_gpus_that_become_free_together_are_shared():
    jobs = jobs_of("ada", "ada", "ada", "ada", "bob", "bob", "bob", "bob")
    assert started(4, jobs, {}, FAIR) == [1, 5, 2, 6]
    twice = Policy(order=Order.FAIR_SHARE, weights=Weights(users={"bob": 3.0}))
    assert started(4, jobs, {}, twice) == [1, 5, 6, 7]


def test_age_makes_nobody_overdue_where_the_share_decides():
    jobs = jobs_of("ada", "bob", queued_at=0.0)
    view = ClusterView((node(gpus=1),), standing=Standing(fifo_wait_s=10.0, shares_used={ADA: 1.0}))
    made = plan(view, QueueIndex(jobs), FAIR, NOW)
    assert [start.job_id for start in made.starts] == [2]
    assert made.promises == ()


def test_of_one_owners_jobs_the_oldest_goes_first_whatever_they_ask_for():
    widths = [2, 1, 3, 1, 2, 1]
    jobs = [waiting(number, gpus, 60.0 * number, user="ada") for number, gpus in enumerate(widths, start=1)]
    assert started(10, jobs, {}, FAIR) == [1, 2, 3, 4, 5, 6]


def test_priority_tier_and_promises_come_before_the_share():
    policy = Policy(order=Order.FAIR_SHARE, queues={"high": QueueRule(tier=1), "plain": QueueRule(Order.SHORTEST)})
    jobs = [
        waiting(1, 1, user="bob"), waiting(2, 1, user="ada", priority=60), waiting(3, 1, user="ada", queue="high"),
        waiting(4, 1, user="cy", priority=10), waiting(5, 1, user="ada"),
    ]  # fmt: skip
    assert started(8, jobs, {ADA: 9000.0, BOB: 1000.0}, policy) == [2, 3, 1, 5, 4]


def test_who_goes_beyond_a_quota_falls_behind_the_others_job_by_job():
    quota = ("quota", "user/ada")
    jobs = jobs_of("ada", "ada", "ada", "bob", "bob", "bob")
    jobs = [replace(job, caps=(quota,) if job.user == "ada" else ()) for job in jobs]
    view = ClusterView((node(gpus=8),), caps={quota: 1}, standing=Standing(shares_used={BOB: 1e9}))
    made = plan(view, QueueIndex(jobs), FAIR, NOW)
    assert [start.job_id for start in made.starts] == [1, 4, 5, 6, 2, 3]


def test_where_all_who_wait_are_of_one_account_the_users_decide():
    claims = Claims({("a", "ada"): 5.0, ("b", "bob"): 1.0}, Weights())
    claims.line_up([("a", "ada"), ("a", "cy")])
    assert claims.key(("a", "ada")) == (0.0, 5.0)
    claims.line_up([("a", "ada"), ("b", "bob")])
    assert claims.key(("b", "bob")) == (1.0, 1.0)

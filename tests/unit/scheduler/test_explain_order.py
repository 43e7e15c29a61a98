"""Who goes first, and why, in words; and what predictions and promises make of the start."""

from dataclasses import replace

import pytest
from scenes import NOW, node, running, view, waiting

from dcdaemon.core.plan import Reservation
from dcdaemon.core.reasons import Reason, Unblock
from dcdaemon.core.view import ClusterView, QueuedJob, RunningJob, Standing
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex

SHORTEST = Policy(order=Order.SHORTEST)
ALL = tuple(range(8))
#: Eight GPUs in use, for ten minutes more as far as is known.
FULL = (RunningJob(1, "n1", ALL, 1, 0, None, NOW - 600, 1200.0),)


def asks(job_id, gpus, predicted_s=None, *, waited_s=0.0, limit_s=None, **rest) -> QueuedJob:
    return waiting(job_id, gpus, limit_s, predicted_s=predicted_s, queued_at=NOW - waited_s, **rest)


def why(picture, *jobs, policy=SHORTEST) -> Reason:
    return explain(picture, QueueIndex(jobs), policy, NOW, jobs[-1].id)


def who(reason: Reason) -> list[tuple[str, int, list[int]]]:
    return [(ahead["why"], ahead["count"], ahead["jobs"]) for ahead in reason.facts["ahead_by"]]


def test_shorter_jobs_go_first():
    reason = why(view(*FULL), asks(2, 4, 300), asks(3, 4, 400), asks(4, 2, 300), asks(5, 8, 7200))
    assert who(reason) == [("shorter", 3, [4, 2, 3])]
    assert reason.facts["ahead"] == 3
    assert reason.sentence == (
        "Job 5 waits behind job 4: it needs 8 GPUs, job 4 needs 2, 0 are free. "
        "3 jobs that are expected to be shorter go first. It is expected to start in 21m40s (7m13s to 1h37m)."
    )
    assert short(reason) == "8 GPUs needed, 0 free (~21m40s)"
    assert reason.unblock == Unblock(end_jobs=(1,), first=True)
    assert reason.remedy == "It would start now if job 1 ended and it went before all others."


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (asks(2, 8, 300), "Job 2, which is expected to be shorter, goes first."),
        (asks(2, 2, 7200), "Job 2, which needs fewer GPUs, goes first."),
        (asks(2, 8, 7200, waited_s=3000), "Job 2, which has waited longer, goes first."),
        (asks(2, 8, 7200, priority=60), ""),
        (asks(2, 8, 7200), ""),
    ],
)
def test_one_that_goes_first_is_named_unless_its_place_is_plain(other, said):
    reason = why(view(*FULL), other, asks(5, 8, 7200))
    assert (said in reason.sentence) if said else (" go" not in reason.sentence)
    assert reason.facts["head_job"] == 2


def test_several_reasons_are_told_apart_and_counted():
    jobs = [asks(2, 8, 7200, priority=60), asks(3, 8, 300), asks(4, 8, 400), asks(6, 8, 7200, waited_s=3000)]
    reason = why(view(*FULL), *jobs, asks(5, 8, 7200))
    assert (
        "4 jobs go first: job 2 has a higher priority, 2 are expected to be shorter and job 6 has waited longer."
        in (reason.sentence)
    )


def test_in_the_other_orders_it_is_told_who_came_earlier_or_had_less():
    fifo = why(view(*FULL), waiting(2, 8), waiting(3, 8), waiting(5, 8), policy=Policy())
    assert "2 jobs that came earlier go first." in fifo.sentence
    had = Standing(shares_used={("", "ada"): 5e4, ("", "bob"): 1e4})
    jobs = [waiting(9, 8, user="bob"), waiting(5, 8, user="ada")]
    share = why(replace(view(*FULL), standing=had), *jobs, policy=Policy(order=Order.FAIR_SHARE))
    assert "Job 9, which is of a user who has had less, goes first." in share.sentence


def test_a_queue_that_goes_first_and_a_quota_are_named():
    policy = Policy(order=Order.SHORTEST, queues={"urgent": QueueRule(tier=1)})
    urgent = why(view(*FULL), asks(2, 8, 7200, queue="urgent"), asks(5, 8, 300), policy=policy)
    assert "Job 2, which is of a queue that goes first, goes first." in urgent.sentence
    caps = (("quota", "user/ada"),)
    lent = ClusterView((node(),), (replace(FULL[0], caps=caps),), {caps[0]: 8})
    reason = why(lent, asks(2, 8, 7200), replace(asks(5, 8, 300), caps=caps))
    assert "Job 2, which is within its user's quota, goes first." in reason.sentence


def test_a_job_that_has_waited_longer_than_anyone_should_goes_before_all_others():
    picture = replace(view(*FULL), standing=Standing(fifo_wait_s=3600.0))
    reason = why(picture, asks(2, 8, 7200, waited_s=4000), asks(5, 8, 300))
    assert who(reason) == [("overdue", 1, [2])]
    assert "Job 2 has waited longer than anyone should and goes before all others." in reason.sentence


def test_a_promise_is_named_and_only_a_limit_lets_a_job_pass_it():
    picture = view(RunningJob(1, "n1", ALL[:6], 1, 0, NOW + 600, NOW - 600))
    kept = Reservation(2, "n1", ALL, NOW + 600, promised=True, sticky=True)
    picture = replace(picture, standing=Standing((kept,), 3600.0))
    reason = why(picture, asks(2, 8, 7200, waited_s=9000), asks(5, 1, 60))
    assert reason.sentence == (
        "Job 5 needs 1 GPU and would fit now, but job 2 (priority 50) is ahead: it needs 8 GPUs, was promised a start "
        "and starts in 10m at the latest. Job 2, which was promised a start, goes first. "
        "With a time limit of 10m it could start now."
    )
    first = explain(picture, QueueIndex([asks(2, 8, 7200, waited_s=9000)]), SHORTEST, NOW, 2)
    assert first.facts["promised"] is True


def test_the_heads_expected_start_is_told_as_one():
    picture = view(replace(FULL[0], gpus=ALL[:6]))
    reason = why(picture, asks(2, 8, 300), asks(5, 1, 7000))
    assert (reason.facts["head_starts_in_s"], reason.facts["head_basis"]) == (600.0, "predictions")
    assert "it needs 8 GPUs and is expected to start in 10m." in reason.sentence


def test_what_is_kept_for_the_job_itself_tells_when_it_starts():
    reason = why(view(*FULL), asks(2, 8, 300))
    assert reason.sentence == (
        "Job 2 needs 8 GPUs, 0 are free. Job 1 is expected to end in 10m (3m20s to 45m), then it starts."
    )
    assert (reason.expected_low_at, reason.expected_start_at, reason.expected_high_at) == (
        NOW + 200, NOW + 600, NOW + 2700,
    )  # fmt: skip


def test_a_job_past_its_prediction_is_expected_to_run_as_long_again():
    late = RunningJob(1, "n1", ALL, 1, 0, NOW + 1000, NOW - 900, 60.0)
    assert why(view(late), asks(2, 8, 60)).expected_start_at == NOW + 900
    assert why(view(late), asks(2, 8, 60)).expected_high_at == NOW + 1000, "its limit ends it"


def test_jobs_ahead_that_start_now_are_named_in_their_order():
    reason = why(view(), asks(2, 6, 300), asks(3, 2, 300), asks(5, 8, 7200))
    assert "Job 5 needs 8 GPUs and would fit now, but jobs 3 and 2 are ahead and start first." in reason.sentence


def test_behind_a_hundred_jobs_nobody_is_asked_to_stand_aside():
    jobs = [asks(job_id, 8, 300.0) for job_id in range(2, 130)]
    reason = why(view(running(1, ALL, 60)), *jobs, asks(200, 8, 7200))
    assert reason.unblock == Unblock(end_jobs=(1,), first=True)
    assert reason.facts["ahead"] == 128

"""Limits and begin times that keep jobs waiting, word for word, and what would start these."""

from dataclasses import replace

import pytest
from scenes import NOW, node, running, waiting

from dcdaemon.core.reasons import Reason, ReasonCode, Unblock
from dcdaemon.core.view import ClusterView
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex


def counting(job, *keys):
    return replace(job, caps=keys)


def why(running_jobs, caps, *jobs) -> Reason:
    picture = ClusterView((node(),), tuple(running_jobs), caps)
    return explain(picture, QueueIndex(jobs), Policy(), NOW, jobs[-1].id)


@pytest.mark.parametrize(
    ("key", "most", "code", "said", "note"),
    [
        (("user", "ada"), 4, "quota", "user ada may use 4 GPUs at a time, 4 are in use, and it needs 2",
         "user ada uses 4 of 4 GPUs"),
        (("account", "vision"), 5, "quota", "account vision may use 5 GPUs at a time, 4 are in use, and it needs 2",
         "account vision uses 4 of 5 GPUs"),
        (("queue", "night"), 4, "queue_limit", "queue night may use 4 GPUs at a time, 4 are in use, and it needs 2",
         "queue night uses 4 of 4 GPUs"),
        (("queue-user", "night/ada"), 4, "queue_limit",
         "ada may use 4 GPUs at a time in night, 4 are in use, and it needs 2", "ada uses 4 of 4 GPUs in night"),
        (("queue-jobs", "night/ada"), 1, "queue_limit", "ada may run 1 job at a time in night, 1 runs",
         "ada runs 1 of 1 jobs in night"),
        (("array", "120"), 1, "array_limit", "array 120 may run 1 job at a time, 1 runs",
         "array 120 runs 1 of 1 jobs"),
        (("no-cpu", "ada"), 1, "quota", "ada may run 1 job at a time without a CPU, 1 runs",
         "ada runs 1 of 1 jobs without a CPU"),
    ],
)  # fmt: skip
def test_each_limit_has_its_words(key, most, code, said, note):
    reason = why([counting(running(1, range(4), 600), key)], {key: most}, counting(waiting(2, 2), key))
    assert (reason.code, short(reason)) == (code, note)
    assert reason.sentence == f"Job 2 waits for a limit: {said}. If every job runs to its limit, it starts in 10m."
    assert (reason.facts["limit"], reason.facts["limit_most"]) == (list(key), most)
    assert reason.unblock == Unblock(end_jobs=(1,))
    assert reason.expected_start_at == NOW + 600


def test_a_limit_that_is_too_low_for_the_job_has_to_be_lifted():
    key = ("user", "ada")
    reason = why([], {key: 4}, counting(waiting(2, 8), key))
    assert reason.sentence == (
        "Job 2 needs 8 GPUs, but user ada may use 4 GPUs at a time: under this limit it never starts."
    )
    assert reason.unblock == Unblock(lift_limits=(key,))
    assert reason.remedy == "It would start now if the limit of user ada were lifted."


def test_the_limit_is_named_before_the_lack_of_room_as_the_pass_asks_it_first():
    key = ("user", "ada")
    full = [counting(running(1, range(4), 600), key), running(3, range(4, 8), 900)]
    reason = why(full, {key: 4}, counting(waiting(2, 2), key))
    assert reason.code is ReasonCode.QUOTA
    assert reason.unblock == Unblock(end_jobs=(1,)), "an own job makes room, too"


def test_of_own_jobs_only_as_many_end_as_are_needed():
    key = ("user", "ada")
    own = [counting(running(job_id, [job_id], 60 * job_id), key) for job_id in range(1, 5)]
    assert why(own, {key: 4}, counting(waiting(9, 1), key)).unblock == Unblock(end_jobs=(1,))
    assert why(own, {key: 4}, counting(waiting(9, 2), key)).unblock == Unblock(end_jobs=(1, 2))


def test_what_starts_in_this_very_pass_counts_against_the_limit():
    key = ("array", "120")
    jobs = [counting(waiting(job_id, 1), key) for job_id in (2, 3, 4)]
    reason = why([], {key: 2}, *jobs)
    assert (reason.code, reason.facts["limit_used"]) == (ReasonCode.ARRAY_LIMIT, 2)
    assert reason.unblock.end_jobs == ()


def test_what_is_left_of_a_limit_may_be_kept_for_one_that_waits_longer():
    key = ("user", "ada")
    old = counting(replace(waiting(2, 4), queued_at=NOW - 90000), key)
    reason = why([counting(running(1, range(3), 600), key)], {key: 5}, old, counting(waiting(5, 1), key))
    assert reason.sentence.startswith(
        "Job 5 waits for a limit: user ada may use 5 GPUs at a time, 3 are in use, "
        "and the rest is kept for a job that has waited longer."
    )


def test_a_job_that_has_a_place_kept_waits_for_that_and_for_no_limit():
    """A younger job of the same user takes the last of the limit after the head's turn has come."""
    key = ("user", "ada")
    picture = ClusterView((node(),), (running(1, range(6), 600),), {key: 8})
    queue = QueueIndex([counting(waiting(2, 8), key), counting(waiting(3, 1, 60), key)])
    reasons = {reason.job_id: reason for reason in explain_all(picture, queue, Policy(), NOW)}
    assert reasons[2].code is ReasonCode.GPUS_BUSY
    assert reasons[3].code is ReasonCode.STARTS_NOW


def test_a_begin_time_is_told_and_what_comes_after_it():
    alone = why([], {}, waiting(2, 8, begin_at=NOW + 3600))
    assert alone.sentence == "Job 2 is not to start before its begin time, in 1h."
    assert (alone.code, short(alone)) == (ReasonCode.BEGIN_TIME, "begins in 1h")
    assert (alone.expected_start_at, alone.unblock) == (NOW + 3600, Unblock(begin_at=NOW + 3600))
    busy = why([running(1, range(8), 7200)], {}, waiting(2, 8, begin_at=NOW + 3600))
    assert busy.sentence == (
        "Job 2 is not to start before its begin time, in 1h. If every job runs to its limit, it starts in 2h."
    )
    assert busy.remedy == "It would start now if its begin time had come and job 1 ended."

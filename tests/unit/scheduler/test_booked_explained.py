"""Why a job waits for a booking: word for word, and what would start it."""

from dataclasses import replace

import pytest
from scenes import NOW, POLICY, node, running, view, waiting
from test_bookings import HOUR, booked, booking

from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import ClusterView
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.queue import QueueIndex


def why(cluster: ClusterView, *jobs, job_id: int = 1):
    return explain(cluster, QueueIndex(jobs), POLICY, NOW, job_id)


def course(from_s, until_s, gpus=range(4, 8), **people):
    return replace(booking(3, gpus, from_s, until_s, **people), name="course")


def assert_told(reason, first: str, last: str) -> None:
    assert reason.sentence.startswith(first)
    assert reason.sentence.endswith(last)


def test_an_open_window_is_named_with_its_end():
    reason = why(booked(view(), course(-HOUR, 2 * HOUR)), waiting(1, 6, HOUR))
    assert reason.code is ReasonCode.BOOKED
    assert_told(
        reason,
        "Job 1 needs 6 GPUs, 4 are free: GPUs 4, 5, 6 and 7 are booked (course) for another 2h.",
        "starts in 2h.",
    )
    assert reason.note == "booked: course (<2h)"
    assert reason.remedy == "It would start now if booking 3 were called off."
    assert reason.facts["booked"] == [
        {"booking": 3, "label": "course", "gpus": [4, 5, 6, 7], "opens_in_s": 0.0, "ends_in_s": 2 * HOUR}
    ]


def test_gpus_that_idle_for_a_booking_are_named_and_those_at_work_are_not():
    idle = booked(view(running(9, range(4), HOUR)), course(-HOUR, 2 * HOUR))
    assert_told(
        why(idle, waiting(1, 4, HOUR)),
        "Job 1 needs 4 GPUs, 0 are free: GPUs 4, 5, 6 and 7 are booked (course) for another 2h.",
        "starts in 1h.",
    )
    at_work = replace(idle, running=(*idle.running, running(8, range(4, 8))))
    assert why(at_work, waiting(1, 4, HOUR)).code is ReasonCode.GPUS_BUSY, "others would do as well"


def test_a_window_to_come_is_named_and_the_limit_that_ends_in_time():
    reason = why(booked(view(), course(2 * HOUR, 6 * HOUR, range(8))), waiting(1, 2, None, grace_s=30.0))
    assert reason.sentence == (
        "Job 1 needs 2 GPUs, 0 are free: GPUs 0, 1, 2, 3 and 4 more are booked (course) in 2h, for 4h. "
        "With a time limit of 1h59m it could start now."
    )
    assert reason.facts["limit_to_start_s"] == 7140.0


def test_a_limit_that_would_not_help_is_no_advice():
    cluster = booked(view(running(9, range(4))), course(60.0, HOUR))
    reason = why(cluster, waiting(1, 4, HOUR, grace_s=30.0))
    assert "limit_to_start_s" not in reason.facts


def test_several_bookings_are_named_one_by_one():
    both = (course(-60.0, HOUR, [0]), booking(4, [1], 60.0, HOUR), booking(5, [2], 60.0, HOUR))
    cluster = booked(view(nodes=[node(gpus=3)]), *both)
    reason = why(cluster, waiting(1, 3, HOUR))
    assert reason.sentence.startswith(
        "Job 1 needs 3 GPUs, 0 are free: GPU 0 is booked (course) for another 1h, GPU 1 is booked (booking 4) in 1m, "
        "for 59m and GPU 2 is booked (booking 5) in 1m, for 59m."
    )
    four = why(booked(cluster, *both, booking(6, [0], 2 * HOUR, 3 * HOUR)), waiting(1, 3, None))
    assert "for 59m and 1 later booking." in four.sentence


def test_one_who_is_let_in_waits_for_those_inside():
    inside = running(9, range(4, 8), HOUR)
    cluster = booked(view(running(8, range(4)), inside), course(-60.0, 2 * HOUR, users=["ada"]))
    reason = why(cluster, waiting(1, 2, None, user="ada"))
    assert reason.code is ReasonCode.GPUS_BUSY
    assert reason.facts["gpus_free"] == 0
    assert reason.expected_start_at == NOW + HOUR
    assert "booked" not in reason.facts


def test_one_who_is_let_in_is_told_of_the_place_that_lacks_less():
    window = course(-60.0, 2 * HOUR, users=["ada"])
    inside = booked(view(running(9, [0, 1, 2], HOUR), running(8, [4, 5], HOUR)), window)
    assert why(inside, waiting(1, 3, None, user="ada")).facts["gpus_free"] == 2
    outside = booked(view(running(9, [0, 1], HOUR), running(8, [4, 5, 6], HOUR)), window)
    assert why(outside, waiting(1, 3, None, user="ada")).facts["gpus_free"] == 2


def test_one_who_asks_for_more_than_the_window_has_is_told_that_it_is_given_apart():
    reason = why(booked(view(), course(-60.0, 2 * HOUR, users=["ada"])), waiting(1, 8, None, user="ada"))
    assert_told(
        reason,
        "Job 1 needs 8 GPUs, 4 are free: GPUs 4, 5, 6 and 7 are booked (course) for another 2h.",
        "starts in 2h.",
    )


@pytest.mark.parametrize("limit_s", [None, HOUR])
def test_a_listing_says_the_same_as_the_question(limit_s):
    cluster = booked(view(), course(60.0, HOUR, range(8)))
    jobs = [waiting(1, 2, limit_s), waiting(2, 2, 10.0)]
    first, second = explain_all(cluster, QueueIndex(jobs), POLICY, NOW)
    assert (first.code, second.code) == (ReasonCode.BOOKED, ReasonCode.STARTS_NOW)
    assert short(first) == "booked: course (<1h)"


def test_a_reason_of_before_stays_what_it_was_beside_a_booking_that_does_not_matter():
    cluster = booked(view(running(9, range(8), HOUR)), course(2 * HOUR, 3 * HOUR, users=["ada"]))
    reason = why(cluster, waiting(1, 2, None, user="ada"))
    assert (reason.code, reason.expected_start_at) == (ReasonCode.GPUS_BUSY, NOW + HOUR)


@pytest.mark.parametrize(("inside_s", "outside_s"), [(600.0, HOUR), (HOUR, 600.0)])
def test_of_two_places_that_are_kept_for_it_a_job_is_told_the_earlier(inside_s, outside_s):
    held = (running(8, range(4), outside_s), running(9, range(4, 8), inside_s))
    cluster = booked(view(*held), course(-60.0, 2 * HOUR, users=["ada"]))
    assert why(cluster, waiting(1, 4, None, user="ada")).expected_start_at == NOW + 600.0


def test_the_note_names_the_booking_that_decides_and_the_promise_that_why_tells():
    both = (course(-HOUR, HOUR), booking(4, range(8), 96 * HOUR, 100 * HOUR))
    queue = QueueIndex([waiting(1, 6), waiting(2, 6)])
    first, second = explain_all(booked(view(), *both), queue, POLICY, NOW)
    assert (first.note, second.note) == ("booked: booking 4 (<4d4h)", "booked: booking 4")
    assert why(booked(view(), *both), waiting(1, 6)).note == first.note
    assert explain_all(booked(view(), *both), QueueIndex([waiting(1, 6, HOUR)]), POLICY, NOW)[0].note == (
        "booked: course (<1h)"
    )

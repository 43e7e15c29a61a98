"""What a booking closes, to whom and until when, and what the head of the queue is promised beside it."""

from dataclasses import replace

from scenes import NOW, POLICY, node, running, view, waiting

from dcdaemon.core.booking import Booking, next_change
from dcdaemon.core.plan import Plan
from dcdaemon.core.view import ClusterView, Standing
from dcdaemon.scheduler.bookings import opens_at, shut_gpus
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import Closure

HOUR = 3600.0


def booking(number, gpus, from_s, until_s, *, users=(), accounts=(), on="n1") -> Booking:
    return Booking(number, on, tuple(gpus), NOW + from_s, NOW + until_s, tuple(users), tuple(accounts))


def booked(cluster: ClusterView, *bookings: Booking) -> ClusterView:
    return replace(cluster, bookings=bookings)


def decide(cluster: ClusterView, *jobs, policy=POLICY, now=NOW) -> Plan:
    return plan(cluster, QueueIndex(jobs), policy, now)


def started(decided: Plan) -> dict[int, tuple[int, ...]]:
    return {start.job_id: start.gpus for start in decided.starts}


COURSE = booking(1, range(8), 2 * HOUR, 6 * HOUR, accounts=["course"])


def test_before_the_window_only_jobs_start_whose_limit_is_over_by_then():
    cluster = booked(view(), COURSE)
    decided = decide(
        cluster, waiting(1, 1, None), waiting(2, 1, 2 * HOUR + 1), waiting(3, 1, 2 * HOUR), waiting(4, 1, 60.0)
    )
    assert set(started(decided)) == {3, 4}


def test_jobs_that_are_let_in_heed_no_limit_before_the_window():
    decided = decide(booked(view(), COURSE), waiting(1, 8, None, user="eve", account="course"))
    assert started(decided) == {1: tuple(range(8))}


def test_an_open_window_is_for_those_who_are_let_in_only():
    cluster = booked(view(), booking(1, range(8), -60, HOUR, users=["ada"]))
    decided = decide(cluster, waiting(1, 1, 60.0, user="bob"), waiting(2, 1, None, user="ada"))
    assert set(started(decided)) == {2}


def test_a_window_for_nobody_keeps_everybody_out():
    cluster = booked(view(), booking(1, range(8), -60, HOUR))
    assert started(decide(cluster, waiting(1, 1, 60.0, user="ada"), waiting(2, 1, None))) == {}


def test_the_window_ends_at_its_end_and_not_before():
    cluster = booked(view(), booking(1, range(8), -60, 60, users=["ada"]))
    job = waiting(1, 1, None, user="bob")
    assert started(decide(cluster, job, now=NOW + 59.9)) == {}
    assert started(decide(cluster, job, now=NOW + 60)) == {1: (0,)}


def test_what_was_called_off_closes_nothing():
    off = replace(booking(1, range(8), -60, HOUR), unbooked_at=NOW)
    assert started(decide(booked(view(), off), waiting(1, 8, None))) == {1: tuple(range(8))}


def test_who_is_let_in_gets_the_booked_gpus_first_and_the_others_too():
    cluster = booked(view(), booking(1, [4, 5], -60, HOUR, users=["ada"]))
    jobs = [waiting(number, 1, None, user="ada") for number in (1, 2, 3)]
    assert started(decide(cluster, *jobs)) == {1: (4,), 2: (5,), 3: (0,)}


def test_inside_its_window_a_user_passes_a_head_who_waits_for_the_whole_node():
    cluster = booked(view(running(9, [0], HOUR)), booking(1, [6, 7], -60, 2 * HOUR, users=["ada"]))
    head, ada = waiting(1, 8, None, priority=90, user="bob"), waiting(2, 2, None, user="ada")
    decided = decide(cluster, head, ada)
    assert started(decided) == {2: (6, 7)}
    assert decided.reservation.job_id == 1


def test_without_backfill_a_user_gets_into_the_window_all_the_same():
    cluster = booked(view(), booking(1, [6, 7], -60, 2 * HOUR, users=["ada"]))
    jobs = [waiting(1, 8, None, user="bob"), waiting(2, 2, None, user="ada"), waiting(3, 1, None, user="bob")]
    assert started(decide(cluster, *jobs, policy=Policy(backfill=False))) == {2: (6, 7)}


def test_inside_a_window_a_wide_job_is_not_starved_by_small_ones():
    cluster = booked(view(running(9, [4], HOUR)), booking(1, range(4, 8), -60, 2 * HOUR, users=["ada"]))
    wide, small = waiting(1, 4, None, user="ada"), waiting(2, 1, None, user="ada")
    others = running(8, range(4), None)
    decided = decide(replace(cluster, running=(*cluster.running, others)), wide, small)
    assert started(decided) == {}
    assert decided.reservation.job_id == 1


def test_a_job_without_gpus_waits_for_no_window_and_passes_nobody_in_one():
    cluster = booked(view(nodes=[node(cpus=1)]), booking(1, range(8), -60, HOUR, users=["ada"]))
    decided = decide(cluster, waiting(1, 0, None, user="bob"), waiting(2, 0, None, user="ada"))
    assert set(started(decided)) == {1}


def test_inside_a_window_the_gpus_of_the_queue_do_not_matter():
    cluster = booked(view(), booking(1, [6, 7], -60, HOUR, users=["ada"]))
    policy = Policy(queues={"short": QueueRule(gpus=frozenset({0, 1}))})
    decided = decide(cluster, waiting(1, 2, None, user="ada", queue="short"), policy=policy)
    assert started(decided) == {1: (6, 7)}


def test_a_limited_job_takes_gpus_that_nobody_has_booked_first():
    decided = decide(booked(view(), booking(1, [0, 1, 2], HOUR, 2 * HOUR)), waiting(1, 2, 60.0), waiting(2, 4, 60.0))
    assert started(decided) == {1: (3, 4), 2: (0, 5, 6, 7)}


def test_the_memory_of_refusals_is_not_poisoned_by_a_window_for_another():
    cluster = booked(view(running(9, [0])), booking(1, range(1, 8), HOUR, 2 * HOUR, users=["ada"]))
    head = waiting(1, 8, None, user="bob")
    decided = decide(cluster, head, waiting(2, 1, None, user="bob"), waiting(3, 1, None, user="bob", account="x"))
    assert started(decided) == {}
    free = booked(view(), booking(1, range(8), HOUR, 2 * HOUR, users=["ada"]))
    assert set(started(decide(free, waiting(1, 1, None, user="bob"), waiting(2, 1, None, user="ada")))) == {2}


def test_one_who_may_use_two_windows_starts_once():
    cluster = booked(view(), booking(1, [0], -60, HOUR, users=["ada"]), booking(2, [1], -60, HOUR, users=["ada"]))
    decided = decide(cluster, waiting(1, 1, None, user="ada"), waiting(2, 1, None, user="ada"))
    assert [(start.job_id, start.gpus) for start in decided.starts] == [(1, (0,)), (2, (1,))]


def test_a_booking_of_another_node_closes_nothing_here():
    nodes = [node("n1"), node("n2")]
    cluster = booked(view(nodes=nodes), booking(1, range(8), -60, HOUR, on="n2"))
    [start] = decide(cluster, waiting(1, 8, None)).starts
    assert start.node == "n1"


def test_an_overdue_job_has_one_promise_however_many_windows_keep_something_for_it():
    held = [running(number, [number], HOUR) for number in range(8)]
    cluster = booked(view(*held), booking(1, [6, 7], -60, 2 * HOUR, users=["ada"]))
    cluster = replace(cluster, standing=Standing(fifo_wait_s=HOUR))
    overdue = waiting(21, 2, None, user="ada", queued_at=NOW - 2 * HOUR)
    decided = decide(cluster, overdue, policy=Policy(order=Order.SHORTEST))
    assert [kept.job_id for kept in decided.reservations] == [21, 21]
    assert [kept.gpus for kept in decided.promises] == [decided.reservation.gpus]


# ---------------------------------------------------------------- what is kept for the head


def test_the_head_is_promised_the_end_of_the_window():
    decided = decide(booked(view(), booking(1, range(8), -60, HOUR)), waiting(1, 2, None))
    assert (decided.reservation.job_id, decided.reservation.at) == (1, NOW + HOUR)


def test_the_head_that_is_over_before_the_window_is_promised_the_end_of_a_job():
    cluster = booked(view(running(9, range(8), HOUR)), booking(1, range(8), 2 * HOUR, 4 * HOUR))
    assert decide(cluster, waiting(1, 8, HOUR)).reservation.at == NOW + HOUR
    assert decide(cluster, waiting(1, 8, HOUR + 1)).reservation.at == NOW + 4 * HOUR
    assert decide(cluster, waiting(1, 8, None)).reservation.at == NOW + 4 * HOUR


def test_what_is_free_now_and_booked_later_is_not_counted_on_for_later():
    """GPU 0 is free until it is booked; when GPU 1 is free as well, both are closed."""
    cluster = booked(view(running(9, [1], HOUR), nodes=[node(gpus=2)]), booking(1, [0, 1], HOUR + 60, 3 * HOUR))
    assert decide(cluster, waiting(1, 2, 120.0)).reservation.at == NOW + 3 * HOUR
    assert decide(cluster, waiting(1, 2, 60.0)).reservation.at == NOW + HOUR


def test_gpus_that_are_open_sooner_are_kept_rather_than_those_that_are_booked():
    cluster = booked(view(running(9, [2, 3], HOUR), nodes=[node(gpus=4)]), booking(1, [0, 1], -60, 5 * HOUR))
    reservation = decide(cluster, waiting(1, 2, None)).reservation
    assert (reservation.gpus, reservation.at) == ((2, 3), NOW + HOUR)


def test_one_who_is_let_in_does_not_count_on_mixing_booked_and_other_gpus():
    """While the window is open its GPUs are given apart: a job for more than it has starts before or after."""
    cluster = booked(view(running(9, [1], HOUR), nodes=[node(gpus=2)]), booking(1, [0], 60, 3 * HOUR, users=["ada"]))
    assert decide(cluster, waiting(1, 2, None, user="ada")).reservation.at == NOW + 3 * HOUR


def test_who_is_over_before_the_heads_start_may_use_what_is_kept_for_it():
    cluster = booked(view(), booking(1, range(4), -60, 2 * HOUR))
    decided = decide(cluster, waiting(1, 8, None), waiting(2, 1, HOUR), waiting(3, 1, None))
    assert set(started(decided)) == {2}


# ---------------------------------------------------------------- time


def test_the_next_change_is_the_first_beginning_or_end_to_come():
    both = [booking(1, [0], 100, 200), booking(2, [0], -50, 20)]
    assert next_change(both, NOW) == NOW + 20
    assert next_change(both, NOW + 20) == NOW + 100
    assert next_change(both, NOW + 100) == NOW + 200
    assert next_change(both, NOW + 200) is None


def test_windows_one_after_the_other_are_one_long_one_for_a_job_that_fits_between_neither():
    closures = [Closure(booking(1, [0], 10, 20), admitted=False), Closure(booking(2, [0, 1], 25, 40), admitted=False)]
    assert shut_gpus(closures, NOW, 11.0) == {0}
    assert shut_gpus(closures, NOW, 30.0) == {0, 1}
    assert opens_at(closures, [0], NOW, 10.0) == NOW
    assert opens_at(closures, [0], NOW, 11.0) == NOW + 40
    assert opens_at(closures, [0], NOW + 15, 5.0) == NOW + 20
    assert opens_at(closures, [1], NOW, 11.0) == NOW
    assert opens_at(closures, [2], NOW, 1e9) == NOW

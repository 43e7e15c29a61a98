"""Several jobs on one GPU, each with a part of its memory."""

from dataclasses import replace

import pytest
from scenes import GIB, NOW, running, waiting

from dcdaemon.core.booking import Booking
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import ClusterView, GpuBlock, GpuSlot, NodeView, RunningJob
from dcdaemon.scheduler.capacity import check_fits
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.policy import Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import spaces_of

POLICY = Policy()
OLD, YOUNG = NOW - 600, NOW - 20


def gpus(count=2, size_gib=80, used=None, blocked=None) -> tuple[GpuSlot, ...]:
    used, blocked = used or {}, blocked or {}
    return tuple(
        GpuSlot(i, size_gib * GIB, blocked.get(i), mem_used_bytes=None if i not in used else used[i] * GIB)
        for i in range(count)
    )


def cluster(*jobs, nodes=None, bookings=(), **facts) -> ClusterView:
    return ClusterView(tuple(nodes or [NodeView("n1", 64, 512 * GIB, gpus(**facts))]), jobs, bookings=bookings)


def share(job_id, gib, limit_s=None, **rest):
    return waiting(job_id, 1, limit_s, gpu_mem_bytes=gib * GIB, **rest)


def sharing(job_id, gpu, gib, started_at=OLD, ends_in_s=None, on="n1") -> RunningJob:
    return replace(running(job_id, [gpu], ends_in_s, on=on), started_at=started_at, gpu_mem_bytes=gib * GIB)


def decided(view, *jobs, policy=POLICY):
    return plan(view, QueueIndex(jobs), policy, NOW)


def started(view, *jobs, policy=POLICY) -> dict[int, tuple[str, tuple[int, ...]]]:
    return {start.job_id: (start.node, start.gpus) for start in decided(view, *jobs, policy=policy).starts}


def why(view, *jobs, of):
    return explain(view, QueueIndex(jobs), POLICY, NOW, of)


def test_a_share_joins_the_shared_gpu_with_the_least_room_that_still_does():
    view = cluster(sharing(100, 0, 10), sharing(101, 1, 50), sharing(102, 2, 75), count=4)
    assert started(view, share(1, 20)) == {1: ("n1", (1,))}
    assert started(view, share(1, 40)) == {1: ("n1", (0,))}


def test_where_no_shared_gpu_has_room_a_free_one_is_opened_on_the_fullest_node():
    nodes = [NodeView(name, 64, 512 * GIB, gpus()) for name in ("n1", "n2")]
    view = cluster(running(100, [0], on="n2"), nodes=nodes)
    assert started(view, share(1, 20)) == {1: ("n2", (1,))}


def test_whole_jobs_get_no_shared_gpu_and_shares_none_of_a_whole_job():
    assert started(cluster(sharing(100, 0, 1)), waiting(1, 2)) == {}
    assert started(cluster(sharing(100, 0, 1)), waiting(1, 1)) == {1: ("n1", (1,))}
    assert started(cluster(running(100, [0, 1])), share(1, 1)) == {}


def test_what_driver_and_firmware_keep_is_not_shared_out():
    assert started(cluster(sharing(100, 0, 40), count=1), share(1, 39)) == {1: ("n1", (0,))}
    assert started(cluster(sharing(100, 0, 40), count=1), share(1, 40)) == {}
    assert started(cluster(count=1), share(1, 79)) == {1: ("n1", (0,))}


def test_nobody_joins_while_the_newest_job_may_still_be_loading():
    view = cluster(sharing(100, 0, 10), sharing(101, 0, 10, YOUNG), count=1)
    assert started(view, share(1, 10)) == {}
    assert started(view, share(1, 10), policy=Policy(share_holdoff_s=20)) == {1: ("n1", (0,))}
    assert started(cluster(sharing(100, 0, 10, None), count=1), share(1, 10)) == {}, "it is only being started"


def test_one_pass_puts_two_new_jobs_on_one_gpu_only_without_a_hold_off():
    assert started(cluster(count=1), share(1, 10), share(2, 10)) == {1: ("n1", (0,))}
    both = started(cluster(count=1), share(1, 10), share(2, 10), policy=Policy(share_holdoff_s=0))
    assert both == {1: ("n1", (0,)), 2: ("n1", (0,))}


def test_what_is_measured_takes_room_as_well_as_what_was_declared():
    assert started(cluster(sharing(100, 0, 10), count=1, used={0: 60}), share(1, 19)) == {1: ("n1", (0,))}
    assert started(cluster(sharing(100, 0, 10), count=1, used={0: 60}), share(1, 20)) == {}
    assert started(cluster(sharing(100, 0, 50), count=1, used={0: 10}), share(1, 30)) == {}
    assert started(cluster(count=1, used={0: 60}), share(1, 70)) == {1: ("n1", (0,))}, "left by a job that ended"


def test_a_job_that_joins_in_the_same_pass_counts_beside_what_is_measured():
    view = cluster(sharing(100, 0, 10), count=1, used={0: 50})
    at_once = Policy(share_holdoff_s=0)
    assert started(view, share(1, 20), share(2, 9), policy=at_once) == {1: ("n1", (0,)), 2: ("n1", (0,))}
    assert started(view, share(1, 20), share(2, 10), policy=at_once) == {1: ("n1", (0,))}


def test_a_blocked_gpu_takes_no_further_share():
    assert started(cluster(sharing(100, 0, 10), count=1, blocked={0: GpuBlock.DRAINED}), share(1, 10)) == {}


def test_a_share_needs_its_cpus_and_its_memory_too():
    view = ClusterView((NodeView("n1", 2, 4 * GIB, gpus()),), (sharing(100, 0, 10),))
    assert started(view, share(1, 10, cpus=2)) == {}
    assert started(view, share(1, 10, mem_gib=5)) == {}
    assert started(view, share(1, 10, cpus=1, mem_gib=4)) == {1: ("n1", (0,))}


def test_of_gpus_of_several_sizes_one_is_opened_that_is_large_enough():
    small, large = GpuSlot(0, 40 * GIB), GpuSlot(1, 80 * GIB)
    view = ClusterView((NodeView("n1", 64, 0, (small, large)),))
    assert started(view, share(1, 50)) == {1: ("n1", (1,))}
    assert started(replace(view, running=(running(100, [1]),)), share(1, 50)) == {}


def test_a_share_waits_for_a_gpu_and_is_promised_a_whole_one():
    view = cluster(running(100, [0], 600), running(101, [1], 60))
    [kept] = decided(view, share(1, 10)).reservations
    assert (kept.gpus, kept.at) == ((1,), NOW + 60)


def test_a_shared_gpu_is_free_for_a_whole_job_when_its_last_job_ends():
    view = cluster(sharing(100, 0, 10, ends_in_s=60), sharing(101, 0, 10, ends_in_s=900), running(102, [1], 600))
    [kept] = decided(view, waiting(1, 1)).reservations
    assert (kept.gpus, kept.at) == ((1,), NOW + 600)
    [kept] = decided(view, waiting(1, 2)).reservations
    assert (kept.gpus, kept.at) == ((0, 1), NOW + 900)


def test_ends_of_several_shares_are_not_several_gpus():
    view = cluster(sharing(100, 0, 10, ends_in_s=60), sharing(101, 0, 10, ends_in_s=70), running(102, [1]))
    [kept] = decided(view, waiting(1, 2)).reservations
    assert kept.at is None


def test_no_share_goes_onto_a_gpu_that_is_kept_for_somebody_unless_it_ends_in_time():
    view = cluster(sharing(100, 0, 10, ends_in_s=600), running(101, [1], 7200))
    assert started(view, waiting(1, 1), share(2, 10)) == {}
    assert started(view, waiting(1, 1), share(2, 10, 900)) == {}
    assert started(view, waiting(1, 1), share(2, 10, 300)) == {2: ("n1", (0,))}


def test_no_share_outlasts_the_begin_of_a_booking_on_its_gpu():
    booking = Booking(1, "n1", (0,), NOW + 600, NOW + 7200, users=("eve",))
    view = cluster(sharing(100, 0, 10, ends_in_s=500), running(101, [1]), bookings=(booking,))
    assert started(view, share(1, 10)) == {}
    assert started(view, share(1, 10, 3600)) == {}
    assert started(view, share(1, 10, 300)) == {1: ("n1", (0,))}


def test_what_a_queue_may_not_have_it_does_not_share():

    policy = Policy(queues={"half": QueueRule(gpus=frozenset({1}))})
    view = cluster(sharing(100, 0, 10), running(101, [1]))
    assert started(view, share(1, 10, queue="half"), policy=policy) == {}
    assert started(view, share(1, 10), policy=policy) == {1: ("n1", (0,))}


def test_a_share_that_no_gpu_could_hold_is_refused():
    node = NodeView("n1", 64, 512 * GIB, gpus())
    assert check_fits(share(1, 79), (node,)) is None
    too_much = check_fits(share(1, 80), (node,))
    assert (too_much.code, too_much.facts["gpu_mem_total_bytes"]) == (ReasonCode.NEVER_FITS, 79 * GIB)
    assert "asks for 80" in too_much.sentence
    assert "of the largest one 79" in too_much.sentence


def test_a_share_of_gpus_whose_memory_is_unknown_is_refused():
    unknown = NodeView("n1", 64, 512 * GIB, (GpuSlot(0), GpuSlot(1)))
    assert "is not known: ask for whole ones" in check_fits(share(1, 1), (unknown,)).sentence
    assert check_fits(waiting(1, 2), (unknown,)) is None
    assert started(ClusterView((unknown,)), share(1, 1)) == {}


def test_why_tells_how_much_of_a_gpu_is_free():
    view = cluster(sharing(100, 0, 50), sharing(101, 1, 60))
    reason = why(view, share(1, 40), of=1)
    assert reason.code is ReasonCode.GPUS_BUSY
    assert "needs 40 GiB of a GPU, at most 29 GiB of one is free" in reason.sentence
    assert reason.note.startswith("40 GiB of a GPU, 29 GiB free")
    assert reason.unblock.end_jobs in {(100,), (101,)}


def test_why_tells_that_the_newest_job_still_loads():
    view = cluster(sharing(100, 0, 10, YOUNG), count=1)
    reason = why(view, share(1, 10), of=1)
    assert reason.sentence.startswith(
        "Job 1 has room on GPU 0, where the newest job may still be loading, for 40s more."
    )
    assert reason.note == "GPU 0 loads, 40s more"
    assert reason.expected_start_at == NOW + 40
    assert reason.unblock.end_jobs == (100,)


def test_a_list_of_reasons_tells_of_shares_too():
    view = cluster(sharing(100, 0, 50), sharing(101, 1, 60))
    notes = [reason.note for reason in explain_all(view, QueueIndex([share(1, 40), waiting(2, 1)]), POLICY, NOW)]
    assert len(notes) == 2


@pytest.mark.parametrize("used", [{}, {0: 70}])
def test_what_is_taken_and_given_back_leaves_no_trace(used):
    [space] = spaces_of(cluster(sharing(100, 0, 10), used=used))
    [other] = spaces_of(cluster(sharing(100, 0, 10), used=used))
    hold = replace(space.holds[0], job_id=7)
    space.take(hold)
    space.take(replace(hold, job_id=8, gpus=(1,)))
    assert (space.free, space.shared.opening(0).room_bytes) == ([], 0 if used else 59 * GIB)
    space.give_back(8)
    space.give_back(7)
    assert (space.free, space.shared, space.cpus) == (other.free, other.shared, other.cpus)

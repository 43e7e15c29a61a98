"""MIG instances as the scheduler gives them away: one job each, by memory, and never to whole jobs."""

import math
from dataclasses import replace

import pytest
from scenes import GIB, NOW, running, waiting

from dcdaemon.core.booking import Booking
from dcdaemon.core.plan import Reservation
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import ClusterView, GpuBlock, GpuInstance, GpuSlot, NodeView, RunningJob, Standing
from dcdaemon.scheduler.ahead import Line
from dcdaemon.scheduler.backlog import Backlog
from dcdaemon.scheduler.capacity import check_fits
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.instances import gpu_of, name_of, number_of
from dcdaemon.scheduler.policy import Policy, QueueRule
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.start_time_work import Work

POLICY = Policy()


def cut(index: int, *sizes_gib: float, **facts) -> GpuSlot:
    """A GPU that is cut into instances 1/0, 2/0 and so on of these sizes."""
    made = tuple(GpuInstance(f"{place}/0", int(gib * GIB)) for place, gib in enumerate(sizes_gib, 1))
    return GpuSlot(index, 80 * GIB, instances=made, **facts)


def whole(index: int) -> GpuSlot:
    return GpuSlot(index, 80 * GIB)


def cluster(*gpus: GpuSlot, jobs=(), bookings=(), kept=()) -> ClusterView:
    node = NodeView("n1", 64, 512 * GIB, gpus)
    return ClusterView((node,), tuple(jobs), bookings=tuple(bookings), standing=Standing(tuple(kept)))


def share(job_id, gib, limit_s=None, **rest):
    return waiting(job_id, 1, limit_s, gpu_mem_bytes=gib * GIB, **rest)


def on_instance(job_id, gpu, name, ends_in_s=None) -> RunningJob:
    return replace(running(job_id, [gpu], ends_in_s), gpu_mem_bytes=5 * GIB, gpu_instance=name)


def started(view, *jobs, policy=POLICY):
    starts = plan(view, QueueIndex(jobs), policy, NOW).starts
    return {start.job_id: (*start.gpus, start.gpu_instance) for start in starts}


def why(view, *jobs, of):
    return explain(view, QueueIndex(jobs), POLICY, NOW, of)


@pytest.mark.parametrize(("gpu", "name"), [(0, "0/0"), (0, "1/0"), (7, "14/6"), (63, "9/0")])
def test_an_instance_has_a_number_of_its_own_that_tells_which_it_is(gpu, name):
    number = number_of(gpu, name)
    assert number > 4095
    assert (gpu_of(number), name_of(number)) == (gpu, name)


def test_a_gpu_is_its_own_number():
    assert (gpu_of(5), name_of(5)) == (5, None)


def test_all_instances_of_all_gpus_have_different_numbers():
    names = [(gpu, f"{one}/{other}") for gpu in range(64) for one in range(15) for other in range(8)]
    assert len({number_of(gpu, name) for gpu, name in names}) == len(names)


def test_a_share_gets_the_smallest_instance_that_is_large_enough():
    view = cluster(cut(0, 40, 10, 20))
    assert started(view, share(1, 9)) == {1: (0, "2/0")}
    assert started(view, share(1, 15)) == {1: (0, "3/0")}
    assert started(view, share(1, 40)) == {1: (0, "1/0")}, "an instance has no more to keep back"
    assert started(view, share(1, 41)) == {}


def test_each_instance_is_given_once_and_at_once():
    view = cluster(cut(0, 10, 10), jobs=[on_instance(100, 0, "1/0")])
    assert started(view, share(1, 5), share(2, 1)) == {1: (0, "2/0")}, "no other job shares an instance"
    assert started(cluster(cut(0, 10, 10)), share(1, 5), share(2, 5)) == {1: (0, "1/0"), 2: (0, "2/0")}


def test_an_instance_goes_before_a_free_gpu_and_a_shared_gpu_with_less_room_before_both():
    assert started(cluster(whole(0), cut(1, 10)), share(1, 5)) == {1: (1, "1/0")}
    shared = replace(running(100, [0]), gpu_mem_bytes=72 * GIB, started_at=NOW - 600)
    assert started(cluster(whole(0), cut(1, 10), jobs=[shared]), share(1, 5)) == {1: (0, None)}
    assert started(cluster(whole(0), cut(1, 10)), share(1, 5), share(2, 5)) == {1: (1, "1/0"), 2: (0, None)}


def test_whole_jobs_get_no_gpu_that_is_cut():
    view = cluster(cut(0, 40, 40), whole(1))
    assert started(view, waiting(1, 1)) == {1: (1, None)}
    assert started(view, waiting(1, 2)) == {}
    never = check_fits(waiting(1, 2), view.nodes)
    assert never.code is ReasonCode.NEVER_FITS
    assert never.sentence == (
        "Job 0 asks for 2 GPUs, this node has 1. 1 more is cut by MIG: --gpu-mem asks for an instance."
    ).replace("Job 0", never.sentence.split(" asks")[0])


def test_a_gpu_that_is_cut_into_nothing_takes_no_work():
    view = cluster(cut(0))
    assert started(view, waiting(1, 1), share(2, 1)) == {}
    assert check_fits(share(1, 1), view.nodes).code is ReasonCode.NEVER_FITS


def test_what_no_instance_holds_is_refused_with_the_largest_there_is():
    assert check_fits(share(1, 20), cluster(cut(0, 10, 20)).nodes) is None
    never = check_fits(share(1, 21), cluster(cut(0, 10, 20)).nodes)
    assert "21 GiB of a GPU, of the largest one 20 GiB" in never.sentence


def test_a_drained_gpu_gives_no_instance_away():
    view = cluster(cut(0, 10, blocked=GpuBlock.DRAINED, blocked_detail="fan"))
    assert started(view, share(1, 5)) == {}
    reason = why(view, share(1, 5), of=1)
    assert reason.code is ReasonCode.DRAINED
    assert reason.sentence.startswith("Job 1 needs 5 GiB of a GPU: GPU 0 is drained (fan)")
    assert reason.unblock.restore_gpus == (("n1", 0),)


def test_a_stranger_in_one_instance_leaves_the_others():
    slot = cut(0, 10, 10)
    first = replace(slot.instances[0], blocked=GpuBlock.FOREIGN, blocked_detail="pid 7 (python)")
    view = cluster(replace(slot, instances=(first, slot.instances[1])))
    assert started(view, share(1, 5), share(2, 5)) == {1: (0, "2/0")}
    taken = cluster(*view.nodes[0].gpus, jobs=[on_instance(100, 0, "2/0")])
    reason = why(taken, share(1, 5), of=1)
    assert "GPU 0 holds a foreign process (MIG instance 1/0: pid 7 (python))" in reason.sentence


def test_a_whole_job_is_not_told_of_instances_in_trouble():
    slot = cut(0, 10)
    broken = replace(slot, instances=(replace(slot.instances[0], blocked=GpuBlock.FOREIGN),))
    view = cluster(broken, whole(1), jobs=[running(100, [1])])
    reason = why(view, waiting(1, 1), of=1)
    assert (reason.code, reason.facts.get("blocked"), reason.unblock.restore_gpus) == (ReasonCode.GPUS_BUSY, None, ())


def test_why_names_the_job_whose_end_frees_an_instance():
    view = cluster(cut(0, 10, 20), jobs=[on_instance(100, 0, "1/0"), on_instance(101, 0, "2/0", 300)])
    reason = why(view, share(1, 15), of=1)
    assert reason.code is ReasonCode.GPUS_BUSY
    assert reason.facts["gpu_mem_free_bytes"] == 0
    assert reason.unblock.end_jobs == (101,)


def test_an_instance_is_kept_for_the_head_and_no_endless_job_goes_there():
    busy = [on_instance(100, 0, "2/0", 300)]
    view = cluster(cut(0, 10, 20), jobs=busy)
    made = plan(view, QueueIndex([share(1, 15)]), POLICY, NOW)
    [kept] = made.reservations
    assert (kept.gpus, kept.at) == ((number_of(0, "2/0"),), NOW + 300)
    # Until then the small instance is for others, and the large one comes back to its job.
    assert started(view, share(1, 15, queued_at=NOW - 10), share(2, 5)) == {2: (0, "1/0")}
    free = cluster(cut(0, 10, 20), kept=[replace(kept, promised=True, sticky=True)])
    assert started(free, share(1, 15, queued_at=NOW - 10), share(2, 15)) == {1: (0, "2/0")}


def test_a_reservation_of_whole_gpus_counts_on_no_instance():
    jobs = [on_instance(100, 0, "1/0", 10), running(101, [1], 500)]
    made = plan(cluster(cut(0, 40), whole(1), jobs=jobs), QueueIndex([waiting(1, 1)]), POLICY, NOW)
    assert made.reservations == (Reservation(1, "n1", (1,), NOW + 500),)


def test_a_queue_has_the_instances_of_its_gpus():
    policy = Policy(queues={"night": QueueRule(gpus=frozenset({1}))})
    view = cluster(cut(0, 10), cut(1, 10))
    assert started(view, share(1, 5, queue="night"), share(2, 5, queue="night"), policy=policy) == {1: (1, "1/0")}


def test_a_booking_of_a_gpu_books_its_instances():
    booking = Booking(1, "n1", (0,), NOW - 10, NOW + 600, users=("bob",))
    view = cluster(cut(0, 10), jobs=[], bookings=[booking])
    assert started(view, share(1, 5, user="ada")) == {}
    assert started(view, share(1, 5, user="bob")) == {1: (0, "1/0")}
    reason = why(view, share(1, 5, user="ada"), of=1)
    assert reason.code is ReasonCode.BOOKED
    assert reason.facts["booked"][0]["gpus"] == [0]


def test_a_job_on_an_instance_that_is_no_more_holds_nothing():
    [space] = spaces_of(cluster(cut(0, 10), jobs=[on_instance(100, 0, "9/0")]))
    assert space.free_instances == [number_of(0, "1/0")]
    space.give_back(100)
    assert space.free_instances == [number_of(0, "1/0")]


def test_work_ahead_is_known_where_an_endless_job_has_an_instance():
    view = cluster(whole(0), cut(1, 10, 10), jobs=[on_instance(100, 1, "1/0"), running(101, [0], 600)])
    line = Line.of(view, QueueIndex([waiting(1, 1, 600), share(2, 5, 600)]), POLICY, NOW)
    backlog = Backlog.of(view, line, NOW)
    assert backlog.before_s(1) == pytest.approx(600), "the whole GPU is busy for so long"
    assert backlog.before_s(2) is not None


def test_a_cut_gpu_is_no_whole_one_and_each_instance_a_part_for_the_foretold_work():
    work = Work([NodeView("n1", 64, 512 * GIB, (whole(0), cut(1, 10, 10, 10)))], POLICY)
    assert work.share(waiting(1, 1, cpus=0)) == 1.0
    assert work.share(share(2, 5, cpus=0)) == 0.25
    assert Work([NodeView("n1", 64, 512 * GIB, (cut(0, 10),))], POLICY).share(waiting(1, 1)) == math.inf

"""MIG instances through the daemon's control: what is told of them, grants, the environment, who is in the way."""

from dataclasses import replace

import pytest
from scene import ADA, GIB, ROOT, Scene, broken_promises, instance

from dcdaemon.control.booking_wish import BookingWish
from dcdaemon.control.bookings import book_gpus
from dcdaemon.control.gpu_state import mark_strays, slots
from dcdaemon.control.queue_report import queue_lines, your_use
from dcdaemon.control.share_report import share_lines
from dcdaemon.control.start import apply_plan, launch_all, run_cycle, with_environment
from dcdaemon.control.submit import submit
from dcdaemon.control.why import why
from dcdaemon.core.errors import NeverFits
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import JobState
from dcdaemon.core.plan import Plan, Start
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.samples import GpuSample
from dcdaemon.core.view import GpuBlock

FIVE = 5 * GIB


@pytest.fixture
def scene() -> Scene:
    """Two GPUs, of which the first is cut into two instances of 9.75 GiB and one of 20 GiB."""
    scene = Scene(gpus=2)
    cut_into(scene, ("7/0", 9.75), ("8/0", 9.75), ("1/0", 20))
    return scene


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def cut_into(scene: Scene, *made: tuple[str, float]) -> None:
    migs = tuple(instance(0, name, gib) for name, gib in made)
    scene.reading = replace(scene.reading, cut=frozenset({0}), migs=migs)
    scene.sample()


def place(job) -> tuple[tuple[int, ...], str | None]:
    return job.gpus, job.gpu_instance


def test_jobs_get_instances_at_once_and_then_a_whole_gpu_to_share(scene):
    jobs = [scene.run(gpu_mem_bytes=FIVE) for _ in range(4)]
    assert [place(job) for job in jobs] == [((0,), "7/0"), ((0,), "8/0"), ((0,), "1/0"), ((1,), None)]
    scene.cancel(jobs[1])
    scene.advance(0.0)
    assert place(scene.run(gpu_mem_bytes=FIVE)) == ((0,), "8/0")


def test_a_job_is_told_its_instance_by_the_name_that_cuda_takes(scene):
    job = scene.run(gpu_mem_bytes=FIVE)
    env = with_environment(job, {"PATH": "/bin"}, ["MIG-0-7-0"])
    assert (env["CUDA_VISIBLE_DEVICES"], env["DCD_GPU_UUIDS"], env["DCD_GPUS"]) == ("MIG-0-7-0", "MIG-0-7-0", "0")
    assert env["DCD_GPU_INSTANCE"] == "7/0"
    whole = with_environment(scene.run(gpus=1), env, ["GPU-0001"])
    assert "DCD_GPU_INSTANCE" not in whole, "what it submits has it not"


def test_the_engine_is_given_the_uuid_of_the_instance(scene, monkeypatch):
    orders, start = [], scene.engine.start
    monkeypatch.setattr(scene.engine, "start", lambda order: orders.append(order) or start(order))
    scene.run(gpu_mem_bytes=FIVE)
    [order] = orders
    assert (order.gpu_uuids, order.job.gpu_instance) == (("MIG-0-7-0",), "7/0")
    assert order.env["CUDA_VISIBLE_DEVICES"] == "MIG-0-7-0"


def test_an_instance_that_went_after_the_grant_fails_the_start_with_the_reason(scene):
    job = scene.submit(gpu_mem_bytes=FIVE)
    granted = apply_plan(scene.desk, Plan((Start(job.id, "n1", (0,), gpu_instance="7/0"),), (), scene.clock.now()))
    scene.desk.board.gpus = replace(scene.desk.board.gpus, migs=())
    launch_all(scene.desk, granted)
    ended = scene.job(job)
    assert (ended.state, ended.cause) == (JobState.FAILED, "the MIG instance 7/0 of GPU 0 is gone")


def test_a_plan_that_is_late_gives_no_gpu_away_that_was_cut_and_no_instance_that_is_gone(scene):
    one, other = scene.submit(gpus=1), scene.submit(gpu_mem_bytes=FIVE)
    starts = (Start(one.id, "n1", (0,)), Start(other.id, "n1", (0,), gpu_instance="2/0"))
    assert apply_plan(scene.desk, Plan(starts, (), scene.clock.now())) == []
    shared = Plan((Start(other.id, "n1", (0,)),), (), scene.clock.now())
    assert apply_plan(scene.desk, shared) == [], "a share of a GPU that is cut by now"
    assert {scene.state(one), scene.state(other)} == {JobState.WAITING}


def test_two_plans_do_not_give_one_instance_twice(scene):
    one, other = scene.submit(gpu_mem_bytes=FIVE), scene.submit(gpu_mem_bytes=FIVE)
    both = tuple(Start(job.id, "n1", (0,), gpu_instance="7/0") for job in (one, other))
    assert [job.id for job in apply_plan(scene.desk, Plan(both, (), scene.clock.now()))] == [one.id]
    scene.daemon()


def test_whole_gpus_that_are_cut_are_none_at_the_door(scene):
    with pytest.raises(NeverFits, match=r"2 GPUs, this node has 1\. 1 more is cut by MIG: --gpu-mem asks for an inst"):
        submit(scene.desk, ADA, [scene.wish(gpus=2)], {})


def test_a_node_whose_gpus_are_all_cut_says_how_to_ask(scene):
    scene.reading = replace(scene.reading, cut=frozenset({0, 1}))
    scene.sample()
    with pytest.raises(NeverFits, match=r"1 GPU, this node has 0\. 2 are cut by MIG: --gpu-mem asks for an instance"):
        submit(scene.desk, ADA, [scene.wish(gpus=1)], {})


def test_a_restart_knows_who_has_which_instance(scene):
    first, second = scene.run(gpu_mem_bytes=FIVE), scene.run(gpu_mem_bytes=FIVE)
    scene.daemon()
    scene.cycle()
    assert [place(job) for job in scene.desk.book.active()] == [place(first), place(second)]
    assert place(scene.run(gpu_mem_bytes=FIVE)) == ((0,), "1/0")


def test_a_stranger_blocks_its_instance_and_one_that_cannot_be_told_blocks_the_gpu(scene):
    scene.sample({0: [GpuProcess(77, GIB, "eve", "mine.py", 60.0, instance="7/0")]})
    [slot, _] = scene.desk.book.node.gpus
    assert slot.blocked is None
    assert [(one.name, one.blocked) for one in slot.instances] == [
        ("7/0", GpuBlock.FOREIGN), ("8/0", None), ("1/0", None),
    ]  # fmt: skip
    assert place(scene.run(gpu_mem_bytes=FIVE)) == ((0,), "8/0")
    scene.sample({0: [GpuProcess(77, GIB, "eve", "mine.py", 60.0)]})
    assert scene.desk.book.node.gpus[0].blocked is GpuBlock.FOREIGN


def test_the_age_of_a_stranger_is_no_news_for_the_scheduler(scene):
    def news(age_s: float) -> bool:
        stranger = GpuProcess(77, GIB, "eve", "mine.py", age_s, instance="7/0")
        samples = [GpuSample(0.0, 0.0, 0, processes=(stranger,))]
        samples.append(GpuSample(0.0, 0.0, 1, processes=(replace(stranger, instance=None),)))
        return scene.desk.book.set_gpus(slots(replace(scene.reading, samples=tuple(samples)), {}, ()))

    assert (news(60.0), news(61.0)) == (True, False)
    assert "1m1s" in scene.desk.book.node.gpus[0].instances[0].blocked_detail, "what is told of it is the newest"


def test_why_names_the_stranger_in_an_instance(scene):
    scene.run(gpus=1)
    cut_into(scene, ("7/0", 9.75))
    scene.sample({0: [GpuProcess(77, GIB, "eve", "mine.py", 60.0, instance="7/0")]})
    job = scene.run(gpu_mem_bytes=FIVE)
    reason = why(scene.desk, job)
    assert reason.code is ReasonCode.FOREIGN or reason.facts["blocked"]
    assert "(MIG instance 7/0: pid 77 (mine.py, eve, 1m, 1 GiB))" in reason.sentence
    scene.sample()
    scene.cycle()
    assert scene.state(job) is JobState.RUNNING


def test_a_job_in_another_instance_than_its_own_strays(scene):
    job = scene.run(gpu_mem_bytes=FIVE)
    processes = [
        GpuProcess(pid, GIB, instance=name, job_id=job.id) for pid, name in ((1, "7/0"), (2, "8/0"), (3, None))
    ]
    scene.sample({0: processes})
    marked = mark_strays(scene.desk.board.gpus, [job])
    assert [process.stray for process in marked.samples[0].processes] == [False, True, False]


def test_instances_that_are_not_read_any_more_are_not_given_away_and_come_back(scene):
    cut_into(scene)
    scene.run(gpus=1)
    job = scene.submit(gpu_mem_bytes=30 * GIB)
    scene.cycle()
    assert scene.state(job) is JobState.WAITING
    cut_into(scene, ("1/0", 40))
    run_cycle(scene.desk)
    assert place(scene.job(job)) == ((0,), "1/0")


def test_a_job_that_fits_an_instance_is_taken_while_the_driver_is_late(scene):
    """Nobody is refused for good because of a moment without telemetry."""
    scene.reading = replace(scene.reading, cut=frozenset({0, 1}))
    migs = scene.reading.migs
    scene.reading = replace(scene.reading, migs=(), unread=migs)
    scene.sample()
    [job] = submit(scene.desk, ADA, [scene.wish(gpus=1, gpu_mem_bytes=FIVE)], {})
    scene.cycle()
    assert scene.state(job) is JobState.WAITING
    reason = why(scene.desk, job)
    assert "does not answer" in reason.sentence, reason
    scene.reading = replace(scene.reading, migs=migs, unread=())
    scene.sample()
    scene.cycle()
    assert place(scene.job(job)) == ((0,), "7/0")


def test_an_instance_that_falls_silent_between_grant_and_launch_is_still_known_by_its_name(scene):
    job = scene.submit(gpu_mem_bytes=FIVE)
    granted = apply_plan(scene.desk, Plan((Start(job.id, "n1", (0,), gpu_instance="7/0"),), (), scene.clock.now()))
    scene.desk.board.gpus = replace(scene.desk.board.gpus, migs=(), unread=scene.reading.migs)
    launch_all(scene.desk, granted)
    assert scene.state(job) is JobState.RUNNING


def test_compute_instances_of_one_gpu_instance_have_a_part_of_its_memory_each(scene):
    """NVML tells of each all the memory of the GPU instance that they share."""
    cut_into(scene, ("1/0", 20), ("1/1", 20), ("7/0", 9))
    slot = scene.desk.book.node.gpus[0]
    assert [(one.name, one.mem_total_bytes // GIB) for one in slot.instances] == [("1/0", 10), ("1/1", 10), ("7/0", 9)]
    asked = 10 * GIB
    assert [place(scene.run(gpu_mem_bytes=asked)) for _ in range(3)] == [((0,), "1/0"), ((0,), "1/1"), ((1,), None)]


def test_a_stranger_in_a_gpu_instance_is_in_the_way_of_all_that_share_its_memory(scene):
    cut_into(scene, ("1/0", 20), ("1/1", 20), ("7/0", 9.75))
    scene.sample({0: [GpuProcess(77, GIB, "eve", "mine.py", 60.0, instance="1/1")]})
    slot = scene.desk.book.node.gpus[0]
    assert [one.blocked for one in slot.instances] == [GpuBlock.FOREIGN, GpuBlock.FOREIGN, None]


def test_a_job_that_has_an_instance_is_not_held_up_by_a_job_that_still_loads(scene):
    scene.run(gpu_mem_bytes=FIVE)
    assert scene.desk.book.next_settled(scene.clock.now(), 60.0) is None


def test_a_booking_of_so_many_gpus_takes_whole_ones_first(scene):
    made = book_gpus(
        scene.desk, ROOT, BookingWish(count=1, from_at=scene.clock.now() + 60, until_at=scene.clock.now() + 600)
    )
    assert made.gpus == (1,)


def test_jobs_on_the_instances_of_one_gpu_use_one_gpu_in_the_reports(scene):
    jobs = [scene.run(gpu_mem_bytes=FIVE) for _ in range(3)]
    [line] = queue_lines(scene.desk, ADA)
    assert (line.load.running_jobs, line.load.running_gpus) == (3, 1)
    assert your_use(scene.desk, replace(ADA, user=jobs[0].spec.user)).gpus == 1
    assert {one.running_gpus for one in share_lines(scene.desk)} == {1}

"""Shares of a GPU through the daemon's control: grants, the environment, what is measured, what is refused."""

from dataclasses import replace

import pytest
from scene import ADA, GIB, Scene, broken_promises

from dcdaemon.control.drain import refresh_slots
from dcdaemon.control.gpu_state import penalty, slots
from dcdaemon.control.start import apply_plan, run_cycle, with_environment
from dcdaemon.control.submit import submit
from dcdaemon.control.why import why
from dcdaemon.core.errors import BadInput, NeverFits
from dcdaemon.core.job import JobState
from dcdaemon.core.plan import Plan, Start
from dcdaemon.core.samples import GpuReading, GpuSample
from dcdaemon.fakes.engine import Play

HOLDOFF_S = 60.0
TEN, SEVENTY = 10 * GIB, 70 * GIB


@pytest.fixture
def scene() -> Scene:
    return Scene(gpus=2)


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def measure(scene: Scene, **used: int) -> None:
    """Have the newest samples tell what is in use, in GiB: gpu0=30."""
    samples = tuple(
        replace(sample, mem_used_bytes=used.get(f"gpu{sample.gpu}", 0) * GIB)
        for sample in scene.desk.board.gpus.samples
    )
    scene.desk.board.gpus = replace(scene.desk.board.gpus, samples=samples)
    refresh_slots(scene.desk)


def test_two_jobs_share_a_gpu_after_the_hold_off_while_a_whole_one_has_its_own(scene):
    first, whole = scene.run(gpu_mem_bytes=TEN), scene.run(gpus=1)
    second = scene.run(gpu_mem_bytes=TEN)
    assert (first.gpus, whole.gpus, second.state) == ((0,), (1,), JobState.WAITING)
    assert "may still be loading, for 1m more" in why(scene.desk, second).sentence
    scene.advance(HOLDOFF_S)
    assert scene.job(second).gpus == (0,)
    assert scene.desk.book.holders()[0].id == first.id
    assert [job.id for job in scene.desk.book.sharers()[0]] == [first.id, second.id]


def test_a_whole_job_waits_for_the_last_share(scene):
    scene.run(gpus=1, gpu_mem_bytes=TEN, play=Play(run_s=100.0))
    scene.advance(HOLDOFF_S)
    scene.run(gpus=1, gpu_mem_bytes=TEN, play=Play(run_s=100.0))
    wide = scene.run(gpus=2)
    scene.advance(45.0)
    assert scene.state(wide) is JobState.WAITING
    scene.advance(60.0)
    assert scene.job(wide).gpus == (0, 1)


def test_a_share_counts_as_one_gpu_whether_that_is_said_or_not(scene):
    assert [scene.submit(gpus=gpus, gpu_mem_bytes=TEN).spec.gpus for gpus in (0, 1)] == [1, 1]
    with pytest.raises(BadInput, match="memory of one GPU, or for whole GPUs"):
        scene.submit(gpus=2, gpu_mem_bytes=TEN)


def test_a_share_larger_than_any_gpu_is_refused_at_submit(scene):
    with pytest.raises(NeverFits, match="asks for 80 GiB of a GPU, of the largest one 79 GiB can be shared"):
        submit(scene.desk, ADA, [scene.wish(gpu_mem_bytes=80 * GIB)], {})


def test_a_share_of_gpus_whose_memory_nobody_knows_is_refused_at_submit(scene):
    scene.reading = GpuReading(tuple(replace(gpu, mem_total_bytes=None) for gpu in scene.reading.gpus), ())
    scene.sample()
    with pytest.raises(NeverFits, match="how much memory the GPUs have is not known: ask for whole ones"):
        submit(scene.desk, ADA, [scene.wish(gpu_mem_bytes=TEN)], {})


def test_a_job_is_told_its_share_and_sees_its_gpu_as_others_do(scene):
    scene.run(gpus=1)
    env = with_environment(scene.run(gpu_mem_bytes=TEN), {"PATH": "/bin"}, ["GPU-0001"])
    assert (env["CUDA_VISIBLE_DEVICES"], env["DCD_GPUS"], env["DCD_GPU_MEM_BYTES"]) == ("1", "1", str(TEN))


def test_a_whole_job_that_a_share_submitted_is_told_of_no_share(scene):
    env = with_environment(scene.run(gpus=1), {"DCD_GPU_MEM_BYTES": "5", "PATH": "/bin"}, ["GPU-0000"])
    assert (env.get("DCD_GPU_MEM_BYTES"), env["PATH"]) == (None, "/bin")


def test_a_plan_that_is_late_does_not_overfill_a_gpu(scene):
    one, other = scene.submit(gpu_mem_bytes=SEVENTY), scene.submit(gpu_mem_bytes=TEN)
    both = Plan((Start(one.id, "n1", (0,)), Start(other.id, "n1", (0,))), (), scene.clock.now())
    assert [job.id for job in apply_plan(scene.desk, both)] == [one.id]
    assert apply_plan(scene.desk, both) == []
    assert scene.state(other) is JobState.WAITING
    scene.desk.book.put(scene.job(one))
    scene.daemon()


def test_measured_use_keeps_others_off_and_wakes_the_scheduler_when_it_falls(scene):
    scene.run(gpus=1)
    hog = scene.run(gpu_mem_bytes=TEN)
    second = scene.submit(gpu_mem_bytes=20 * GIB)
    measure(scene, gpu1=75)
    scene.advance(HOLDOFF_S)
    assert scene.state(second) is JobState.WAITING
    assert scene.state(hog) is JobState.RUNNING, "nobody is stopped for it"
    scene.wakes = 0
    measure(scene, gpu1=75)
    assert scene.wakes == 0
    measure(scene, gpu1=12)
    assert scene.wakes == 1
    run_cycle(scene.desk)
    assert scene.job(second).gpus == (1,)


def test_the_memory_of_whole_gpus_wakes_nobody(scene):
    scene.run(gpus=2)
    scene.wakes = 0
    measure(scene, gpu0=20, gpu1=60)
    assert scene.wakes == 0


def test_a_restart_knows_who_shares_what(scene):
    first = scene.run(gpu_mem_bytes=TEN)
    scene.run(gpus=1)
    scene.advance(HOLDOFF_S)
    second = scene.run(gpu_mem_bytes=TEN)
    scene.daemon()
    assert [job.id for job in scene.desk.book.sharers()[0]] == [first.id, second.id]
    scene.cancel(first)
    scene.advance(0.0)
    assert scene.run(gpus=1).state is JobState.WAITING


def a_sample(**values: object) -> GpuSample:
    return GpuSample(0.0, 0.0, 0, **values)  # type: ignore[arg-type]


def test_what_speaks_against_a_gpu_is_weighed():
    in_order = penalty(a_sample(temp_margin_c=30.0, clock_event_reasons=0x1 | 0x4, ecc_corrected_volatile=0))
    corrected = penalty(a_sample(ecc_corrected_volatile=3))
    hot = penalty(a_sample(temp_margin_c=2.0))
    held_down = penalty(a_sample(clock_event_reasons=0x40))
    failing = penalty(a_sample(row_remap_pending=1))
    assert 0 == in_order == penalty(None) == penalty(a_sample())
    assert 0 < corrected < hot < held_down < failing
    assert corrected + hot < held_down
    assert penalty(a_sample(recovery_action=1)) == failing


def test_a_gpu_that_is_held_down_is_given_last(scene):
    scene.desk.board.gpus = replace(scene.reading, samples=(
        GpuSample(scene.clock.now(), scene.clock.monotonic(), 0, clock_event_reasons=0x40),
        GpuSample(scene.clock.now(), scene.clock.monotonic(), 1, clock_event_reasons=0x1),
    ))  # fmt: skip
    refresh_slots(scene.desk)
    assert scene.run(gpus=1).gpus == (1,)
    assert scene.run(gpus=1).gpus == (0,)


def test_slots_tell_where_a_gpu_sits_and_what_is_in_use():
    scene = Scene(gpus=1)
    info = replace(scene.reading.gpus[0], numa_node=1)
    [slot] = slots(GpuReading((info,), (a_sample(mem_used_bytes=5 * GIB),)), {}, frozenset())
    assert (slot.neighbourhood, slot.mem_used_bytes, slot.blocked) == ((1,), 5 * GIB, None)
    [unknown] = slots(GpuReading((scene.reading.gpus[0],), (a_sample(),)), {}, frozenset())
    assert (unknown.neighbourhood, unknown.mem_used_bytes) == ((), None)

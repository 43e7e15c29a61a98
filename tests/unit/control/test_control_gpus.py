"""Which GPUs take work: not drained ones, not lost or silent ones, not those a stranger uses."""

from dataclasses import replace

import pytest
from scene import ADA, ROOT, Scene, broken_promises

from dcdaemon.control.drain import drain, refresh_slots, undrain
from dcdaemon.control.gpu_state import attribute_processes, mark_strays
from dcdaemon.control.why import why
from dcdaemon.core.errors import Forbidden, NotFound
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import JobState
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import GpuBlock

STRANGER = GpuProcess(pid=77, mem_used_bytes=3 * 1024**3, user="eve", command="/usr/bin/python mine.py", age_s=3720.0)


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def blocks(scene: Scene) -> dict[int, tuple[GpuBlock | None, str]]:
    return {slot.index: (slot.blocked, slot.blocked_detail) for slot in scene.desk.book.node.gpus}


def usable(scene: Scene) -> list[int]:
    return [gpu for gpu, (block, _) in blocks(scene).items() if block is None]


def test_a_drained_gpu_gets_no_new_job_until_it_is_given_back(scene):
    drain(scene.desk, ROOT, 1, "fan replaced")
    assert blocks(scene)[1] == (GpuBlock.DRAINED, "fan replaced")
    three, four = scene.run(gpus=3), scene.run(gpus=1)
    assert (three.gpus, four.state) == ((0, 2, 3), JobState.WAITING)
    scene.wakes = 0
    undrain(scene.desk, ROOT, 1)
    assert scene.wakes == 1
    scene.cycle()
    assert scene.job(four).gpus == (1,)


def test_a_drain_leaves_the_job_on_the_gpu_alone(scene):
    job = scene.run(gpus=4)
    drain(scene.desk, ROOT, 0, "memory errors")
    scene.cycle()
    assert scene.state(job) is JobState.RUNNING
    scene.cancel(job)
    scene.cycle()
    assert scene.run(gpus=4).state is JobState.WAITING


def test_a_drain_outlives_the_daemon_and_is_in_the_audit(scene):
    drain(scene.desk, ROOT, 2, "loud")
    scene.daemon()
    assert blocks(scene)[2] == (GpuBlock.DRAINED, "loud")
    [mark] = scene.store.marks()
    assert (mark.drained_by, mark.drained_at) == ("root", scene.clock.now())
    assert [(row.action, row.user) for row in scene.store.audit()] == [("drain", "root")]


@pytest.mark.parametrize("act", [lambda desk, actor, gpu: drain(desk, actor, gpu, "x"), undrain])
def test_only_operators_drain_and_only_gpus_that_exist(scene, act):
    with pytest.raises(Forbidden) as forbidden:
        act(scene.desk, ADA, 0)
    assert forbidden.value.message == "ada may not drain GPUs"
    assert forbidden.value.hint == "ask an operator of this node"
    with pytest.raises(NotFound) as unknown:
        act(scene.desk, ROOT, 4)
    assert (unknown.value.message, unknown.value.hint) == ("there is no GPU 4", "dcd gpus lists them")
    assert scene.store.marks() == []
    assert usable(scene) == [0, 1, 2, 3]


def test_a_gpu_with_a_foreign_process_is_not_free(scene):
    scene.sample({2: [STRANGER]})
    assert usable(scene) == [0, 1, 3]
    assert blocks(scene)[2] == (GpuBlock.FOREIGN, "pid 77 (/usr/bin/python mine.py, eve, 1h2m, 3 GiB)")
    job = scene.run(gpus=4)
    assert why(scene.desk, job).code is ReasonCode.FOREIGN
    scene.sample()
    scene.cycle()
    assert scene.state(job) is JobState.RUNNING


def test_a_foreign_process_of_which_nothing_is_known_is_told_so(scene):
    scene.sample({0: [GpuProcess(pid=5, mem_used_bytes=None)]})
    assert blocks(scene)[0] == (GpuBlock.FOREIGN, "pid 5 (?, ?, -, -)")


@pytest.mark.parametrize("command", ["Xorg", "/usr/lib/xorg/Xorg", "/usr/lib/xorg/Xorg :0 -auth /run/x"])
def test_an_allowed_program_blocks_nothing_however_it_was_started(scene, command):
    scene.desk.board.foreign_ok = frozenset({"Xorg"})
    allowed = GpuProcess(pid=9, mem_used_bytes=1, command=command)
    scene.sample({0: [allowed], 1: [allowed, STRANGER]})
    assert usable(scene) == [0, 2, 3]


def test_a_program_that_only_looks_allowed_blocks(scene):
    scene.desk.board.foreign_ok = frozenset({"Xorg"})
    for command in ("/home/eve/x /Xorg", "Xorg2", None):
        scene.sample({0: [GpuProcess(pid=9, mem_used_bytes=1, command=command)]})
        assert usable(scene) == [1, 2, 3], command


def test_a_job_s_own_process_is_not_foreign(scene):
    job = scene.run(gpus=1)
    [pid] = scene.engine.pids(job)
    scene.sample({0: [GpuProcess(pid=pid, mem_used_bytes=1)]})
    owners = scene.engine.owners({pid, 4711}, scene.desk.book.active())
    assert owners == {pid: job.id}
    reading = attribute_processes(scene.desk.board.gpus, owners)
    assert [process.job_id for process in reading.samples[0].processes] == [job.id]


def test_a_lost_gpu_takes_no_work_and_keeps_its_job(scene):
    job = scene.run(gpus=1)
    scene.sample(lost=[0, 3])
    assert blocks(scene)[0] == blocks(scene)[3] == (GpuBlock.HEALTH, "lost")
    assert scene.run(gpus=2).gpus == (1, 2)
    assert scene.state(job) is JobState.RUNNING


def test_gpus_without_a_fresh_sample_take_no_work_and_the_driver_s_word_is_passed_on(scene):
    scene.sample(lost=range(4), driver="driver not loaded")
    assert blocks(scene)[1] == (GpuBlock.HEALTH, "driver not loaded")
    job = scene.run(gpus=1)
    assert why(scene.desk, job).code is ReasonCode.HEALTH


def test_what_an_operator_says_comes_before_what_a_sensor_says(scene):
    drain(scene.desk, ROOT, 0, "for tests")
    scene.sample({0: [STRANGER]}, lost=[1])
    assert blocks(scene)[0] == (GpuBlock.DRAINED, "for tests")


def test_the_scheduler_is_woken_only_when_something_changed(scene):
    scene.sample()
    assert scene.wakes == 0
    scene.sample({0: [STRANGER]})
    assert scene.wakes == 1


def test_a_job_on_a_gpu_that_it_was_not_given_keeps_others_from_it(scene):
    job = scene.run(gpus=1)
    own, stray = replace(STRANGER, pid=78, job_id=job.id), replace(STRANGER, job_id=job.id)
    scene.sample({0: [own], 2: [stray]})
    scene.desk.board.gpus = mark_strays(scene.desk.board.gpus, scene.desk.book.active())
    refresh_slots(scene.desk)
    assert (usable(scene), job.gpus) == ([0, 1, 3], (0,))
    assert blocks(scene)[2][1].endswith(f"3 GiB, of job {job.id})")

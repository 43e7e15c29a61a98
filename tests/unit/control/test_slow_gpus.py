"""A GPU that was slower at its work than the others of its model is given away later."""

from dataclasses import replace

from scene import Scene

from dcdaemon.control.drain import refresh_slots
from dcdaemon.control.slow_gpus import learn_speeds, slow_gpus
from dcdaemon.core.gpu import GpuInfo, GpuSpeed
from dcdaemon.core.samples import GpuSample

H100, A100 = "H100", "A100"


def board(index: int, name: str = H100) -> GpuInfo:
    return GpuInfo(index, f"GPU-{index}", name, None)


def test_a_gpu_is_compared_with_the_fastest_of_its_own_model_alone():
    gpus = [board(0), board(1), board(2), board(3, A100)]
    speeds = [GpuSpeed(0, 60, 1.98e9), GpuSpeed(1, 60, 1.93e9), GpuSpeed(2, 60, 1.90e9), GpuSpeed(3, 60, 1.4e9)]
    assert slow_gpus(speeds, gpus) == {2}


def test_less_than_an_hour_of_work_says_nothing_about_a_gpu_or_others():
    gpus = [board(0), board(1)]
    assert slow_gpus([GpuSpeed(0, 60, 1.9e9), GpuSpeed(1, 59, 1.0e9)], gpus) == set()
    assert slow_gpus([GpuSpeed(0, 60, 1.0e9), GpuSpeed(1, 59, 1.9e9)], gpus) == set()
    assert slow_gpus([GpuSpeed(7, 60, 1.0e9)], gpus) == set(), "a GPU that is not there any more"


def test_a_slow_gpu_is_given_last_and_still_given():
    scene = Scene(gpus=2)
    now = scene.clock.now()
    for minute in range(70):
        scene.store.record([sample(now - 60 * minute, gpu, clock) for gpu, clock in ((0, 1.8e9), (1, 1.98e9))])
    scene.store.flush_samples()
    learn_speeds(scene.desk)
    assert scene.run(gpus=1).gpus == (1,)
    assert scene.run(gpus=1).gpus == (0,)


def test_a_gpu_that_corrects_memory_errors_is_better_than_a_slow_one():
    scene = Scene(gpus=2)
    scene.desk.board.slow = frozenset({0})
    corrected = GpuSample(scene.clock.now(), scene.clock.monotonic(), 1, ecc_corrected_volatile=3)
    in_order = GpuSample(scene.clock.now(), scene.clock.monotonic(), 0)
    scene.desk.board.gpus = replace(scene.reading, samples=(in_order, corrected))
    refresh_slots(scene.desk)
    assert scene.run(gpus=1).gpus == (1,)


def sample(at: float, gpu: int, clock_hz: float) -> GpuSample:
    return GpuSample(at, at, gpu, util_ratio=1.0, sm_clock_hz=int(clock_hz))

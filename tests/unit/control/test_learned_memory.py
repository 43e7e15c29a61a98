"""`--gpu-mem auto`: the share that earlier runs of the same command held at most, and a fifth more."""

import pytest
from scene import ADA, BOB, ENV, GIB, Scene

from dcdaemon.control.learned_memory import share_bytes
from dcdaemon.control.submit import submit
from dcdaemon.core.errors import BadInput, NeverFits, Refused
from dcdaemon.core.ports import UsageDelta
from dcdaemon.fakes.engine import Play

TRAIN = ("python", "train.py", "--seed", "1")
AGAIN = ("/usr/bin/python3", "train.py", "--seed", "77")


def ran(scene: Scene, peak_gib: float | None, exit_code: int = 0, **fields):
    """Run a job to its end; so much it held."""
    job = scene.run(Play(run_s=1.0, exit_code=exit_code), **{"argv": TRAIN, **fields})
    scene.advance(1.0)
    peak = None if peak_gib is None else int(peak_gib * GIB)
    scene.store.book([], [UsageDelta(job.id, 1.0, 1.0, peak)])


def learned(scene: Scene, **fields):
    spec = scene.submit(**{"argv": AGAIN, "gpus": 0, "gpu_mem_auto": True, **fields}).spec
    return spec.gpus, (spec.gpu_mem_bytes or 0) / GIB, spec.gpu_mem_runs


def test_it_is_the_highest_peak_and_a_fifth_up_to_the_next_gib(scene):
    for peak_gib in (5.0, 9.5, 7.0):
        ran(scene, peak_gib)
    assert learned(scene) == (1, 12.0, 3)


@pytest.mark.parametrize(("peak", "gib"), [(0, 1), (1, 1), (5 * GIB // 6, 1), (5 * GIB // 6 + 1, 2), (10 * GIB, 12)])
def test_what_is_asked_for_is_whole_gib(peak, gib):
    assert share_bytes([peak, 0]) == gib * GIB


def test_only_the_last_ten_runs_count(scene):
    ran(scene, 60.0)
    for _ in range(10):
        ran(scene, 5.0)
    assert learned(scene) == (1, 6.0, 10)


def test_only_what_ended_well_on_one_gpu_and_was_measured_counts(scene):
    ran(scene, 40.0, exit_code=1)
    ran(scene, 40.0, gpus=2)
    ran(scene, 40.0, argv=("python", "other.py"))
    ran(scene, 40.0, actor=BOB)
    ran(scene, None)
    ran(scene, 5.0)
    with pytest.raises(Refused) as caught:
        learned(scene)
    assert caught.value.message == (
        "--gpu-mem auto learns from 2 runs of this command on one GPU that ended well; 1 run is known"
    )
    assert caught.value.hint == "run it once or twice with -g 1, or say how much it needs: --gpu-mem 10G"
    ran(scene, 4.0, gpus=1, gpu_mem_bytes=8 * GIB)
    assert learned(scene) == (1, 6.0, 2), "shares count, too"


def test_of_an_unknown_command_nothing_is_queued(scene):
    wishes = [scene.wish(), scene.wish(gpu_mem_auto=True)]
    with pytest.raises(Refused, match="ended well; no run is known"):
        submit(scene.desk, ADA, wishes, ENV)
    assert scene.jobs() == []


def test_what_no_gpu_could_share_is_refused_with_what_to_do(scene):
    for _ in range(2):
        ran(scene, 75.0)
    with pytest.raises(NeverFits) as caught:
        learned(scene)
    assert "asks for 90 GiB of a GPU" in caught.value.message
    assert caught.value.hint.startswith("take a whole GPU with -g 1")


@pytest.mark.parametrize("fields", [{"gpus": 2}, {"gpu_mem_bytes": GIB}])
def test_it_is_one_gpu_and_learned_or_said_but_not_both(scene, fields):
    with pytest.raises(BadInput, match="has it learned"):
        scene.submit(gpu_mem_auto=True, **fields)


def test_all_jobs_of_a_request_and_of_an_array_learn_at_once(scene):
    for _ in range(2):
        ran(scene, 10.0)
    jobs = submit(scene.desk, ADA, [scene.wish(argv=AGAIN, gpu_mem_auto=True, array="0-3"), scene.wish()], ENV)
    assert [job.spec.gpu_mem_bytes for job in jobs] == [12 * GIB] * 4 + [None]

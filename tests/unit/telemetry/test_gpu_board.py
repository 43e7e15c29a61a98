import json

import pytest

from dcdaemon.core.gpu import GpuProcess
from dcdaemon.telemetry.gpu_board import GpuBoard

FRESH_S, DEADLINE_S = 3.0, 5.0


def line(**message: object) -> bytes:
    return json.dumps(message).encode()


def sample(gpu: int, at_s: float, **values: object) -> bytes:
    return line(sample={"at": 1e9 + at_s, "monotonic_s": at_s, "gpu": gpu} | values, processes=None, dropped=0)


@pytest.fixture
def board() -> GpuBoard:
    board = GpuBoard(FRESH_S, DEADLINE_S, lambda pid, used: GpuProcess(pid, used) if pid < 100 else None)
    board.new_child(0.0)
    board.hear(line(hello={"driver_version": "580.1", "count": 2}), 0.0)
    for gpu in (1, 0):
        board.hear(line(info={"index": gpu, "uuid": f"GPU-{gpu}", "name": "X", "mem_total_bytes": None}), 0.0)
        board.hear(sample(gpu, 0.0, util_ratio=0.5), 0.0)
    return board


def test_a_sample_is_withdrawn_after_three_intervals_though_its_gpu_stays_known(board):
    board.hear(sample(1, 2.0), 2.0)
    assert [s.gpu for s in board.reading(3.0).samples] == [0, 1]
    assert [s.gpu for s in board.reading(3.01).samples] == [1]
    assert [info.uuid for info in board.reading(99.0).gpus] == ["GPU-0", "GPU-1"]


def test_silence_becomes_an_error_at_the_deadline_and_counts_from_the_last_answer(board):
    assert board.reading(5.0).driver_error is None
    board.new_child(6.0)
    assert board.reading(12.0).driver_error == "the driver does not answer since 12 s"
    board.hear(sample(0, 12.5), 12.5)
    assert board.reading(12.6).driver_error is None


def test_silence_is_measured_for_the_child_and_for_its_most_silent_gpu(board):
    board.hear(sample(0, 4.0), 4.0)
    assert board.silence_s(6.0) == (2.0, 6.0)


def test_blame_holds_until_the_next_sample(board):
    board.blame("the telemetry child was ended by SIGSEGV")
    board.hear(line(hello={"driver_version": "580.1", "count": 2}), 1.0)
    assert board.reading(1.0).driver_error == "the telemetry child was ended by SIGSEGV"
    board.hear(sample(0, 1.1), 1.1)
    assert board.reading(1.1).driver_error is None


def test_a_driver_with_fewer_gpus_makes_the_others_unknown(board):
    board.hear(line(hello={"driver_version": "581", "count": 1}), 1.0)
    reading = board.reading(1.0)
    assert [info.index for info in reading.gpus] == [s.gpu for s in reading.samples] == [0]
    assert reading.driver_version == "581"


def test_a_lost_gpu_stays_lost_until_it_answers_again(board):
    board.hear(sample(0, 1.0, error="lost"), 1.0)
    assert board.reading(50.0).lost == {0}
    board.hear(sample(0, 51.0), 51.0)
    assert board.reading(51.0).lost == frozenset()


def test_processes_that_are_not_here_are_left_out_and_an_unknown_list_is_not_an_empty_one(board):
    board.hear(line(sample={"at": 1, "monotonic_s": 1, "gpu": 0}, processes=[[7, 5], [4000, 5]], dropped=2), 1.0)
    assert board.reading(1.0).samples[0].processes == (GpuProcess(7, 5),)
    assert board.reading(1.0).samples[1].processes is None
    assert board.dropped == 2


def test_a_list_of_processes_holds_until_the_next_list_or_the_next_child(board):
    board.hear(line(sample={"at": 1, "monotonic_s": 1, "gpu": 0}, processes=[[7, 5]], dropped=0), 1.0)
    unlisted = line(sample={"at": 2, "monotonic_s": 2, "gpu": 0}, dropped=0)
    board.hear(unlisted, 2.0)
    assert board.reading(2.0).samples[0].processes == (GpuProcess(7, 5),)
    board.hear(line(hello={"driver_version": "580.1", "count": 2}), 2.0)
    board.hear(unlisted, 2.0)
    assert board.reading(2.0).samples[0].processes is None


@pytest.mark.parametrize("garbage", [b"", b"{", b"{}", b'{"sample": {"gpu": 1}}', b'{"sample": {"volts": 1}}'])
def test_a_line_the_child_cannot_mean_is_refused_and_changes_nothing(board, garbage):
    before = board.reading(1.0)
    with pytest.raises((ValueError, KeyError, TypeError)):
        board.hear(garbage, 1.0)
    assert board.reading(1.0) == before

from dataclasses import replace

import pytest

from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.samples import GpuSample, MigSample
from dcdaemon.telemetry.gpu_board import GpuBoard
from dcdaemon.telemetry.gpu_watch import Answer

FRESH_S, MIGS_FRESH_S, DEADLINE_S = 3.0, 15.0, 5.0
NOBODY = lambda *_: None  # noqa: E731  no process is known
HOT, SLOW = ["util_ratio", "power_w"], ["mem_used_bytes", "retired_pages"]
UTIL, POWER = 0.5, 300.0


def hello(count: int = 2, version: str = "580.1") -> dict:
    return {"hello": {"driver_version": version, "count": count, "names": HOT + SLOW, "hot": len(HOT)}}


def said(gpu: int, at_s: float, *hot: float | None, **more: object) -> dict:
    """What a sweep says of one GPU."""
    values = [*hot] or [UTIL, POWER]
    row = [gpu, 1e9 + at_s, at_s, None if "error" in more else values, *([more] if more else [])]
    return {"gpus": [row]}


def info(gpu: int) -> dict:
    return {"index": gpu, "uuid": f"GPU-{gpu}", "name": "X", "mem_total_bytes": None}


@pytest.fixture
def board() -> GpuBoard:
    board = GpuBoard(FRESH_S, MIGS_FRESH_S, DEADLINE_S, lambda pid, used: GpuProcess(pid, used) if pid < 100 else None)
    board.new_child(0.0)
    board.hear(hello(), 0.0)
    for gpu in (1, 0):
        board.hear(said(gpu, 0.0, info=info(gpu)), 0.0)
    return board


def samples(board: GpuBoard, now_s: float) -> list[int]:
    return [s.gpu for s in board.reading(now_s).samples]


def test_a_sample_holds_what_the_line_says_under_the_names_of_the_hello(board):
    board.hear(said(0, 1.0, 0.25, None, slow=[2, 77, 3, 5]), 1.0)
    assert board.reading(1.0).samples[0] == GpuSample(
        1e9 + 1, 1.0, 0, util_ratio=0.25, power_w=None, mem_used_bytes=77, retired_pages=5
    )


def test_what_is_read_seldom_stays_until_it_is_said_again(board):
    board.hear(said(0, 1.0, slow=[2, 77, 3, 5]), 1.0)
    board.hear(said(0, 2.0, 0.9, 1.0), 2.0)
    first = board.reading(2.0).samples[0]
    assert (first.util_ratio, first.mem_used_bytes, first.retired_pages) == (0.9, 77, 5)
    board.hear(said(0, 3.0, slow=[2, None]), 3.0)
    assert (board.reading(3.0).samples[0].mem_used_bytes, board.reading(3.0).samples[0].retired_pages) == (None, 5)
    board.hear(hello(), 4.0)
    board.hear(said(0, 4.0), 4.0)
    assert board.reading(4.0).samples[0].retired_pages is None


def test_a_sample_is_withdrawn_after_three_intervals_though_its_gpu_stays_known(board):
    board.hear(said(1, 2.0), 2.0)
    assert samples(board, 3.0) == [0, 1]
    assert samples(board, 3.01) == [1]
    assert [info.uuid for info in board.reading(99.0).gpus] == ["GPU-0", "GPU-1"]


def test_silence_becomes_an_error_at_the_deadline_and_counts_from_the_last_answer(board):
    assert board.reading(5.0).driver_error is None
    board.new_child(6.0)
    assert board.reading(12.0).driver_error == "the driver does not answer since 12 s"
    board.hear(said(0, 12.5), 12.5)
    assert board.reading(12.6).driver_error is None


def test_silence_is_measured_for_the_child_and_for_each_gpu(board):
    board.hear(said(0, 4.0), 4.0)
    assert board.silence_s(6.0) == 2.0
    assert board.answers(6.0) == {0: Answer(2.0), 1: Answer(6.0)}
    board.hear(said(1, 7.0, error="lost"), 7.0)
    board.hear(said(1, 8.0, error="lost"), 8.0)
    assert board.answers(9.0)[1] == Answer(1.0, "lost", lost_s=2.0)


def test_blame_holds_until_the_next_sample(board):
    board.blame("the telemetry child was ended by SIGSEGV")
    board.hear(hello(), 1.0)
    assert board.reading(1.0).driver_error == "the telemetry child was ended by SIGSEGV"
    board.hear(said(0, 1.1), 1.1)
    assert board.reading(1.1).driver_error is None


def test_a_driver_with_fewer_gpus_makes_the_others_unknown(board):
    board.hear(hello(1, "581"), 1.0)
    reading = board.reading(1.0)
    assert [info.index for info in reading.gpus] == [s.gpu for s in reading.samples] == [0]
    assert reading.driver_version == "581"


def test_a_lost_gpu_tells_nothing_and_stays_lost_until_it_answers_again(board):
    board.hear(said(0, 1.0, error="lost"), 1.0)
    assert board.reading(1.0).samples[0] == GpuSample(1e9 + 1, 1.0, 0, error="lost")
    assert board.reading(50.0).lost == {0}
    board.hear(said(0, 51.0), 51.0)
    assert board.reading(51.0).lost == frozenset()


def test_processes_that_are_not_here_are_left_out_and_an_unknown_list_is_not_an_empty_one(board):
    board.hear(said(0, 1.0, processes=[[7, 5, 0.4, "9/0"], [4000, 5, None, None]]), 1.0)
    assert board.reading(1.0).samples[0].processes == (GpuProcess(7, 5, sm_util_ratio=0.4, instance="9/0"),)
    assert board.reading(1.0).samples[1].processes is None


def test_a_list_of_processes_holds_until_the_next_list_or_the_next_child(board):
    board.hear(said(0, 1.0, processes=[[7, 5, None, None]]), 1.0)
    board.hear(said(0, 2.0), 2.0)
    assert board.reading(2.0).samples[0].processes == (GpuProcess(7, 5),)
    board.hear(said(0, 2.1, processes=None), 2.1)
    assert board.reading(2.1).samples[0].processes is None
    board.hear(said(0, 2.2, processes=[]), 2.2)
    board.hear(hello(), 2.3)
    board.hear(said(0, 2.4), 2.4)
    assert board.reading(2.4).samples[0].processes is None


def test_mig_instances_hold_until_the_next_list_or_until_they_are_too_old(board):
    row = ["9/0", "MIG-1", "1g.10gb", 5, 10, 0.3, 0.2, 0.1]
    mig = MigSample(
        1e9 + 1, 0, "9/0", "MIG-1", "1g.10gb", 5, 10,
        sm_active_ratio=0.3, tensor_active_ratio=0.2, dram_active_ratio=0.1,
    )  # fmt: skip
    board.hear(said(0, 1.0, migs=[row]), 1.0)
    board.hear(said(0, 16.0), 16.0)
    assert board.reading(16.0).migs == (mig,)
    assert board.reading(16.01).migs == ()
    board.hear(said(0, 17.0, migs=[row]), 17.0)
    assert board.reading(17.0).migs == (replace(mig, at=1e9 + 17),)
    board.hear(said(0, 18.0, migs=[]), 18.0)
    assert board.reading(18.0).migs == ()


def test_a_gpu_is_cut_until_a_child_says_otherwise(board):
    assert board.reading(0.0).cut == frozenset()
    board.hear(said(1, 1.0, cut=True), 1.0)
    board.hear(said(1, 2.0), 2.0)
    assert board.reading(2.0).cut == {1}
    # Nobody may take it for whole before a new child has looked.
    board.new_child(3.0)
    board.hear(hello(), 3.0)
    assert board.reading(3.0).cut == {1}
    board.hear(said(1, 4.0, cut=False), 4.0)
    assert board.reading(4.0).cut == frozenset()


def test_instances_that_are_not_read_now_are_still_known(board):
    rows = [["9/0", "MIG-1", "1g.10gb", 5, 10, None, None, None]]
    board.hear(said(0, 1.0, cut=True, migs=rows), 1.0)
    assert (len(board.reading(1.0).migs), board.reading(1.0).unread) == (1, ())
    late = board.reading(100.0)
    assert (late.migs, [mig.instance for mig in late.unread]) == ((), ["9/0"])
    board.new_child(101.0)
    board.hear(hello(), 101.0)
    assert [mig.uuid for mig in board.reading(101.0).unread] == ["MIG-1"]
    board.release(1e9)
    assert (board.reading(102.0).cut, len(board.reading(102.0).unread)) == ({0}, 1)
    board.release(None)
    board.hear(said(0, 103.0, cut=True, migs=[]), 103.0)
    assert (board.reading(103.0).migs, board.reading(103.0).unread) == ((), ())


def test_a_released_driver_withdraws_everything_but_what_the_gpus_are(board):
    board.release(1e9)
    reading = board.reading(0.1)
    assert (reading.samples, reading.released_until, len(reading.gpus)) == ((), 1e9, 2)
    assert reading.driver_error.endswith(" (dcd gpus release --end takes it back)")
    board.release(None)
    board.new_child(700.0)
    assert board.answers(701.0) == {0: Answer(1.0, said=False), 1: Answer(1.0, said=False)}
    assert (board.reading(701.0).driver_error, board.reading(701.0).samples) == (None, ())


def test_the_newest_xid_and_the_odd_values_go_with_the_sample():
    noticed = []
    board = GpuBoard(
        FRESH_S, MIGS_FRESH_S, DEADLINE_S, NOBODY,
        last_xid={0: 79}.get, notice=lambda *news: noticed.append(news),
    )  # fmt: skip
    board.hear(hello(1), 0.0)
    board.hear(said(0, 1.0, odd=[["temp_c", 4e6]]), 1.0)
    (sample,) = board.reading(1.0).samples
    assert sample.last_xid == 79
    assert noticed == [(sample, [["temp_c", 4e6]])]
    board.hear(said(0, 2.0, error="lost"), 2.0)
    (lost,) = board.reading(2.0).samples
    assert (lost.error, lost.last_xid) == ("lost", 79)


def test_it_is_known_what_there_is_when_every_gpu_was_heard_or_none_will_be():
    board = GpuBoard(FRESH_S, MIGS_FRESH_S, DEADLINE_S, NOBODY)
    assert not board.known()
    board.hear(hello(), 0.0)
    board.hear(said(0, 0.0), 0.0)
    assert not board.known()
    board.hear(said(1, 0.0, error="lost"), 0.0)
    assert board.known()
    without = GpuBoard(FRESH_S, MIGS_FRESH_S, DEADLINE_S, NOBODY)
    without.hear({"driver_error": "no driver", "code": 9}, 0.0)
    assert without.known()
    assert without.absent


@pytest.mark.parametrize(
    "garbage",
    [
        {}, {"gpus": [[9, 1, 1, [0.5, 300.0]]]}, {"gpus": [[0, 1, 1, [0.5]]]}, {"gpus": [[0, 1]]}, {"gpus": [0]},
        {"gpus": [[0, 1, 1, None]]}, {"gpus": [[0, 1, 1, [0.5, 1.0], {"migs": [[1]]}]]},
        {"gpus": [[0, 1, 1, [0.5, 1.0], {"info": {"volts": 3}}]]}, {"gpus": [[0, 1, 1, [0.5, 1.0], {"slow": [1]}]]},
        {"gpus": [[1, 1, 1, [0.7, 1.0]], [0, 1, 1, [0.5, 1.0], {"slow": [99, 1]}]]},
        {"hello": {"driver_version": "1", "count": 1, "names": ["volts"], "hot": 0}},
    ],
)  # fmt: skip
def test_a_line_the_child_cannot_mean_is_refused_and_changes_nothing(board, garbage):
    before = board.reading(1.0)
    with pytest.raises((ValueError, LookupError, TypeError)):
        board.hear(garbage, 1.0)
    assert board.reading(1.0) == before

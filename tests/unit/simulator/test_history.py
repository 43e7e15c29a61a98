"""The node's own history: read while it comes in, whatever the pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.errors import BadInput
from dcdaemon.simulator.history import documents, read_history
from dcdaemon.simulator.workload import LeftOut, RecordedJob


def ended(at, run_s, gpus, limit_s=None, **rest):
    return {
        "submitted_at": f"2026-03-01T12:00:{at:06.3f}+00:00",
        "run_s": run_s,
        "gpus_asked": gpus,
        "limit_s": limit_s,
        "user": "ada",
        "argv": ["python3", "train.py", "--lr", "0.1"],
        "state": "succeeded",
        **rest,
    }


def answer(*jobs, indent=None) -> bytes:
    return json.dumps({"schema": 1, "jobs": list(jobs), "totals": {"jobs": len(jobs)}}, indent=indent).encode()


def test_jobs_are_sorted_by_submit_and_counted_from_the_first():
    body = answer(ended(30, 5.5, 2, 60.0), ended(10.25, 7.0, 1))
    whose = ("ada", "python train.py --lr #")
    assert read_history([body]).jobs == [RecordedJob(0, 7, 1, None, *whose), RecordedJob(19.75, 5.5, 2, 60, *whose)]


def test_jobs_that_never_ran_or_have_no_gpu_are_counted():
    body = answer(ended(1, None, 2), ended(2, 1.0, 0), ended(3, 1.0, 1))
    assert read_history([body]).left_out == LeftOut(without_gpus=1, never_ran=1)


def test_a_history_without_gpu_jobs_says_what_to_do():
    for body in (answer(), answer(ended(1, None, 2))):
        with pytest.raises(BadInput, match="the history of this node holds no job that ran on a GPU") as caught:
            read_history([body])
        assert "--since" in caught.value.hint


texts = st.dictionaries(st.sampled_from(["name", "argv", "cause"]), st.text() | st.just('"jobs":[{]}') | st.none())


@given(st.lists(texts, max_size=5), st.sampled_from([None, 2]), st.lists(st.integers(1, 40), max_size=30))
def test_every_way_to_cut_the_answer_gives_the_same_jobs(jobs, indent, sizes):
    body, pieces = answer(*jobs, indent=indent), []
    for size in [*sizes, 10**6]:
        pieces.append(body[:size])
        body = body[size:]
    assert list(documents(pieces)) == jobs


@pytest.mark.parametrize(
    "body", [b"", b'{"schema": 1', answer(ended(1, 1.0, 1))[:60], b'{"jobs": [{"a": 1}, ', b'{"x": "\xc3']
)
def test_an_answer_that_is_cut_short_is_no_history(body):
    with pytest.raises(BadInput, match="the history"):
        list(documents([body]))

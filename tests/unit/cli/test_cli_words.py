"""Figures and words of the tables."""

import time
from datetime import UTC, datetime

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.cli.show import words
from dcdaemon.cli.show.jobs import clock, gpus, note

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-05T11:59:59+00:00", "1s ago"),
        ("2026-01-05T11:56:10+00:00", "3m ago"),
        ("2026-01-05T12:00:00+02:00", "2h ago"),
        ("2026-01-03T10:30:00+00:00", "2d1h ago"),
        ("2026-01-05T12:05:30+00:00", "in 5m"),
        (None, "-"),
    ],
)
def test_ages(text, shown):
    assert words.ago(text, NOW) == shown


def test_unknown_is_a_dash_and_never_zero():
    shown = [
        words.percent(None),
        words.watts(None),
        words.celsius(None),
        words.energy(None),
        words.gpu_hours(None),
        words.duration(None),
        words.memory(None),
        words.memory_of(None, 5),
        words.when(None),
    ]
    assert set(shown) == {"-"}
    assert words.percent(0.0) == "0%"


def test_figures():
    assert words.energy(2628000.0) == "0.73 kWh"
    assert words.gpu_hours(5400) == "1.50"
    assert words.memory_of(2**30 // 2, 80 * 2**30) == "0.5/80 GiB"
    assert words.values({"accuracy": 0.98531, "epoch": 12, "phase": "test"}) == "accuracy 0.9853, epoch 12, phase test"
    assert words.values({"loss": 0.5, "checkpoint_at": time.time() - 200}) == "loss 0.5, saved 3m ago"
    assert words.values({"checkpoint_at": float("inf")}) == "checkpoint_at inf", "a job can report anything"
    assert (words.count(1, "GPU"), words.count(2, "GPU")) == ("1 GPU", "2 GPUs")


@given(st.sets(st.integers(1, 60)))
def test_spans_name_exactly_the_numbers(numbers):
    named: set[int] = set()
    for part in filter(None, words.spans(list(numbers)).split(", ")):
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers


@given(st.text())
def test_printable_text_stays_on_its_line(text):
    shown = words.printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (documents.job(1, "x"), "gpu 93%, 612 W"),
        (documents.job(1, "x", gpu_power_w=None, reported={"loss": 0.25}), "gpu 93%, loss 0.25"),
        (documents.job(1, "x", gpu_util_ratio=None, gpu_power_w=None), ""),
        (
            documents.job(1, "x", gpu_util_ratio=0.01, gpu_power_w=80.0, anomalies=[{"id": 7, "rule": "idle_gpu"}]),
            "gpu 1%, 80 W: looks idle (anomaly 7)",
        ),
        (
            documents.job(1, "x", gpu_util_ratio=None, gpu_power_w=None, anomalies=[{"id": 7, "rule": "gpu_lost"}]),
            "gpu lost (anomaly 7)",
        ),
        (documents.waiting(1, "x", "u", 4, 1.0, "4 GPUs needed, 3 free"), "4 GPUs needed, 3 free"),
        ({**documents.waiting(1, "x", "u", 4, 1.0, "y"), "held": True}, "held"),
        ({**documents.waiting(1, "x", "u", 4, 1.0, "y"), "reason": None}, ""),
        (documents.ended(1, "x", "failed", exit_code=3), "exit code 3"),
        (documents.ended(1, "x", "failed", exit_code=None, signal=9), "signal 9"),
        (documents.ended(1, "x", "lost", cause="its record is gone"), "its record is gone"),
        (documents.ended(1, "x", "succeeded", reported={"accuracy": 0.98}), "accuracy 0.98"),
    ],
)
def test_notes(job, shown):
    assert note(job) == shown


def test_times_and_gpus_of_jobs():
    running, queued = documents.job(1, "x", limit_s=14400.0), documents.waiting(2, "x", "u", 4, 720.0, "y")
    assert (clock(running), gpus(running)) == ("1h12m/4h", "2")
    assert (clock(queued), gpus(queued)) == ("12m", "4 asked")
    assert gpus({**queued, "gpus_asked": 0}) == "-"
    assert clock(documents.ended(1, "x", "succeeded", limit_s=14400.0)) == "1h12m"

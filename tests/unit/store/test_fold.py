"""Mean, range and growth, against the plain way of working them out."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.store.fold import Counter, Folding, Gauge, Layout, growth

GAUGE_AND_COUNTER = Layout(1, (Gauge, Counter), simulated=False)
KNOWN = st.integers(0, 1000)
VALUES = st.lists(st.none() | KNOWN, max_size=12)


def row(ts: int, gauge: float | None, counter: int | None, device: str = "a") -> tuple[Any, ...]:
    return ts, device, gauge, counter


@given(st.lists(VALUES, max_size=4))
def test_a_gauge_in_pieces_is_the_gauge_at_once(pieces: list[list[int | None]]) -> None:
    gauge = Gauge()
    for values in pieces:
        gauge.add(tuple(values))
    known = [value for values in pieces for value in values if value is not None]
    expected = (sum(known) / len(known), min(known), max(known)) if known else (None, None, None)
    assert gauge.columns() == expected


@given(st.lists(VALUES, max_size=4))
def test_a_counter_in_pieces_is_the_counter_at_once(pieces: list[list[int | None]]) -> None:
    counter = Counter()
    for values in pieces:
        counter.add(tuple(values))
    known = [value for values in pieces for value in values if value is not None]
    steps = [now - before if now >= before else now for before, now in itertools.pairwise(known)]
    assert counter.columns() == ((sum(steps),) if steps else (None,))
    assert counter.last == (known[-1] if known else None)


@pytest.mark.parametrize(
    ("known", "grown"),
    [([5, 5], 0), ([5, 9, 12], 7), ([100, 150, 30, 40], 50 + 30 + 10), ([9, 0, 0], 0), ([1.5, 2.0], 0.5)],
)
def test_a_reset_counter_has_grown_from_zero(known: list[float], grown: float) -> None:
    assert growth(known) == grown


def test_each_bucket_and_device_has_its_row() -> None:
    folding = Folding(GAUGE_AND_COUNTER, 60)
    folding.add([row(0, 1.0, 10), row(0, 5.0, 1, "b"), row(30, 3.0, 12), row(60, 7.0, 20)])
    assert list(folding.rows()) == [
        (0, "a", 2, 2.0, 1.0, 3.0, 2),
        (0, "b", 1, 5.0, 5.0, 5.0, None),
        (60, "a", 1, 7.0, 7.0, 7.0, 8),
    ]


def test_growth_crosses_the_edges_of_chunks_and_begins_at_the_row_before() -> None:
    folding = Folding(GAUGE_AND_COUNTER, 60)
    chunk = [row(60, 1.0, 15), row(70, 1.0, 5)]
    assert folding.unseen(chunk) == {("a",)}
    folding.begin(("a",), [row(50, 99.0, 10), row(55, 99.0, None)])
    folding.add(chunk)
    assert folding.unseen([row(90, 1.0, 1, "b"), row(90, 1.0, 1)]) == {("b",)}
    folding.add([row(80, 1.0, None), row(110, 1.0, 8)])
    assert list(folding.rows()) == [(60, "a", 4, 1.0, 1.0, 1.0, 5 + 5 + 3)]


def test_one_simulated_sample_marks_the_bucket() -> None:
    folding = Folding(Layout(0, (Gauge,), simulated=True), 60)
    folding.add([(0, 1.0, False), (5, 1.0, True), (61, 1.0, None)])
    assert [found[-1] for found in folding.rows()] == [True, False]


@given(st.lists(st.tuples(st.integers(0, 300), st.none() | st.floats(0, 1e6), st.none() | KNOWN), max_size=30))
def test_an_hour_in_chunks_is_the_hour_at_once(readings: list[tuple[int, float | None, int | None]]) -> None:
    rows = [row(*reading) for reading in sorted(readings, key=lambda reading: reading[0])]
    at_once, in_chunks = Folding(GAUGE_AND_COUNTER, 3600), Folding(GAUGE_AND_COUNTER, 3600)
    at_once.add(rows)
    for start in range(0, 360, 60):
        in_chunks.add([found for found in rows if start <= found[0] < start + 60])
    for one, other in zip(at_once.rows(), in_chunks.rows(), strict=True):
        assert one[:3] == other[:3]
        assert one[3] is other[3] or math.isclose(one[3], other[3])
        assert one[4:] == other[4:]

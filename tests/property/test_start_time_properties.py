"""Whatever happens to jobs, forecasts are sane, alike for the same history, and cost no memory that grows with it."""

import math
import sys
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.view import GpuSlot, NodeView, QueuedJob
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.start_time import LEAST_S, StartForecast, StartTimes
from dcdaemon.scheduler.start_time_errors import STARTED_KEPT, WAITING_KEPT
from dcdaemon.scheduler.start_time_room import Room

NODES = tuple(NodeView(f"n{number}", 8, 100, tuple(GpuSlot(gpu) for gpu in range(8))) for number in range(3))
seconds = st.one_of(st.floats(0, 1e3), st.floats(0, 1e7), st.sampled_from([0.0, 1.0, 1e9]))


@st.composite
def moves(draw):
    """What happens next: after how long, to which job, and what it asks for."""
    return (
        draw(seconds), draw(st.sampled_from(["submit", "submit", "start", "end", "leave"])), draw(st.integers(0, 9)),
        draw(st.integers(0, 24)), draw(st.integers(0, 9)), draw(st.one_of(st.none(), seconds)),
        Room(draw(st.booleans()), draw(st.integers(0, 24))), draw(st.integers(0, 3)),
    )  # fmt: skip


histories = st.lists(moves(), max_size=60)


def live(history, order=Order.SHORTEST) -> list[StartForecast | None]:
    starts, now, known, found = StartTimes(NODES, Policy(order=order, gangs=True), lambda s: s), 0.0, deque(), []
    for number, (pause_s, what, which, gpus, cpus, predicted_s, room, alike) in enumerate(history):
        now += pause_s
        if what == "submit":
            job = QueuedJob(number, number, 50 + which, gpus, cpus, 0, None, queued_at=now, predicted_s=predicted_s)
            foretold = starts.foretell(job, room, now, alike)
            found.append(foretold)
            if foretold is not None:
                assert now <= foretold.low_at <= foretold.at <= foretold.high_at
                assert foretold.high_at >= now + LEAST_S
                assert math.isfinite(foretold.high_at)
                starts.watch(number, foretold)
            starts.queued(job)
            known.append(number)
        elif known:
            job_id = known[which % len(known)]
            if what == "start":
                starts.started(job_id, now)
            else:
                starts.left(job_id)
                known.remove(job_id)
    return found


@given(histories, st.sampled_from(Order))
def test_a_forecast_is_in_order_and_never_in_the_past_and_the_same_for_the_same_history(history, order):
    assert live(history, order) == live(history, order)


def size_of(value: object, seen: set[int]) -> int:
    """Return the bytes of a value and all that it holds."""
    if id(value) in seen or callable(value):
        return 0
    seen.add(id(value))
    parts = [getattr(value, name) for name in getattr(type(value), "__slots__", ())]
    parts += list(getattr(value, "__dict__", {}).values())
    if isinstance(value, dict):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | deque):
        parts += list(value)
    return sys.getsizeof(value) + sum(size_of(part, seen) for part in parts)


def test_memory_does_not_grow_with_the_history():
    starts = StartTimes(NODES, Policy(order=Order.SHORTEST), lambda s: s)

    def live_on(first: int, jobs: int) -> int:
        for number in range(first, first + jobs):
            now = 60.0 * number
            job = QueuedJob(number, number, 50, 1 + number % 8, 0, 0, None, queued_at=now, predicted_s=300.0)
            foretold = starts.foretell(job, Room(fits=number % 2 == 0), now)
            assert foretold is not None
            starts.watch(number, foretold)
            starts.queued(job)
            starts.started(number - 5, now)
            starts.left(number - 9)
        return size_of(starts, set())

    often = 20 * (STARTED_KEPT + WAITING_KEPT)
    before = live_on(0, often)
    assert live_on(often, often) < 1.3 * before + 10_000

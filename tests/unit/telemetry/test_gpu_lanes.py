"""Lanes with polls that wait for the test: which GPUs go on while one is stuck, and how it comes back."""

import threading
import time
from collections import defaultdict

import pytest
from patience import until

from dcdaemon.telemetry.gpu_lanes import Lanes

INTERVAL_S = 0.1


class Gpus:
    """Polls that answer with their index; one that is held does not come back before it is let go."""

    def __init__(self, count: int) -> None:
        self.polled: dict[int, list[float]] = defaultdict(list)
        self.under_way: dict[int, int] = defaultdict(int)
        self.most_at_once = 0
        self.lines: list[list[object]] = []
        self._gates = {gpu: threading.Event() for gpu in range(count)}
        for gate in self._gates.values():
            gate.set()
        self.slow_s = dict.fromkeys(range(count), 0.0)
        self.lanes = Lanes([self._poll_of(gpu) for gpu in range(count)], INTERVAL_S, self.lines.append)
        threading.Thread(target=self.lanes.run, daemon=True).start()

    def _poll_of(self, gpu: int):
        def poll() -> int:
            self.under_way[gpu] += 1
            self.most_at_once = max(self.most_at_once, self.under_way[gpu])
            self._gates[gpu].wait()
            time.sleep(self.slow_s[gpu])
            self.polled[gpu].append(time.monotonic())
            self.under_way[gpu] -= 1
            return gpu

        return poll

    def hold(self, gpu: int) -> None:
        self._gates[gpu].clear()
        until(lambda: self.under_way[gpu])

    def let_go(self, gpu: int) -> None:
        self._gates[gpu].set()

    def go_on(self, *gpus: int) -> bool:
        """Tell whether each of these is polled twice more from now on."""
        before = {gpu: len(self.polled[gpu]) for gpu in gpus}
        until(lambda: all(len(self.polled[gpu]) >= before[gpu] + 2 for gpu in gpus))
        return True

    def in_one_line(self) -> bool:
        return sorted(self.lines[-1]) == sorted(self.slow_s)


@pytest.fixture
def gpus():
    made = Gpus(4)
    yield made
    for gpu in made.slow_s:
        made.let_go(gpu)
    assert made.lanes.stop(5)


def test_all_gpus_of_a_sweep_are_in_one_line_in_their_order(gpus):
    until(lambda: gpus.lines.count([0, 1, 2, 3]) >= 3)


@pytest.mark.parametrize("stuck", [0, 2, 3])
def test_the_others_go_on_while_one_is_stuck_and_in_the_end_all_share_a_line_again(gpus, stuck):
    until(lambda: gpus.lines)
    others = [gpu for gpu in range(4) if gpu != stuck]
    gpus.hold(stuck)
    assert gpus.go_on(*others)
    assert gpus.under_way[stuck] == 1
    gpus.let_go(stuck)
    assert gpus.go_on(stuck, *others)
    until(gpus.in_one_line, within_s=20)
    assert gpus.most_at_once == 1  # never two threads in one GPU


def test_several_stuck_gpus_do_not_stop_the_others(gpus):
    until(lambda: gpus.lines)
    gpus.hold(1)
    gpus.go_on(0, 2, 3)
    gpus.hold(2)
    assert gpus.go_on(0, 3)
    gpus.let_go(1)
    assert gpus.go_on(0, 1, 3)
    gpus.let_go(2)
    until(gpus.in_one_line, within_s=20)
    assert gpus.most_at_once == 1


def test_all_stuck_gpus_come_back(gpus):
    until(lambda: gpus.lines)
    for gpu in range(4):
        gpus.hold(gpu)
    for gpu in range(4):
        gpus.let_go(gpu)
    until(gpus.in_one_line, within_s=20)


def test_a_slow_gpu_has_a_lane_of_its_own_until_it_is_quick_again(gpus):
    until(lambda: gpus.lines)
    gpus.slow_s[2] = 0.08
    until(lambda: gpus.lines[-1] == [2])
    assert gpus.go_on(0, 1, 3)
    lines = len(gpus.lines)
    assert gpus.go_on(2)
    assert not any(2 in line and len(line) > 1 for line in gpus.lines[lines:])
    gpus.slow_s[2] = 0.0
    until(gpus.in_one_line, within_s=20)


def test_what_a_stuck_sweep_had_read_before_is_said_without_it(gpus):
    until(lambda: gpus.lines)
    gpus.hold(3)
    lines = len(gpus.lines)
    until(lambda: [0, 1, 2] in gpus.lines[lines - 1 :])


def test_a_single_gpu_needs_no_second_thread(monkeypatch):
    alone = Gpus(1)
    until(lambda: alone.lines)
    threads = threading.active_count()
    alone.hold(0)
    time.sleep(3 * INTERVAL_S)
    assert threading.active_count() == threads
    assert not alone.lanes.stop(0.05)
    alone.let_go(0)
    assert alone.lanes.stop(5)
    said = len(alone.lines)
    time.sleep(3 * INTERVAL_S)
    assert len(alone.lines) <= said + 1  # the poll that was under way

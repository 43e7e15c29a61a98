"""Lanes: GPUs are polled one after the other in one thread, and one that holds up the others gets a thread of its own.

A thread that is stuck in the driver cannot be taken out of it. So it keeps the GPU that holds it, and a fresh
thread goes on with the others where it left off: they lose a fraction of an interval, once.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

#: A poll that takes longer than this share of the interval gets a lane of its own; so does the one at which a whole
#: sweep has taken that of the second.
_PATIENCE, _SWEEP = 1 / 4, 1 / 2
#: However short the interval, a machine under load can keep a thread waiting for so long.
_LEAST_PATIENCE_S = 0.02
#: So many quick polls bring a GPU back into the common lane.
_QUICK_POLLS = 10

Poll = Callable[[], object]
Say = Callable[[list[object]], None]


class Lane:
    """The GPUs of one thread, and where it is with them; guarded by the lock of all lanes."""

    def __init__(self, gpus: Sequence[int], ahead: Sequence[int], due_s: float) -> None:
        self.gpus = list(gpus)
        self.ahead = deque(ahead)
        self.due_s = self.swept_s = self.asked_s = due_s
        self.current: int | None = None
        self.answers: list[object] = []
        self.quick_polls = 0
        self.over = False


class Lanes:
    """Calls each of the polls once an interval, and says the answers of a sweep together."""

    def __init__(self, polls: Sequence[Poll], interval_s: float, say: Say) -> None:
        self._polls, self._interval_s, self._say = polls, interval_s, say
        self._patience_s = max(interval_s * _PATIENCE, _LEAST_PATIENCE_S)
        self._sweep_s = max(interval_s * _SWEEP, 2 * _LEAST_PATIENCE_S)
        # As quick as all must be on average, for one thread to poll them all within half an interval.
        self._quick_s = self._sweep_s / max(len(polls), 1)
        self._lock = threading.Lock()
        self._stopping = False
        gpus = range(len(polls))
        self._common = Lane(gpus, gpus, time.monotonic())
        self._lanes = [self._common]

    def run(self) -> None:
        """Poll for ever; the calling thread is the guard."""
        self._start(self._common)
        while True:
            time.sleep(self.guard(time.monotonic()))

    def guard(self, now_s: float) -> float:
        """Free the others from a GPU that holds them up; return the seconds until the next look is due."""
        ready: list[object] = []
        heir = None
        with self._lock:
            lane = self._common
            if len(lane.gpus) > 1 and self._late_s(lane) <= now_s:
                heir, ready = self._split(lane), lane.answers
                lane.answers = []
            wait_s = self._late_s(self._common) - now_s
        if heir is not None:
            self._start(heir)
        if ready:
            self._say(ready)
        return max(wait_s, self._patience_s / 10)

    def stop(self, within_s: float) -> bool:
        """Begin no further poll; return whether none was under way any more within this time."""
        self._stopping = True
        until = time.monotonic() + within_s
        while any(lane.current is not None for lane in self._lanes):
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        return True

    def _start(self, lane: Lane) -> None:
        threading.Thread(target=self._work, args=(lane,), daemon=True).start()

    def _work(self, lane: Lane) -> None:
        while not lane.over:
            self._sweep(lane)
            time.sleep(max(0.0, lane.due_s - time.monotonic()))

    def _sweep(self, lane: Lane) -> None:
        lane.swept_s = time.monotonic()
        while (gpu := self._next(lane)) is not None:
            answer = self._polls[gpu]()
            with self._lock:
                lane.answers.append(answer)
                quick = time.monotonic() - lane.asked_s <= self._quick_s
                lane.quick_polls = lane.quick_polls + 1 if quick else 0
        with self._lock:
            answers, lane.answers = lane.answers, []
            # What was missed during a slow sweep is not made up for.
            lane.due_s = max(lane.due_s + self._interval_s, time.monotonic())
            lane.ahead.extend(lane.gpus)
            self._rejoin(lane)
        if answers:
            self._say(answers)

    def _next(self, lane: Lane) -> int | None:
        with self._lock:
            lane.current = lane.ahead.popleft() if lane.ahead and not self._stopping else None
            lane.asked_s = time.monotonic()
            return lane.current

    def _late_s(self, lane: Lane) -> float:
        """Return when this lane has taken too long: over one GPU, or over its sweep."""
        if lane.current is None:
            return lane.due_s + self._patience_s
        return min(lane.asked_s + self._patience_s, lane.swept_s + self._sweep_s)

    def _split(self, lane: Lane) -> Lane | None:
        """Leave a lane alone with the GPU it is at; return the lane of the others, which is the common one now."""
        if lane.current is None:  # its thread did not even get to run
            return None
        others = [gpu for gpu in lane.gpus if gpu != lane.current]
        heir = Lane(others, lane.ahead, lane.due_s)
        lane.gpus, lane.quick_polls = [lane.current], 0
        lane.ahead.clear()
        self._lanes.append(heir)
        self._common = heir
        return heir

    def _rejoin(self, lane: Lane) -> None:
        """Bring a GPU that has been quick for a while back into the common lane."""
        if lane is self._common or lane.quick_polls < _QUICK_POLLS:
            return
        if self._late_s(self._common) <= time.monotonic():
            self._common = lane
            return
        self._common.gpus += lane.gpus
        self._common.ahead += lane.gpus
        self._lanes.remove(lane)
        lane.over = True

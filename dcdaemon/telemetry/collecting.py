"""Runs one collector at its cadence: times it, keeps its failure from the others, and waits for none that hangs."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dcdaemon.core.event import EventKind
from dcdaemon.core.roles import CollectorPlan
from dcdaemon.core.samples import CollectorReport, Lack
from dcdaemon.telemetry.kernel_file import Faults

log = logging.getLogger(__name__)
#: A sweep may come a little early; a collector that is due within this time is read with it.
_EARLY_S = 1.0
#: From when on a reading that does not come back is a failure, where the collector is not slower by its own pace.
_HANGS_AFTER_S = 15.0


class Collector(Protocol):
    """Reads one kind of hardware: into samples, or into values of the node's own sample."""

    def read(self, at: float) -> Any:
        """Return what is known now; `at` is epoch seconds."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one reading gave, why it may have given nothing, and how long it took."""

    result: Any
    lack: Lack | None
    error: Exception | None
    duration_s: float


class Run:
    """One collector with its plan, and how its last reading went; times are monotonic seconds."""

    def __init__(self, plan: CollectorPlan, collector: Collector, faults: Faults) -> None:
        self.plan = plan
        self._collector = collector
        self._faults = faults
        self._thread = _Thread(plan.name, self._read) if plan.apart else None
        self._error: str | None = None
        self._lack: Lack | None = None
        self._begun_s: float | None = None
        self._busy = False
        self._read_s: float | None = None
        self._duration_s: float | None = None

    def begin(self, at: float, now_s: float) -> None:
        """Start a reading where one is due; a thread that has not come back is left alone."""
        due_s = now_s if self.plan.each_sweep or self._begun_s is None else self._begun_s + self.plan.every_s
        if self._busy or now_s + _EARLY_S < due_s:
            return
        self._begun_s, self._busy = now_s, True
        if self._thread is not None:
            self._thread.ask(at)

    def take(self, at: float, now_s: float, patience_s: float) -> Any:
        """Return what a reading gave that is done by now; None when there is none. A late one is waited for once."""
        if not self._busy or self._begun_s is None:
            return None
        patience_s = patience_s if self._begun_s == now_s else 0.0
        answer = self._read(at) if self._thread is None else self._thread.answer(patience_s)
        if answer is None:
            self._note_wait(at, now_s - self._begun_s)
            return None
        self._busy = False
        if answer.error is not None:
            self._fail(at, f"{type(answer.error).__name__}: {answer.error}", answer.error)
            return None
        self._error, self._lack = None, answer.lack
        self._faults.over(self.plan.name, EventKind.COLLECTOR_FAILED)
        # One that keeps its own pace is asked at each sweep, and has read where it gives something.
        if answer.result or not self.plan.paced:
            self._read_s, self._duration_s = self._begun_s, answer.duration_s
        return answer.result

    def report(self) -> CollectorReport:
        """Tell how it is doing."""
        return CollectorReport(
            self.plan.name, self._every_s, lack=self._lack, error=self._error, last_read_s=self._read_s,
            last_duration_s=self._duration_s,
        )  # fmt: skip

    def close(self) -> None:
        """End its threads; one that hangs is left behind."""
        if self._thread is not None:
            self._thread.ask(None)
            self._thread = None
        end = getattr(self._collector, "close", None)
        if end is not None:
            end()

    @property
    def _every_s(self) -> float:
        """The pace it keeps: one of its own may be configured."""
        return float(getattr(self._collector, "every_s", self.plan.every_s))

    def _read(self, at: float) -> _Answer:
        begin_s = time.perf_counter()
        result, lack, error = None, None, None
        try:
            result = self._collector.read(at)
            explain: Callable[[], Lack | None] | None = getattr(self._collector, "lack", None)
            lack = explain() if explain is not None else None
        except Exception as caught:  # noqa: BLE001  told, logged and shown; the others must go on
            error = caught
        return _Answer(result, lack, error, time.perf_counter() - begin_s)

    def _note_wait(self, at: float, waited_s: float) -> None:
        if waited_s >= max(_HANGS_AFTER_S, self._every_s):
            self._fail(at, f"does not come back since {waited_s:.0f} s", None)

    def _fail(self, at: float, why: str, error: Exception | None) -> None:
        if self._error is None:
            name = self.plan.name
            # A device that fails is no fault of the program; everything else is, and its place must be found.
            trace = None if isinstance(error, OSError) else error
            extra = {"action": "collector_failed", "collector": name}
            log.error("collector %s: %s", name, why, exc_info=trace, extra=extra)
            self._faults.say(at, name, f"the collector of {self.plan.reads} failed: {why}", EventKind.COLLECTOR_FAILED)
        self._error = why


class _Thread:
    """A lasting thread, begun when first asked; what it reads from may keep it for ever."""

    def __init__(self, name: str, read: Callable[[float], _Answer]) -> None:
        self._asks: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._read = read
        self._thread = threading.Thread(target=self._loop, name=f"collector-{name}", daemon=True)

    def ask(self, at: float | None) -> None:
        """Have it read; None ends it."""
        if at is not None and not self._thread.is_alive():
            self._thread.start()
        self._asks.put(at)

    def answer(self, patience_s: float) -> _Answer | None:
        """Return the answer, if it comes in time."""
        try:
            return self._answers.get(patience_s > 0, patience_s or None)
        except queue.Empty:
            return None

    def _loop(self) -> None:
        while (at := self._asks.get()) is not None:
            self._answers.put(self._read(at))

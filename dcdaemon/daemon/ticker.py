"""The monotonic ticker: every short duty in a thread of its own, so that no slow one delays the others.

APScheduler 3 reads the wall clock and stops when that is set back, so it runs only the calendar work (timers.py).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dcdaemon.control.board import DutyReport
from dcdaemon.core.errors import DcdError

log = logging.getLogger(__name__)
#: A duty is late after this many of its intervals, but never within this time: a disk or a database may be slow.
LATE_INTERVALS = 2
LATE_AT_LEAST_S = 15.0


class Duty(Protocol):
    """One thing the daemon does again and again."""

    name: str
    every_s: float

    def tick(self) -> None:
        """Do it once; raise DcdError for a trouble that may pass."""
        ...


@dataclass
class _Run:
    duty: Duty
    last_tick_s: float | None = None
    last_duration_s: float | None = None
    ticks: int = 0
    error: str | None = None


class Ticker:
    """Runs duties until stopped; a duty that fails in an unforeseen way is told to `on_failure`, never lost."""

    def __init__(
        self, on_failure: Callable[[str, BaseException], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_failure = on_failure
        self._monotonic = monotonic
        self._runs: list[_Run] = []
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._started_s = monotonic()

    def add(self, duty: Duty) -> None:
        """Take on a duty; before `start`."""
        self._runs.append(_Run(duty))

    def start(self) -> None:
        """Begin; every duty ticks at once, then at its interval."""
        self._started_s = self._monotonic()
        for run in self._runs:
            thread = threading.Thread(target=self._loop, args=(run,), name=f"duty-{run.duty.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, within_s: float = 3.0) -> None:
        """End all duties; one that hangs is left behind."""
        self._stop.set()
        deadline = self._monotonic() + within_s
        for thread in self._threads:
            thread.join(max(deadline - self._monotonic(), 0.0))

    def reports(self) -> tuple[DutyReport, ...]:
        """Tell how each duty is doing."""
        now_s = self._monotonic()
        return tuple(self._report(run, now_s) for run in self._runs)

    def _report(self, run: _Run, now_s: float) -> DutyReport:
        age_s = now_s - (run.last_tick_s if run.last_tick_s is not None else self._started_s)
        return DutyReport(
            name=run.duty.name, every_s=run.duty.every_s,
            last_tick_age_s=None if run.last_tick_s is None else round(age_s, 3),
            last_duration_s=None if run.last_duration_s is None else round(run.last_duration_s, 4), ticks=run.ticks,
            late=age_s > max(LATE_INTERVALS * run.duty.every_s, LATE_AT_LEAST_S), error=run.error,
        )  # fmt: skip

    def _loop(self, run: _Run) -> None:
        due_s = self._monotonic()
        while not self._stop.is_set():
            try:
                self._tick(run)
            except BaseException as error:  # noqa: BLE001  no loop dies quietly
                self._on_failure(run.duty.name, error)
                return
            # Missed intervals are skipped, not made up for.
            due_s = max(due_s + run.duty.every_s, self._monotonic())
            self._stop.wait(due_s - self._monotonic())

    def _tick(self, run: _Run) -> None:
        begin_s = self._monotonic()
        try:
            run.duty.tick()
        except DcdError as error:
            if run.error != error.message:
                log.warning(
                    "duty in trouble: %s", error.message, extra={"action": "duty_trouble", "duty": run.duty.name}
                )
            run.error = error.message
        else:
            if run.error is not None:
                log.info("duty well again", extra={"action": "duty_well", "duty": run.duty.name})
            run.error = None
        run.last_tick_s = self._monotonic()
        run.last_duration_s = run.last_tick_s - begin_s
        run.ticks += 1

"""The conductor: the one thread that ends and starts jobs, woken by events, never by a poll."""

import logging
import threading
import time
from collections.abc import Callable

from dcdaemon.control.desk import Desk
from dcdaemon.control.finish import reconcile
from dcdaemon.control.start import run_cycle
from dcdaemon.core.errors import DcdError
from dcdaemon.core.job import JobState

log = logging.getLogger(__name__)
#: While a job's processes outlive their shim, or the database is in trouble, things are looked at again this often.
_LOOK_AGAIN_S = 1.0
#: While a job waits for its begin time, or a booking for its window: the clock may be set meanwhile.
_LONGEST_NAP_S = 60.0
_LONGEST_CYCLE_S = 120.0


class Conductor:
    """Runs the scheduling cycle: ends first, because they free what the next start needs."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        self._on_failure = on_failure
        self._desk: Desk | None = None
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._ended: set[int] = set()
        self._again: set[int] = set()
        self._stop = False
        self._thread = threading.Thread(target=self._loop, name="conductor", daemon=True)
        self._busy_since_s: float | None = None
        self.cycles = 0
        self.trouble: str | None = None

    def wake(self) -> None:
        """Have a cycle soon, from any thread."""
        self._wake.set()

    def ended(self, job_id: int, _attempt: int) -> None:
        """Note that an attempt may be over, from any thread."""
        with self._lock:
            self._ended.add(job_id)
        self._wake.set()

    def stuck(self) -> bool:
        """Tell whether one cycle has lasted longer than any database or launch may take."""
        since_s = self._busy_since_s
        return since_s is not None and time.monotonic() - since_s > _LONGEST_CYCLE_S

    def start(self, desk: Desk) -> None:
        """Begin conducting."""
        self._desk = desk
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """End after the cycle that is under way."""
        self._stop = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _loop(self) -> None:
        try:
            while not self._stop:
                self._wake.wait(self._nap_s())
                self._wake.clear()
                if not self._stop:
                    self._cycle()
        except BaseException as error:  # noqa: BLE001  no loop dies quietly
            self._on_failure("conductor", error)

    def _nap_s(self) -> float | None:
        """Return how long nothing has to be done unless somebody wakes us; None for as long as it takes."""
        if self._again or self.trouble:
            return _LOOK_AGAIN_S
        desk = self._desk
        if desk is None:
            return None
        # A job may be preempted from a certain age on, or be too late for its deadline, and nothing tells when that is.
        queue, preempts = desk.book.queue, desk.book.sharing.preempts
        naps_s = [_LONGEST_NAP_S / 2] if (preempts and len(queue)) or queue.has_deadlines else []
        now = desk.clock.now()
        due_at = desk.book.next_due(now)
        if due_at is not None:
            naps_s += [max(due_at - now, 0.0), _LONGEST_NAP_S]
        settled_at = desk.book.next_settled(now, desk.policy.share_holdoff_s)
        if settled_at is not None:
            naps_s.append(max(settled_at - now, 0.0))
        return min(naps_s, default=None)

    def _cycle(self) -> None:
        desk = self._desk
        if desk is None:
            return
        self._busy_since_s = time.monotonic()
        with self._lock:
            due, self._ended = self._ended | self._again, set()
        self._again = due
        try:
            self._again = {job.id for job in reconcile(desk, sorted(due))}
            if len(desk.book.queue):
                desk.engine.check_space()
            run_cycle(desk)
        except DcdError as error:
            self._trouble(desk, error)
        else:
            self.trouble = None
        self.cycles += 1
        self._busy_since_s = None

    def _trouble(self, desk: Desk, error: DcdError) -> None:
        """Keep everything that is half done for another look; nothing is given up."""
        if self.trouble != error.message:
            log.warning("cycle interrupted: %s", error.message, extra={"action": "cycle_interrupted"})
        self.trouble = error.message
        self._again |= {job.id for job in desk.book.active() if job.state is JobState.STARTING}

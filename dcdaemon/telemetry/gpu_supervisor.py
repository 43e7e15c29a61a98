"""Keeps one telemetry child at work: starts it, listens to it, replaces it, and lets go of the driver when asked."""

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.telemetry.gpu_board import GpuBoard
from dcdaemon.telemetry.gpu_heir import Heir, ailment
from dcdaemon.telemetry.gpu_plan import Patience, Plan
from dcdaemon.telemetry.nvml_process import NvmlChild

log = logging.getLogger(__name__)

Launch = Callable[[Plan], NvmlChild]
_CLOSE_S = 0.9
_LONGEST_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a child is told, how long it is waited for, and how one is started."""

    plan: Plan
    patience: Patience
    launch: Launch = NvmlChild


class Supervisor:
    """Runs in a thread of its own; every public method returns at once, but for a second at most.

    `hear` takes in a line of the child, `tick` is called at least once an interval. A child that not even SIGKILL
    ends (a call stuck in the kernel) is left behind and reaped when it comes back, but never a second one: it is kept.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        board: GpuBoard,
        *,
        hear: Callable[[bytes, float], None],
        tick: Callable[[float], None],
        tell: Tell,
    ) -> None:
        self._plan, self._patience, self._launch = upkeep.plan, upkeep.patience, upkeep.launch
        self._board = board
        self._hear, self._tick, self._tell = hear, tick, tell
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="gpu-source", daemon=True)
        self._closing = False
        self._release_lock = threading.Lock()
        self._released_s: float | None = None
        self._away = threading.Event()
        self._child: NvmlChild | None = None
        self._heir: Heir | None = None
        self._stuck: NvmlChild | None = None
        self._failures = 0
        self._tick_due_s = 0.0
        self._try_after_s, self._tried_s = self._patience.deadline_s, float("-inf")
        self._why: str | None = None
        #: What is told once a child works.
        self._news: list[tuple[EventKind, str]] = []

    @property
    def child_pid(self) -> int | None:
        """The telemetry child's PID."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Begin; return at once."""
        self._thread.start()

    def close(self) -> None:
        """End the child, within a second even while it hangs."""
        if self._closing:
            return
        self._ring()
        self._closing = True
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            os.close(self._bell)

    def release(self, for_s: float) -> None:
        """End the child and start no other for so long, 0 for an end of that; wait for a second until it is gone."""
        self._away.clear()
        with self._release_lock:
            self._released_s = time.monotonic() + for_s if for_s > 0 else None
            self._board.release(time.time() + for_s if for_s > 0 else None)
        if not self._closing:
            self._ring()
        if for_s > 0 and self._thread.is_alive():
            self._away.wait(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing:
            if self._released_s is not None:
                self._stay_away()
                continue
            try:
                self._pause(self._one_life(self._launch(self._plan)))
            except OSError as error:
                self._board.blame(f"the telemetry child cannot be started: {error}")
                self._pause(self._back_off_s())

    def _one_life(self, child: NvmlChild) -> float:
        """Listen to a child, and to those that take its place; return the seconds to wait before the next."""
        self._child, self._why = child, None
        self._board.new_child(time.monotonic())
        pause_s = self._listen()
        if self._heir is not None:
            self._dismiss(self._heir)
        child = self._child
        if child.gone() and not self._board.absent:
            self._why = f"the telemetry child {child.fate()}"
            self._board.blame(self._why)
        self._leave(child)
        if self._why is not None:
            self._news.append((EventKind.CHILD_REPLACED, f"{self._why}: another one has taken its place"))
        return pause_s

    def _listen(self) -> float:
        """Listen until the child is over or of no use; return the seconds to wait before the next."""
        born_s = time.monotonic()
        while not self._closing and self._released_s is None:
            ready = self._wait(min(self._plan.interval_s * 1.5, self._patience.deadline_s / 4))
            now_s = time.monotonic()
            if self._child in ready and not self._hear_child(now_s):
                return self._patience.retry_s if self._board.absent else self._back_off_s()
            if self._heir is not None:
                self._hear_heir(self._heir, now_s, readable=self._heir.child in ready)
            if now_s >= self._tick_due_s:
                self._tick_due_s = now_s + self._plan.interval_s / 2
                self._tick(now_s)
            if now_s - born_s > self._patience.retry_s:
                self._failures = 0
            silence_s = self._board.silence_s(now_s)
            if silence_s > self._patience.deadline_s and self._may_leave_behind():
                self._why = f"the telemetry child said nothing for {silence_s:.0f} s"
                return self._back_off_s()
            if self._heir is None:
                self._look_for_heir(now_s)
        return 0.0

    def _hear_child(self, now_s: float) -> bool:
        """Take in what the child says; return False when that is its end, or nonsense."""
        lines = self._child.lines() if self._child else None
        if lines is None:
            return False
        try:
            for line in lines:
                self._hear(line, now_s)
        except (ValueError, LookupError, TypeError):
            self._why = "the telemetry child talked nonsense"
            return False
        if lines and not self._board.absent:
            self._say_news()
        return True

    def _look_for_heir(self, now_s: float) -> None:
        """Start a second child where one GPU has been silent or lost for long: a fresh session may reach it."""
        why = ailment(self._board.answers(now_s), self._patience)
        if why is None:
            if now_s - self._tried_s > self._try_after_s:
                self._try_after_s = self._patience.deadline_s
            return
        if now_s - self._tried_s < self._try_after_s or not self._may_leave_behind():
            return
        self._tried_s, self._try_after_s = now_s, min(self._try_after_s * 2, _LONGEST_PATIENCE_S)
        try:
            self._heir = Heir(self._launch(self._plan), now_s, why)
        except OSError as error:
            log.warning("no second telemetry child: %s", error, extra={"action": "no_second_child"})

    def _hear_heir(self, heir: Heir, now_s: float, *, readable: bool) -> None:
        """Let an heir take over once it reaches a GPU that the first child does not, and all that this one does."""
        try:
            lines = heir.child.lines() if readable else []
            if lines is None:
                self._dismiss(heir)
                return
            heir.take(lines)
        except (ValueError, TypeError):
            self._dismiss(heir)
            return
        if heir.better(self._board.answers(now_s), self._patience.deadline_s):
            self._succeed(heir, now_s)
        elif now_s - heir.born_s > self._patience.deadline_s:
            self._dismiss(heir)

    def _succeed(self, heir: Heir, now_s: float) -> None:
        try:
            for line in heir.lines:
                self._hear(line, now_s)
        except (ValueError, LookupError, TypeError):
            self._dismiss(heir)
            return
        before, self._child, self._heir = self._child, heir.child, None
        if before is not None:
            self._leave(before)
        self._news.append((EventKind.CHILD_REPLACED, f"{heir.why}: another telemetry child reaches it"))
        self._say_news()

    def _dismiss(self, heir: Heir) -> None:
        self._heir = None
        self._leave(heir.child)

    def _leave(self, child: NvmlChild) -> None:
        if not child.end():
            self._stuck = child

    def _may_leave_behind(self) -> bool:
        return self._stuck is None or self._stuck.gone()

    def _stay_away(self) -> None:
        """Keep no child until the time is over or somebody ends it; an extension counts, too."""
        if self._may_leave_behind():
            self._tell_now(EventKind.DRIVER_RELEASED, "NVML is closed: the driver can be unloaded and loaded again")
        elif self._stuck is not None:
            trouble = f"the telemetry child (pid {self._stuck.pid}) is stuck in the driver, which cannot be unloaded"
            self._board.blame(trouble)
            self._tell_now(EventKind.DRIVER_RELEASED, f"NVML is closed but for one process: {trouble}")
        while not self._closing and (left_s := self._left_s()) > 0:
            self._away.set()
            self._rest(left_s)
        self._news.append((EventKind.DRIVER_RETURNED, "NVML is open again: the GPUs are read"))

    def _left_s(self) -> float:
        """Return how long the driver is to be left alone still; end that when the time is over."""
        with self._release_lock:
            left_s = 0.0 if self._released_s is None else self._released_s - time.monotonic()
            if left_s <= 0:
                self._released_s = None
                self._board.release(None)
            return left_s

    def _say_news(self) -> None:
        """Tell what waited for a child that works."""
        for kind, message in self._news:
            self._tell_now(kind, message)
        self._news.clear()

    def _tell_now(self, kind: EventKind, message: str) -> None:
        self._tell(Event(time.time(), kind, "driver", message, {"pid": self.child_pid}))

    def _back_off_s(self) -> float:
        self._failures += 1
        return float(min(self._patience.restart_s * 2 ** (self._failures - 1), self._patience.retry_s))

    def _wait(self, timeout_s: float) -> list[NvmlChild]:
        """Return the children that have said something, after this time at most."""
        children = [child for child in (self._child, self._heir.child if self._heir else None) if child is not None]
        by_descriptor = {child.fileno(): child for child in children}
        poll = select.poll()
        for descriptor in (self._bell, *by_descriptor):
            poll.register(descriptor, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(max(timeout_s, 0.0) * 1000)]
        if self._bell in ready:
            os.eventfd_read(self._bell)
        return [by_descriptor[descriptor] for descriptor in ready if descriptor in by_descriptor]

    def _pause(self, pause_s: float) -> None:
        """Rest between two children, unless somebody rings; what becomes of the GPUs meanwhile is told, too."""
        until_s = time.monotonic() + pause_s
        while not self._closing and self._released_s is None:
            now_s = time.monotonic()
            left_s = until_s - now_s
            if left_s <= 0:
                return
            self._tick(now_s)
            if self._rest(min(left_s, self._plan.interval_s)):
                return

    def _rest(self, rest_s: float) -> bool:
        """Sleep, unless somebody rings; return whether somebody did."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        rung = not self._closing and bool(poll.poll(max(rest_s, 0.0) * 1000))
        if rung:
            os.eventfd_read(self._bell)
        return rung

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

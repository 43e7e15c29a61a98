"""NvmlSource: the GPUs of this node, through a telemetry child that may hang or crash without harm."""

import threading
import time
from collections.abc import Callable

from dcdaemon.core.samples import GpuReading
from dcdaemon.telemetry.gpu_board import GpuBoard
from dcdaemon.telemetry.nvml_process import NvmlChild
from dcdaemon.telemetry.process_identity import ProcessIdentities

_FRESH_INTERVALS = 3
_CLOSE_S = 0.9
_LISTEN_S = 0.2
_LONGEST_PATIENCE_S = 300.0


class NvmlSource:
    """Supervises the telemetry child; `read` is instant whatever the driver does.

    A child that says nothing for `deadline_s` is ended and replaced after `restart_s`, doubled each time up
    to `retry_s`; where there is no driver, it is asked again every `retry_s`. One silent GPU alone also makes
    the child be replaced, at once but ever more rarely, since the other GPUs miss a beat. A child that not
    even SIGKILL ends (a call stuck in the kernel) is left behind, but never a second one: it is kept.
    """

    def __init__(
        self,
        interval_s: float = 1.0,
        deadline_s: float = 5.0,
        *,
        restart_s: float = 1.0,
        retry_s: float = 30.0,
        launch: Callable[[float], NvmlChild] = NvmlChild,
    ) -> None:
        self._interval_s, self._deadline_s = interval_s, deadline_s
        self._restart_s, self._retry_s = restart_s, retry_s
        self._launch = launch
        self._board = GpuBoard(_FRESH_INTERVALS * interval_s, deadline_s, ProcessIdentities().describe)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="gpu-source", daemon=True)
        self._child: NvmlChild | None = None
        self._stuck: NvmlChild | None = None
        self._failures = 0
        self._patience_s = deadline_s

    def start(self) -> None:
        """Begin polling; return at once."""
        self._thread.start()

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until every GPU was read once, or none can be; return whether it came to that in time."""
        until = time.monotonic() + timeout_s
        while not (known := self._board.known()) and time.monotonic() < until:
            time.sleep(0.01)
        return known

    def read(self) -> GpuReading:
        """Return the newest readings; samples older than three intervals are withdrawn."""
        return self._board.reading(time.monotonic())

    @property
    def child_pid(self) -> int | None:
        """The telemetry child's PID, for those who account for the daemon's own size."""
        return self._child.pid if self._child else None

    @property
    def implausible_values(self) -> int:
        """How many values were dropped because no GPU can have meant them."""
        return self._board.dropped

    def close(self) -> None:
        """Stop polling and end the child, within a second even while it hangs."""
        self._closing.set()
        if self._child:
            self._child.ask_to_end()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _supervise(self) -> None:
        while not self._closing.is_set():
            try:
                pause_s = self._one_life(self._launch(self._interval_s))
            except OSError as error:
                self._board.blame(f"the telemetry child cannot be started: {error}")
                pause_s = self._back_off_s()
            self._closing.wait(pause_s)

    def _one_life(self, child: NvmlChild) -> float:
        """Listen to one child to its end; return the seconds to wait before the next."""
        self._child = child
        self._board.new_child(time.monotonic())
        pause_s = self._listen(child)
        ended_by_itself = child.gone()
        if not child.end():
            self._stuck = child
        if ended_by_itself and not self._board.absent:
            self._board.blame(f"the telemetry child {child.fate()}")
        return pause_s

    def _listen(self, child: NvmlChild) -> float:
        born_s = time.monotonic()
        while not self._closing.is_set():
            # The GPUs answer one after the other within a moment: waking once for all of them is cheaper.
            self._closing.wait(self._interval_s / 10)
            lines = child.lines(min(_LISTEN_S, self._deadline_s / 4))
            now_s = time.monotonic()
            if lines is None or not self._take(lines, now_s):
                return self._retry_s if self._board.absent else self._back_off_s()
            if now_s - born_s > self._retry_s:
                self._failures = 0
            silence_s, gpu_silence_s = self._board.silence_s(now_s)
            if silence_s > self._deadline_s and self._may_leave_behind():
                return self._back_off_s()
            if gpu_silence_s > self._patience_s and self._may_leave_behind():
                self._patience_s = min(self._patience_s * 2, _LONGEST_PATIENCE_S)
                return 0.0
            if gpu_silence_s < self._deadline_s and now_s - born_s > self._patience_s:
                self._patience_s = self._deadline_s
        return 0.0

    def _take(self, lines: list[bytes], now_s: float) -> bool:
        """Hand lines to the board; return False when the child talks nonsense."""
        try:
            for line in lines:
                self._board.hear(line, now_s)
        except (ValueError, KeyError, TypeError):
            return False
        return True

    def _may_leave_behind(self) -> bool:
        return self._stuck is None or self._stuck.gone()

    def _back_off_s(self) -> float:
        self._failures += 1
        return float(min(self._restart_s * 2 ** (self._failures - 1), self._retry_s))

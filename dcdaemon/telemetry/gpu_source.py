"""NvmlSource: the GPUs of this node, through a telemetry child that may hang or crash without harm."""

import json
import time
from collections.abc import Sequence

from dcdaemon.core.event import Event, Tell
from dcdaemon.core.samples import GpuReading
from dcdaemon.telemetry.gpu_board import GpuBoard
from dcdaemon.telemetry.gpu_oddities import GpuOddities
from dcdaemon.telemetry.gpu_plan import Patience, usual_plan
from dcdaemon.telemetry.gpu_supervisor import Supervisor, Upkeep
from dcdaemon.telemetry.gpu_watch import GpuWatch
from dcdaemon.telemetry.kernel_log import KernelLog, Report
from dcdaemon.telemetry.process_identity import ProcessIdentities
from dcdaemon.telemetry.recovery_action import action_in
from dcdaemon.telemetry.xid import NVML, Pci, Xid, XidDesk, parse_kernel_line, pci_of

_FRESH_INTERVALS = 3


def _nobody(_: Event) -> None:
    """Take an event that nobody wants to hear of."""


class NvmlSource:
    """Implements GpuSource; `read` is instant whatever the driver does.

    `journal` is the command that follows the kernel log, None to leave the log alone.
    """

    def __init__(
        self,
        interval_s: float = 1.0,
        deadline_s: float = 5.0,
        *,
        tell: Tell = _nobody,
        upkeep: Upkeep | None = None,
        journal: Sequence[str] | None = None,
        report: Report = lambda _: None,
    ) -> None:
        upkeep = upkeep or Upkeep(usual_plan(interval_s), Patience(deadline_s))
        interval_s, deadline_s = upkeep.plan.interval_s, upkeep.patience.deadline_s
        fresh_s = _FRESH_INTERVALS * interval_s
        migs_fresh_s = _FRESH_INTERVALS * max(interval_s, upkeep.plan.every["migs"])
        self._oddities = GpuOddities(tell)
        self._watch = GpuWatch(interval_s, fresh_s, tell)
        self._log = KernelLog(self._hear_kernel, tell, journal, report) if journal else None
        self._xids = XidDesk(tell, self._gpu_of, lambda: self._log is not None and self._log.speaks)
        self._board = GpuBoard(
            fresh_s, migs_fresh_s, deadline_s, ProcessIdentities().describe,
            last_xid=self._xids.last.get, notice=self._oddities.notice,
        )  # fmt: skip
        self._supervisor = Supervisor(upkeep, self._board, hear=self._hear, tick=self._tick, tell=tell)

    def start(self) -> None:
        """Begin polling; return at once."""
        self._supervisor.start()
        if self._log is not None:
            self._log.start()

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until every GPU was read once, or none can be; return whether it came to that in time."""
        until = time.monotonic() + timeout_s
        while not (known := self._board.known()) and time.monotonic() < until:
            time.sleep(0.01)
        return known

    def read(self) -> GpuReading:
        """Return the newest readings; samples older than three intervals are withdrawn."""
        return self._board.reading(time.monotonic())

    def release(self, for_s: float) -> None:
        """Let go of the driver for so long, 0 to take it back; return when it is let go, or after a second."""
        self._supervisor.release(for_s)

    def close(self) -> None:
        """Stop polling and end the child, within a second even while it hangs."""
        if self._log is not None:
            self._log.close()
        self._supervisor.close()

    @property
    def child_pid(self) -> int | None:
        """The telemetry child's PID, for those who account for the daemon's own size."""
        return self._supervisor.child_pid

    @property
    def implausible_values(self) -> int:
        """How many bursts of values were dropped because no GPU can have meant them."""
        return self._oddities.dropped

    def _hear(self, line: bytes, now_s: float) -> None:
        """Take in a line of the child."""
        message = json.loads(line)
        if "event" not in message:
            self._board.hear(message, now_s)
            return
        at, gpu, number = message["at"], message["gpu"], message["number"]
        if message["event"] == "xid":
            self._xids.take(Xid(at, number, NVML, gpu=gpu), now_s)
        else:
            self._oddities.recovery.changed(at, gpu, number, NVML)

    def _hear_kernel(self, at: float, text: str) -> None:
        """Take in a line of the kernel log."""
        xid = parse_kernel_line(at, text)
        if xid is None:
            return
        self._xids.take(xid, time.monotonic())
        action, gpu = action_in(text), self._gpu_of(xid.pci) if xid.pci else None
        if action is not None and gpu is not None:
            self._oddities.recovery.changed(at, gpu, action, xid.source)

    def _tick(self, now_s: float) -> None:
        self._watch.look(time.time(), self._board.answers(now_s), self._board.trouble)
        self._xids.flush(now_s)

    def _gpu_of(self, pci: Pci) -> int | None:
        addresses = self._board.pci_bus_ids()
        return next((gpu for gpu, address in addresses.items() if pci_of(address) == pci), None)

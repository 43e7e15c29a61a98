"""Every few seconds: tell the board and systemd how the daemon is doing; no sign of life when a duty is late."""

from collections import Counter
from collections.abc import Callable, Iterator

from dcdaemon.control.desk import Desk
from dcdaemon.core.view import GpuBlock
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.lifecycle import notify
from dcdaemon.daemon.ticker import Ticker

#: How `systemctl status` names the GPUs that take no job.
_WORDS = {GpuBlock.DRAINED: "drained", GpuBlock.FOREIGN: "used by others", GpuBlock.HEALTH: "not well"}


class WatchdogDuty:
    """Feeds systemd's watchdog only while every duty ticks and the API's thread lives."""

    name = "watchdog"

    def __init__(
        self, desk: Desk, ticker: Ticker, conductor: Conductor, api_alive: Callable[[], bool], every_s: float = 2.0
    ) -> None:
        self.every_s = every_s
        self._desk = desk
        self._ticker = ticker
        self._conductor = conductor
        self._api_alive = api_alive
        self._told = ""

    def tick(self) -> None:
        """Publish the duties' reports; notify systemd."""
        self._desk.board.duties = self._ticker.reports()
        self._desk.board.keeps_jobs = self._conductor.trouble
        trouble = ", ".join(self._trouble())
        alive = () if trouble else ("WATCHDOG=1",)
        status = f"STATUS={trouble or self._status()}"
        # A daemon that is about to be restarted says why; what it has said already it need not repeat.
        if alive or status != self._told:
            notify(*alive, status)
        self._told = status

    def _trouble(self) -> Iterator[str]:
        """Yield what keeps the daemon from being alive in the eyes of systemd."""
        late = [duty.name for duty in self._desk.board.duties if duty.late]
        if late:
            yield f"late: {', '.join(late)}"
        if self._conductor.stuck():
            yield "the scheduler hangs in a cycle"
        if not self._api_alive():
            yield "the API's thread has ended"

    def _status(self) -> str:
        waiting, held, active = self._desk.book.counts()
        gpus = self._desk.book.node.gpus
        blocked = Counter(slot.blocked for slot in gpus if slot.blocked is not None)
        parts = [f"{active} running", f"{waiting} waiting" + (f" ({held} held)" if held else "")]
        parts += [f"{len(gpus)} {'GPU' if len(gpus) == 1 else 'GPUs'}"]
        parts += [f"{number} {_WORDS.get(block, block.value)}" for block, number in sorted(blocked.items())]
        return ", ".join([*parts, *([self._conductor.trouble] if self._conductor.trouble else [])])

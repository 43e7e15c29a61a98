"""Every few seconds: tell the board and systemd how the daemon is doing; silence when a duty is late."""

from collections.abc import Callable

from dcdaemon.control.desk import Desk
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.lifecycle import notify
from dcdaemon.daemon.ticker import Ticker


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

    def tick(self) -> None:
        """Publish the duties' reports; notify systemd."""
        self._desk.board.duties = self._ticker.reports()
        well = self._api_alive() and not self._conductor.stuck()
        if well and not any(duty.late for duty in self._desk.board.duties):
            notify("WATCHDOG=1", f"STATUS={self._status()}")

    def _status(self) -> str:
        waiting, held, active = self._desk.book.counts()
        gpus = self._desk.book.node.gpus
        blocked = sum(slot.blocked is not None for slot in gpus)
        trouble = f", {self._conductor.trouble}" if self._conductor.trouble else ""
        return f"{active} running, {waiting} waiting ({held} held), {len(gpus)} GPUs, {blocked} not usable{trouble}"

"""Every few seconds: read the host's own sensors."""

from collections.abc import Callable, Iterable
from itertools import groupby

from dcdaemon.control.desk import Desk
from dcdaemon.core.ports import HostSource
from dcdaemon.core.samples import Sample
from dcdaemon.daemon.clock_steps import ClockSteps


class HostDuty:
    """Keeps the newest host reading on the board and in the store."""

    name = "host"

    def __init__(
        self, desk: Desk, source: HostSource, every_s: float, clock_set: Callable[[float], None] = lambda _step_s: None
    ) -> None:
        self.every_s = every_s
        self._clock_set = clock_set
        self._desk = desk
        self._source = source
        self._steps = ClockSteps(desk.clock)

    def tick(self) -> None:
        """Read and record."""
        desk = self._desk
        step = self._steps.look()
        if step is not None:
            desk.board.events.tell(step)
            self._clock_set(self._steps.step_s)
            desk.wake()  # what was to begin at a time of day may be due now
        reading = self._source.read()
        samples = tuple(reading.samples())
        desk.board.host = reading
        self._take(samples)
        desk.store.record(samples)

    def _take(self, samples: Iterable[Sample]) -> None:
        """Show the samples, each as old as it is: what a collector finished later was read before now."""
        now, now_s = self._desk.clock.now(), self._desk.clock.monotonic()
        for at, group in groupby(samples, key=lambda sample: sample.at):
            self._desk.board.newest.take(group, now_s - max(now - at, 0.0))

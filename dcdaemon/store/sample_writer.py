"""Keeps samples while the database is slow or away, writes them when it can, and tells what was lost."""

import threading
from collections.abc import Sequence
from functools import partial

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import AnySample
from dcdaemon.core.units import format_duration
from dcdaemon.store import samples
from dcdaemon.store.sample_buffer import SampleBuffer, Sweep
from dcdaemon.store.write_lane import WriteLane


class SampleWriter:
    """The way of the samples of one node into its database; `record` never waits."""

    def __init__(self, node: str, lane: WriteLane, buffered_bytes: int, tell: Tell) -> None:
        self._node = node
        self._lane = lane
        self._buffer = SampleBuffer(buffered_bytes)
        self._tell = tell
        self._one_at_a_time = threading.Lock()

    @property
    def dropped(self) -> int:
        """Count the readings that were lost since the start."""
        return self._buffer.dropped

    def record(self, taken: Sequence[AnySample]) -> None:
        """Keep samples in memory until the next flush."""
        if taken:
            self._buffer.add(samples.pack(self._node, taken))

    def flush(self) -> None:
        """Write what is buffered; it stays buffered when StoreUnavailable is raised."""
        with self._one_at_a_time:
            while sweeps := self._buffer.take():
                try:
                    self._write(sweeps)
                except BaseException:
                    self._buffer.put_back()
                    raise
                self._buffer.written()
                self._tell_loss(sweeps[-1].at)

    def written_until(self, now: float) -> float:
        """Return the time up to which everything is in the database: what waits here must not count as late there."""
        waiting_at = self._buffer.oldest_at()
        return now if waiting_at is None else min(now, waiting_at)

    def _write(self, sweeps: Sequence[Sweep]) -> None:
        try:
            self._lane.run(partial(samples.write, sweeps=sweeps))
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001  whatever one row is, it must not keep back all others for ever
            self._tell_misfits(self._lane.run(partial(samples.write_apart, sweeps=sweeps)))

    def _tell_loss(self, at: float) -> None:
        loss = self._buffer.loss()
        if loss is None:
            return
        span = format_duration(max(loss.to_at - loss.from_at, 1.0))
        message = f"{loss.readings} readings of {span} were dropped: the database took no writes for too long"
        evidence = {"readings": loss.readings, "from_at": loss.from_at, "to_at": loss.to_at}
        self._tell(Event(at, EventKind.SAMPLES_DROPPED, "database", message, dict(evidence)))

    def _tell_misfits(self, misfits: Sequence[samples.Misfit]) -> None:
        for misfit in misfits:
            what = f"{misfit.column} = {misfit.value}" if misfit.column else f"a row: {misfit.value}"
            device = " ".join(map(str, misfit.device))
            message = f"{misfit.series} of {device or 'the node'}: no room for {what}"
            subject = f"{misfit.series} {misfit.column or ''}".rstrip()
            self._tell(Event(misfit.at, EventKind.IMPLAUSIBLE_VALUE, subject, message, {"device": device}))

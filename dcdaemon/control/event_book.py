"""Events on their way to the database: every one is counted at once, those of a burst share a row."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dcdaemon.control.book import Hold
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.ports import Store

#: The same thing again within this time belongs to the same row; NVIDIA groups XIDs in the same way.
BURST_S = 180.0
#: What does not end begins a row anew, or a look at the last day would miss what began before.
LONGEST_BURST_S = 3600.0
#: Bursts that are remembered, and rows that wait for the database; the oldest go first, and that is an event, too.
MAX_WAITING = 10_000
#: Rows of one transaction.
_SLICE = 500
_XIDS_REMEMBERED = 1000
#: An XID may end its job, and be told of a moment after the job has left the GPU.
_TOLD_LATE_S = 5.0

Key = tuple[EventKind, str, str]
#: The job that held a GPU at a time, if any.
Holder = Callable[[int, float], int | None]


@dataclass(slots=True, eq=False)
class _Burst:
    event: Event
    last_at: float
    stored_id: int | None = None
    waits: bool = False


@dataclass
class EventBook:
    """Takes events from any thread without blocking; `flush` writes them."""

    counts: Counter[EventKind] = field(default_factory=Counter)
    xids: Counter[tuple[int, int]] = field(default_factory=Counter)
    dropped: int = 0
    #: Readings that the store told it had to drop.
    readings_dropped: int = 0
    #: By the time of their last event, the oldest first.
    _bursts: dict[Key, _Burst] = field(default_factory=dict)
    _changed: deque[_Burst] = field(default_factory=deque)
    _recent_xids: deque[tuple[float, int, int, int]] = field(default_factory=lambda: deque(maxlen=_XIDS_REMEMBERED))
    _told_dropped: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, event: Event) -> None:
        """Count an event and keep it for the next flush."""
        with self._lock:
            self._count(event)
            self._join(event)

    def flush(self, store: Store, holder: Holder) -> int:
        """Write new rows and grown counts; `holder` tells the job on a GPU. Return rows written.

        Raise StoreUnavailable, with everything kept, when the database cannot take them now.
        """
        written = 0
        while bursts := self._take(holder):
            self._write(store, bursts)
            written += len(bursts)
            self._tell_of_dropped(bursts[-1].event.at)
        return written

    def totals(self) -> tuple[Mapping[EventKind, int], Mapping[tuple[int, int], int]]:
        """Return how many events of each kind, and XIDs by GPU and code, there were since the start."""
        with self._lock:
            return dict(self.counts), dict(self.xids)

    def xids_since(self, at: float) -> Mapping[tuple[int, int], int]:
        """Return how many XIDs by GPU and code there were since a time that is not long ago."""
        found: Counter[tuple[int, int]] = Counter()
        with self._lock:
            for told_at, gpu, code, count in self._recent_xids:
                if told_at >= at:
                    found[gpu, code] += count
        return found

    def _count(self, event: Event) -> None:
        self.counts[event.kind] += event.count
        readings, code = event.evidence.get("readings"), event.evidence.get("xid")
        if event.kind is EventKind.SAMPLES_DROPPED and isinstance(readings, int):
            self.readings_dropped += readings
        if event.kind is EventKind.XID and event.gpu is not None and isinstance(code, int):
            self.xids[event.gpu, code] += event.count
            self._recent_xids.append((event.at, event.gpu, code, event.count))

    def _join(self, event: Event) -> None:
        key = event.kind, event.subject, str(event.evidence.get("xid", event.evidence.get("metric", "")))
        burst = self._bursts.pop(key, None)
        if burst is None or _is_over(burst, event.at):
            burst = _Burst(event, event.at)
            self._forget_old(event.at)
        else:
            burst.event = replace(burst.event, count=burst.event.count + event.count)
            burst.last_at = event.at
        self._bursts[key] = burst
        if not burst.waits:
            burst.waits = True
            self._changed.append(burst)
            self._make_room()

    def _forget_old(self, now: float) -> None:
        while self._bursts:
            key, oldest = next(iter(self._bursts.items()))
            if len(self._bursts) < MAX_WAITING and now - oldest.last_at <= BURST_S:
                return
            del self._bursts[key]

    def _make_room(self) -> None:
        while len(self._changed) > MAX_WAITING:
            self._changed.popleft().waits = False
            self.dropped += 1

    def _take(self, holder: Holder) -> list[_Burst]:
        with self._lock:
            bursts = [self._changed.popleft() for _ in range(min(len(self._changed), _SLICE))]
            for burst in bursts:
                burst.waits = False
        # Not under the lock: whoever knows the jobs may be waiting for the database.
        owners = [_owner(burst.event, holder) for burst in bursts]
        with self._lock:
            for burst, owner in zip(bursts, owners, strict=True):
                burst.event = replace(burst.event, job_id=owner)
        return bursts

    def _write(self, store: Store, bursts: Sequence[_Burst]) -> None:
        with self._lock:
            events = [replace(burst.event, id=burst.stored_id) for burst in bursts]
        try:
            ids = store.save_events(events)
        except BaseException:
            self._put_back(bursts)
            raise
        with self._lock:
            for burst, stored_id in zip(bursts, ids, strict=True):
                burst.stored_id = stored_id

    def _put_back(self, bursts: Sequence[_Burst]) -> None:
        with self._lock:
            again = [burst for burst in bursts if not burst.waits]
            self._changed.extendleft(reversed(again))
            for burst in again:
                burst.waits = True
            self._make_room()

    def _tell_of_dropped(self, at: float) -> None:
        lost, self._told_dropped = self.dropped - self._told_dropped, self.dropped
        if lost:
            message = f"{lost} events were counted but not stored: the database was away for too long"
            self.tell(Event(at, EventKind.SAMPLES_DROPPED, "events", message, {"rows": lost}))


def holder_among(holds: Sequence[Hold]) -> Holder:
    """Return what finds, among these holds, the job that had a GPU at a time."""

    def holder(gpu: int, at: float) -> int | None:
        held = [
            hold for hold in holds
            if hold.gpu == gpu and hold.from_at <= at and (hold.to_at is None or at <= hold.to_at + _TOLD_LATE_S)
        ]  # fmt: skip
        return max(held, key=lambda hold: hold.from_at).job_id if held else None

    return holder


def _owner(event: Event, holder: Holder) -> int | None:
    if event.job_id is not None or event.gpu is None:
        return event.job_id
    return holder(event.gpu, event.at)


def _is_over(burst: _Burst, now: float) -> bool:
    return now - burst.last_at > BURST_S or now - burst.event.at > LONGEST_BURST_S

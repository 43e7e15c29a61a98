"""Events on their way to the database: every one is counted at once, those of a burst share a row."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.ports import Store

#: The same thing again within this time belongs to the same row; NVIDIA groups XIDs in the same way.
BURST_S = 180.0
#: Rows that wait for the database; the oldest go first, and that is an event, too.
MAX_WAITING = 10_000

Key = tuple[EventKind, str, str]


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
    _bursts: dict[Key, _Burst] = field(default_factory=dict)
    _changed: deque[_Burst] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, event: Event) -> None:
        """Count an event and keep it for the next flush."""
        with self._lock:
            self.counts[event.kind] += event.count
            code = event.evidence.get("xid")
            if event.kind is EventKind.XID and event.gpu is not None and isinstance(code, int):
                self.xids[event.gpu, code] += event.count
            self._join(event)

    def flush(self, store: Store, holder: Callable[[int], int | None]) -> int:
        """Write new rows and grown counts; `holder` tells the job on a GPU. Return rows written.

        Raise StoreUnavailable, with everything kept, when the database cannot take them now.
        """
        with self._lock:
            changed = list(self._changed)
            events = [replace(burst.event, id=burst.stored_id) for burst in changed]
            self._changed.clear()
            for burst in changed:
                burst.waits = False
        if not events:
            return 0
        owned = [event if event.gpu is None else replace(event, job_id=holder(event.gpu)) for event in events]
        try:
            ids = store.save_events(owned)
        except StoreUnavailable:
            with self._lock:
                again = [burst for burst in changed if not burst.waits]
                self._changed.extendleft(reversed(again))
                for burst in again:
                    burst.waits = True
                self._make_room()
            raise
        with self._lock:
            for burst, stored_id in zip(changed, ids, strict=True):
                burst.stored_id = stored_id
        return len(ids)

    def totals(self) -> tuple[Mapping[EventKind, int], Mapping[tuple[int, int], int]]:
        """Return how many events of each kind, and XIDs by GPU and code, there were since the start."""
        with self._lock:
            return dict(self.counts), dict(self.xids)

    def _join(self, event: Event) -> None:
        key = event.kind, event.subject, str(event.evidence.get("xid", ""))
        burst = self._bursts.get(key)
        if burst is None or event.at - burst.last_at > BURST_S:
            self._forget_old(event.at)
            burst = self._bursts[key] = _Burst(event, event.at)
        else:
            burst.event = replace(burst.event, count=burst.event.count + event.count)
            burst.last_at = event.at
        if not burst.waits:
            burst.waits = True
            self._changed.append(burst)
            self._make_room()

    def _make_room(self) -> None:
        while len(self._changed) > MAX_WAITING:
            self._changed.popleft().waits = False
            self.dropped += 1

    def _forget_old(self, now: float) -> None:
        old = [key for key, burst in self._bursts.items() if now - burst.last_at > BURST_S]
        for key in old:
            del self._bursts[key]

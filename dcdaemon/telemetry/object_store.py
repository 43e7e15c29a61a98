"""Probes an S3-compatible object store in a lasting thread of its own: latency, errors, used capacity."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import ObjectStoreSample
from dcdaemon.telemetry.s3 import PAGE_KEYS, Bucket, Page, ProbeError

_EVERY_S = 60.0
_COUNT_EVERY_S = 3600.0
#: A count that could not be finished is begun anew after this time.
_COUNT_AGAIN_S = 600.0
#: A count says something for as long as three should have come.
_COUNTS_MISSED = 3
#: Between two pages, so that counting a large bucket is no load, neither here nor there.
_PAUSE_S = 0.2
_MOST_PAGES = 1000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Count:
    """A walk over all pages of the bucket, as far as it came."""

    token: str | None = None
    pages: int = 0
    objects: int = 0
    bytes: int = 0


class ObjectStoreProbe:
    """Lists one key at each interval and, in between, counts the whole bucket once an hour; `read` never waits."""

    def __init__(
        self, bucket: Bucket, tell: Tell, *, every_s: float = _EVERY_S, most_pages: int = _MOST_PAGES,
        clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._bucket, self._tell, self.every_s, self._most_pages = bucket, tell, every_s, most_pages
        self._clock, self._monotonic = clock, monotonic
        self._probes = self._errors = 0
        self._count: _Count | None = None
        self._counted: tuple[_Count, float] | None = None
        self._count_at_s = monotonic()
        self._error: str | None = None
        self._fresh: ObjectStoreSample | None = None
        self._begun, self._stop = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="object store", daemon=True)

    def close(self) -> None:
        """Stop probing; a request under way is left to its end."""
        self._stop.set()

    def read(self, at: float) -> tuple[ObjectStoreSample, ...]:  # noqa: ARG002  a sample is as old as its probe
        """Return the last probe, once; the first reading begins to probe."""
        if not self._begun:
            self._begun = True
            self._thread.start()
        fresh, self._fresh = self._fresh, None
        return () if fresh is None else (fresh,)

    def _run(self) -> None:
        while not self._stop.is_set():
            due_s = self._monotonic() + self.every_s
            self.probe()
            while self._monotonic() < due_s and not self._stop.is_set() and self.count_page():
                self._stop.wait(_PAUSE_S)
            self._stop.wait(max(due_s - self._monotonic(), 0.0))

    def probe(self) -> None:
        """List one key and leave a sample of it."""
        began_s = self._monotonic()
        answer = self._ask(1)
        error = answer if isinstance(answer, str) else None
        took_s, at = self._monotonic() - began_s, self._clock()
        self._probes += 1
        self._errors += error is not None
        self._notice(error, at)
        count = self._known_count()
        self._fresh = ObjectStoreSample(
            at=at,
            store=self._bucket.label,
            up=error is None,
            latency_s=took_s if error is None else None,
            probes=self._probes,
            errors=self._errors,
            used_bytes=None if count is None else count.bytes,
            objects=None if count is None else count.objects,
            error=error,
        )

    def count_page(self) -> bool:
        """Count the next page of the bucket when a count is due, and tell whether there is more to count."""
        if self._error is not None or not self._most_pages or self._monotonic() < self._count_at_s:
            return False
        count = self._count = self._count or _Count()
        page = self._ask(PAGE_KEYS, count.token)
        if isinstance(page, str):
            # The next probe tells what is wrong.
            return self._end_count(_COUNT_AGAIN_S)
        count.pages, count.token = count.pages + 1, page.next_token
        count.objects, count.bytes = count.objects + page.objects, count.bytes + page.bytes
        if count.token is None:
            self._counted = count, self._monotonic()
            return self._end_count(_COUNT_EVERY_S)
        if count.pages >= self._most_pages:
            self._refuse_count()
            return self._end_count(_COUNT_EVERY_S)
        return True

    def _ask(self, keys: int, token: str | None = None) -> Page | str:
        """Return a page of the listing, or why there is none."""
        try:
            return self._bucket.page(keys, token)
        except ProbeError as error:
            return str(error)
        except Exception as error:
            # A fault of ours must not end the thread, which would go unseen.
            log.exception("the object store cannot be probed", extra={"action": "probe_failed"})
            return f"{type(error).__name__}: {error}"

    def _end_count(self, again_s: float) -> bool:
        self._count, self._count_at_s = None, self._monotonic() + again_s
        return False

    def _refuse_count(self) -> None:
        most, self._counted = self._most_pages * PAGE_KEYS, None
        message = f"{self._bucket.label} holds more than {most:,} objects: not counted (object_store.list_pages)"
        self._say(EventKind.OBJECT_STORE_ERROR, message, self._clock())

    def _known_count(self) -> _Count | None:
        if self._counted is None or self._monotonic() - self._counted[1] > _COUNTS_MISSED * _COUNT_EVERY_S:
            return None
        return self._counted[0]

    def _notice(self, error: str | None, at: float) -> None:
        if (error is None) != (self._error is None):
            kind = EventKind.OBJECT_STORE_ANSWERS if error is None else EventKind.OBJECT_STORE_ERROR
            self._say(kind, f"{self._bucket.label}: {error or 'answers again'}", at)
        self._error = error

    def _say(self, kind: EventKind, message: str, at: float) -> None:
        self._tell(Event(at, kind, self._bucket.label, message, {"endpoint": self._bucket.endpoint}))

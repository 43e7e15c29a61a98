"""The newest sample of every device, each with its age; one that is too old to be true is withdrawn."""

import threading
from collections.abc import Iterable
from functools import cache
from typing import Any

from dcdaemon.core.metric import metrics_of

#: A value is withdrawn when so many of its readings are missing.
_READINGS_MISSED = 3
_NEVER_BEFORE_S = 3.0


class Newest:
    """Filled by the duties, read by /metrics and the API; ages are in monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[tuple[Any, ...], tuple[Any, float]] = {}

    def take(self, samples: Iterable[Any], read_s: float) -> None:
        """Remember samples that were read at this monotonic time; each replaces the older one of its device."""
        with self._lock:
            for sample in samples:
                self._taken[device(sample)] = (sample, getattr(sample, "monotonic_s", read_s))

    def fresh(self, now_s: float) -> list[tuple[Any, float]]:
        """Return the samples that may still be believed, each with its age in seconds; forget the others."""
        with self._lock:
            stale = [key for key, (sample, at_s) in self._taken.items() if now_s - at_s > kept_s(type(sample))]
            for key in stale:
                del self._taken[key]
            return [(sample, max(now_s - at_s, 0.0)) for sample, at_s in self._taken.values()]


def device(sample: Any) -> tuple[Any, ...]:
    """Return what names the device of a sample: its kind and the values of its keys."""
    return (sample.KIND, *(getattr(sample, key) for key in sample.KEYS))


@cache
def kept_s(kind: type) -> float:
    """Return how old a sample of a kind may be: three of its readings, the quickest of its values counting."""
    return max(_READINGS_MISSED * min(metric.every_s for metric in metrics_of(kind)), _NEVER_BEFORE_S)

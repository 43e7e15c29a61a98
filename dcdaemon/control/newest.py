"""The newest sample of every device, each with its age; one that is too old to be true is withdrawn."""

import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from dcdaemon.core.metric import metrics_of

#: A value is withdrawn when so many of its readings are missing.
_READINGS_MISSED = 3
_NEVER_BEFORE_S = 3.0
#: How long a device that is not read any more is remembered, to tell how long that has been.
_REMEMBERED_S = 3600.0

Device = tuple[Any, ...]


class Newest:
    """Filled by the duties, read by /metrics and the API; ages are in monotonic seconds.

    `every_s` names the kinds that are configured to be read more rarely than the table of metrics says.
    """

    def __init__(self, every_s: Mapping[str, float] | None = None) -> None:
        self._every_s = every_s or {}
        self._lock = threading.Lock()
        self._taken: dict[Device, tuple[Any, float]] = {}

    def take(self, samples: Iterable[Any], read_s: float) -> None:
        """Remember samples that were read at this monotonic time; each replaces the older one of its device.

        A sample does not become younger by being shown again.
        """
        with self._lock:
            for sample in samples:
                key = device(sample)
                known = self._taken.get(key)
                again = known is not None and known[0].at == sample.at
                at_s = known[1] if known is not None and again else getattr(sample, "monotonic_s", read_s)
                self._taken[key] = (sample, at_s)

    def fresh(self, now_s: float) -> list[tuple[Any, float]]:
        """Return the samples that may still be believed, each with its age in seconds."""
        with self._lock:
            aged = [(sample, max(now_s - at_s, 0.0)) for sample, at_s in self._taken.values()]
            for sample, age_s in aged:
                if age_s > self.kept_s(type(sample)) + _REMEMBERED_S:
                    del self._taken[device(sample)]
        return [(sample, age_s) for sample, age_s in aged if age_s <= self.kept_s(type(sample))]

    def age_s(self, of: Device, now_s: float) -> float | None:
        """Return how long ago a device was read, withdrawn or not; None when it is not known at all."""
        with self._lock:
            known = self._taken.get(of)
        return None if known is None else max(now_s - known[1], 0.0)

    def kept_s(self, kind: Any) -> float:
        """Return how old a sample of a kind may be: three of its readings, the quickest of its values counting."""
        every_s = max(_every_s(kind), self._every_s.get(kind.KIND, 0.0))
        return max(_READINGS_MISSED * every_s, _NEVER_BEFORE_S)


def device(sample: Any) -> Device:
    """Return what names the device of a sample: its kind and the values of its keys."""
    return (sample.KIND, *(getattr(sample, key) for key in sample.KEYS))


@cache
def _every_s(kind: type) -> float:
    return min(metric.every_s for metric in metrics_of(kind))

"""Tells when a counter ran backwards: its device was reset, its driver loaded again, or somebody cleared it."""

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.metric import Kind, metrics_of
from dcdaemon.core.samples import AnySample, SwitchPortSample

Values = tuple[Any, ...]
Reader = Callable[[Any], Values]
#: A switch that starts anew is one event, told where its uptime is known.
_TOLD_ELSEWHERE = (SwitchPortSample,)


class Resets:
    """Remembers the last counters of each device; a reset is one event a device, whatever the number of counters."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last: dict[type, dict[Values, Values]] = {}

    def check(self, samples: Iterable[AnySample]) -> None:
        """Compare samples with the last ones of their devices, and tell of what fell.

        A device that is missing among others of its kind is forgotten: what comes in its place may be another one.
        """
        counted: dict[type, dict[Values, Values]] = {}
        for sample in samples:
            kind: type = type(sample)
            names, key_of, counters_of = _readers(kind)
            if not names or kind in _TOLD_ELSEWHERE:
                continue
            key = (sample.KIND, *key_of(sample))
            now, before = counters_of(sample), self._last.get(kind, {}).get(key)
            if before is not None:
                # An unknown value does not hide a reset: it is compared with the last known one.
                if None in now:
                    now = tuple(old if new is None else new for old, new in zip(before, now, strict=True))
                if now != before and (fell := _fallen(names, before, now)):
                    self._say(sample.at, key, fell)
            counted.setdefault(kind, {})[key] = now
        self._last |= counted

    def _say(self, at: float, key: Values, fell: dict[str, list[Any]]) -> None:
        name = "/".join(str(part) for part in key[1:]) or str(key[0])
        counters = ", ".join(f"{counter} from {old} to {new}" for counter, (old, new) in list(fell.items())[:3])
        more = f" and {len(fell) - 3} more" if len(fell) > 3 else ""
        message = f"{name} counts anew: {counters}{more}"
        self._tell(Event(at, EventKind.COUNTER_RESET, name, message, {"device": key[0], "fell": fell}))


def _fallen(names: Values, before: Values, now: Values) -> dict[str, list[Any]]:
    return {
        name: [old, new]
        for name, old, new in zip(names, before, now, strict=True)
        if old is not None and new is not None and new < old
    }


@cache
def _readers(kind: type) -> tuple[tuple[str, ...], Reader, Reader]:
    names = tuple(metric.attribute for metric in metrics_of(kind) if metric.kind is Kind.COUNTER)
    return names, _reader(kind.KEYS), _reader(names)  # type: ignore[attr-defined]  # every sample class has KEYS


def _reader(names: tuple[str, ...]) -> Reader:
    """Return what reads these attributes into a tuple; attrgetter gives one alone as it is."""
    if not names:
        return lambda _: ()
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda sample: (get(sample),)

"""What a measured value is: one description of each, from which columns, JSON keys, /metrics and pages are made.

A sample is a frozen dataclass with `KIND` (what it is a sample of) and `KEYS` (the fields that name the device); a
field made with `gauge`, `counter` or `fact` is a metric of it. The attribute's name ends in its unit, from which
Prometheus' base unit follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any

_METRIC = "metric"
#: Suffix of an attribute -> Prometheus' unit, and what one of ours is in it.
_UNITS = {
    "_bytes": ("_bytes", 1.0),
    "_ratio": ("_ratio", 1.0),
    "_bps": ("_bytes_per_second", 0.125),
    "_bytes_per_s": ("_bytes_per_second", 1.0),
    "_rpm": ("_rpm", 1.0),
    "_hz": ("_hertz", 1.0),
    "_mj": ("_joules", 0.001),
    "_w": ("_watts", 1.0),
    "_c": ("_celsius", 1.0),
    "_s": ("_seconds", 1.0),
}


class Kind(StrEnum):
    """How a value behaves, and so how it is folded: mean and range, growth, or not at all."""

    GAUGE = "gauge"
    COUNTER = "counter"
    FACT = "fact"


@dataclass(frozen=True, slots=True)
class Dcgm:
    """The same value under dcgm-exporter's name; `scale` converts ours to its unit."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value of one kind of device."""

    attribute: str
    kind: Kind
    meaning: str
    #: Where it is read: the NVML function or field id, the file, the OID.
    source: str
    #: Who can tell it: a GPU generation, a kernel version, a right; empty: everyone.
    support: str = ""
    #: Seconds between two readings of it.
    every_s: float = 5.0
    #: Family and labels of /metrics where several attributes are one family (throttled seconds by reason).
    family: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    #: For a bit mask: the name of each bit, exported as one 0/1 gauge each.
    bits: Mapping[int, str] = field(default_factory=dict)
    dcgm: Dcgm | None = None
    #: node_exporter's name for it, where it has one with the same unit.
    node: str | None = None
    #: Whether the value was compared with the vendor's own tool on real hardware.
    seen: bool = False

    def prometheus(self, device: str) -> str:
        """Return its name in /metrics by Prometheus' conventions, like dcd_gpu_power_watts."""
        stem, _ = self._in_base_unit
        total = "_total" if self.kind is Kind.COUNTER and not stem.endswith("_total") else ""
        return f"dcd_{device}_{stem}{total}"

    @property
    def scale(self) -> float:
        """What one of ours is in the base unit."""
        return self._in_base_unit[1]

    @property
    def _in_base_unit(self) -> tuple[str, float]:
        # A counter's own name may say so ("energy_counter_mj"); its _total says it in /metrics.
        name = (self.family or self.attribute).replace("_counter_", "_")
        for suffix, (unit, scale) in _UNITS.items():
            if name.endswith(suffix):
                return name.removesuffix(suffix) + unit, scale
        return name, 1.0


def gauge(meaning: str, source: str, support: str = "", *, default: Any = None, **more: Any) -> Any:
    """Make a field that goes up and down; None is unknown."""
    return _field(Kind.GAUGE, meaning, source, support, default, more)


def counter(meaning: str, source: str, support: str = "", *, default: Any = None, **more: Any) -> Any:
    """Make a field that only grows, until what counts is started anew."""
    return _field(Kind.COUNTER, meaning, source, support, default, more)


def fact(meaning: str, source: str, support: str = "", *, default: Any = None, **more: Any) -> Any:
    """Make a field that is stored as read and never averaged: a text, a switch, a mask."""
    return _field(Kind.FACT, meaning, source, support, default, more)


def _field(kind: Kind, meaning: str, source: str, support: str, default: Any, more: dict[str, Any]) -> Any:
    described = {"kind": kind, "meaning": meaning, "source": source, "support": support, **more}
    return field(default=default, metadata={_METRIC: described})


@cache
def metrics_of(sample: type) -> tuple[Metric, ...]:
    """Return the metrics of a kind of sample, in the order of its fields."""
    return tuple(Metric(one.name, **one.metadata[_METRIC]) for one in fields(sample) if _METRIC in one.metadata)

"""One kind of sample as families of metrics, worked out once: a scrape only puts values behind ready names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache, partial
from operator import attrgetter
from typing import Any, get_args

from dcdaemon.api.metrics.text import header, label
from dcdaemon.core.metric import Kind, Metric, metrics_of

#: What the families say whose parts are described one by one.
_MEANING_OF_FAMILY = {
    "clock_hz": "Clocks of the GPU.",
    "clock_max_hz": "Highest clocks of the GPU.",
    "throttled_s": "Time the clocks were held down, since the driver was loaded, by reason.",
    "ecc_errors": "Memory errors that ECC found, by what it could do and since when they are counted.",
    "remapped_rows": "Memory rows replaced, by the errors that were the cause.",
    "nvlink_errors": "NVLink errors of all links, by kind.",
    "stalled_s": "Time in which some or all tasks waited for a resource.",
}

Convert = Callable[[Any], float | int]
#: What ends the labels of a device, and one sample of it.
Row = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """One value of a sample: its place among the attributes, the text before the device, how it is written."""

    place: int
    before: str
    convert: Convert | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """A metric's name and all series that share it."""

    header: str
    series: tuple[Series, ...]


class Sheet:
    """The families of one kind of sample; `write` puts in the values of all its devices."""

    def __init__(self, attributes: Sequence[str], families: Sequence[Family]) -> None:
        self._values_of = attrgetter(*attributes, "at")  # with one name alone it would return no tuple
        self._families = families

    def write(self, lines: list[str], rows: Iterable[Row]) -> None:
        """Add every family of which at least one value is known."""
        devices = [(device, self._values_of(sample)) for device, sample in rows]
        for family in self._families:
            lines.append(family.header)
            begin = len(lines)
            for series in family.series:
                place, before, convert = series.place, series.before, series.convert
                for device, values in devices:
                    value = values[place]
                    if value is not None:
                        lines.append(f"{before}{device}{value if convert is None else convert(value)}\n")
            if len(lines) == begin:
                lines.pop()


@cache
def native_sheet(kind: Any) -> Sheet:
    """Return the sheet of a kind under our own names."""
    metrics = metrics_of(kind)
    types = {field.name: get_args(field.type) for field in fields(kind)}
    members: dict[str, list[tuple[int, Metric]]] = {}
    for place, metric in enumerate(metrics):
        if str not in types[metric.attribute]:
            members.setdefault(metric.prometheus(kind.KIND), []).append((place, metric))
    families = [_native_family(name, of, types, keyed=bool(kind.KEYS)) for name, of in members.items()]
    return Sheet([metric.attribute for metric in metrics], families)


def texts_of(kind: Any) -> tuple[str, ...]:
    """Return the facts of a kind that are texts: they are labels of its info family, but for the error."""
    types = {field.name: get_args(field.type) for field in fields(kind)}
    return tuple(m.attribute for m in metrics_of(kind) if str in types[m.attribute] and m.attribute != "error")


def before(name: str, given: Mapping[str, object], *, keyed: bool) -> str:
    """Return name and labels of a series up to where those of the device begin."""
    inner = ",".join(label(key, value) for key, value in given.items())
    if keyed:
        return f"{name}{{{inner}," if inner else f"{name}{{"
    return f"{name}{{{inner}}}" if inner else name


@lru_cache(maxsize=8192)
def device_labels(names: tuple[str, ...], values: tuple[object, ...]) -> str:
    """Return what ends a series' labels: those of the device, the brace and the blank before the value."""
    pairs = zip(names, values, strict=True)
    return ",".join(label(name, value) for name, value in pairs if value is not None) + "} " if names else " "


def scaled(scale: float) -> Convert | None:
    """Return what brings a value to another unit; divided where it can be, as 0.001 is no binary fraction."""
    if scale == 1:
        return None
    if scale < 1:
        return partial(_divided, by=round(1 / scale))
    return partial(_multiplied, by=scale)


def _native_family(
    name: str, members: Sequence[tuple[int, Metric]], types: Mapping[str, tuple[Any, ...]], *, keyed: bool
) -> Family:
    first = members[0][1]
    meaning = _MEANING_OF_FAMILY.get(first.family or "", first.meaning)
    kind = "counter" if first.kind is Kind.COUNTER else "gauge"
    series: list[Series] = []
    for place, metric in members:
        if metric.bits:
            series += [
                Series(place, before(name, {**metric.labels, "reason": word}, keyed=keyed), partial(_bit, mask=mask))
                for mask, word in metric.bits.items()
            ]
        else:
            convert = int if bool in types[metric.attribute] else scaled(metric.scale)
            series.append(Series(place, before(name, metric.labels, keyed=keyed), convert))
    return Family(header(name, kind, meaning), tuple(series))


def _bit(value: int, mask: int) -> int:
    return 1 if value & mask else 0


def _divided(value: float, by: int) -> float:
    return value / by


def _multiplied(value: float, by: float) -> float:
    return value * by

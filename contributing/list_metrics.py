"""Write the tables of docs/telemetry.md anew, between their markers: every metric, and every kind of event."""  # noqa: INP001  a script

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from dcdaemon.api.metrics.dcgm import unit_of
from dcdaemon.api.metrics.own import OWN
from dcdaemon.core.event import EventKind
from dcdaemon.core.metric import Metric, metrics_of
from dcdaemon.core.samples import KINDS

PAGE = Path(__file__).parents[1] / "docs" / "telemetry.md"
#: What a value is told in, by the ending of its name.
UNITS = {
    "_bytes_per_s": "bytes/s", "_bytes": "bytes", "_ratio": "0 to 1", "_bps": "bits/s", "_rpm": "rpm", "_hz": "Hz",
    "_mj": "mJ", "_w": "W", "_c": "°C", "_s": "s",
}  # fmt: skip
_HEAD = "| value | meaning | unit, kind | source | support | every | in /metrics | elsewhere | seen |"


def metrics() -> Iterator[str]:
    """Yield the tables of all kinds of samples."""
    for kind in KINDS:
        title, keys = inspect.getdoc(kind) or "", ", ".join(f"`{key}`" for key in kind.KEYS)  # type: ignore[attr-defined]
        yield f"### `{kind.KIND}`\n"  # type: ignore[attr-defined]
        yield f"{title.splitlines()[0]} {f'One for each {keys}.' if keys else 'One for the node.'}\n"
        yield _HEAD
        yield "|---" * _HEAD.count(" | ") + "|---|"
        types = {field.name: get_args(field.type) for field in fields(kind)}
        yield from (_row(kind, metric, types[metric.attribute]) for metric in metrics_of(kind))
        yield ""


def own() -> Iterator[str]:
    """Yield the table of what /metrics tells besides the devices."""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for name, of in OWN.items():
        labels = ", ".join(f"`{label}`" for label in of.labels) or "-"
        yield f"| `{name}` | {of.kind} | {labels} | {of.meaning} |"


def events() -> Iterator[str]:
    """Yield the table of the kinds of events."""
    yield "| kind | meaning |"
    yield "|---|---|"
    yield from (f"| `{kind}` | {kind.meaning} |" for kind in EventKind)


TABLES: dict[str, Callable[[], Iterator[str]]] = {"metrics": metrics, "own metrics": own, "events": events}


def page(text: str) -> str:
    """Return the page with each table made anew; raise ValueError where one of its markers is missing."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: written by contributing/list_metrics.py -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + "\n" + "\n".join(table()).rstrip() + "\n\n" + end + after
    return text


def _row(kind: Any, metric: Metric, types: tuple[Any, ...]) -> str:
    cells = (
        f"`{metric.attribute}`", metric.meaning, f"{_unit(metric, types)}, {metric.kind.value}".removeprefix(", "),
        metric.source, metric.support or "all", f"{metric.every_s:g} s", _shown(kind, metric, types),
        _elsewhere(metric), "yes" if metric.seen else "no",
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _unit(metric: Metric, types: tuple[Any, ...]) -> str:
    if metric.bits:
        return "bit mask"
    if bool in types:
        return "true or false"
    if str in types:
        return "text"
    return next((unit for ending, unit in UNITS.items() if metric.attribute.endswith(ending)), "")


def _shown(kind: Any, metric: Metric, types: tuple[Any, ...]) -> str:
    if metric.attribute == "error":
        return f"`dcd_{kind.KIND}_error`, 0 or 1"
    if str in types:
        return f"label of `dcd_{kind.KIND}_info`"
    labels = [f'{key}="{value}"' for key, value in metric.labels.items()] + (["reason"] if metric.bits else [])
    return f"`{metric.prometheus(kind.KIND)}{'{' + ','.join(labels) + '}' if labels else ''}`"


def _elsewhere(metric: Metric) -> str:
    names = [f"`{metric.node}`"] if metric.node else []
    if metric.dcgm is not None:
        unit = unit_of(metric)
        names.append(f"`{metric.dcgm.name}`" + (f" ({unit})" if unit else ""))
    return ", ".join(names) or "-"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))

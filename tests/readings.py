"""Samples in which every value is known and tells itself apart, for tests of what is made of them."""

from dataclasses import fields
from itertools import count
from typing import Any, get_args

from dcdaemon.core.metric import metrics_of


def full(kind: Any, at: float = 1000.0, **given: Any) -> Any:
    """Return a sample of a kind with a value in each of its metrics but the error; `given` are its keys and others."""
    numbers = count(1)
    types = {field.name: get_args(field.type) for field in fields(kind)}
    values = {
        metric.attribute: _value(metric.attribute, types[metric.attribute], next(numbers))
        for metric in metrics_of(kind)
        if metric.attribute not in given and metric.attribute != "error"
    }
    return kind(at=at, **given, **values)


def _value(name: str, of: tuple[Any, ...], number: int) -> Any:
    if str in of:
        return f"{name} {number}"
    if bool in of:
        return number % 2 == 0
    if int in of:
        return number * 1_000_003
    return number / 128 if name.endswith("_ratio") else number + 0.25


class Exposition:
    """A page in Prometheus' text format, read strictly: whole families, no series twice."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n")
        self.types: dict[str, str] = {}
        self.help: dict[str, str] = {}
        self.values: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        current = ""
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current, _, meaning = line.removeprefix("# HELP ").partition(" ")
                assert current not in self.help, f"{current} begins twice"
                self.help[current], self.values[current] = meaning, {}
            elif line.startswith("# TYPE "):
                name, self.types[current] = line.removeprefix("# TYPE ").split(" ")
                assert name == current
            else:
                self._series(current, line)
        assert all(self.values.values()), "a family has no value"

    def _series(self, family: str, line: str) -> None:
        series, _, value = line.rpartition(" ")
        name, _, inner = series.partition("{")
        assert name == family, f"{name} stands in the family {family}"
        assert (not inner) or inner.endswith("}"), line
        labels = frozenset(_labels(inner.removesuffix("}")))
        assert labels not in self.values[family], f"{series} stands twice"
        self.values[family][labels] = float(value)

    def value(self, name: str, /, **labels: object) -> float | None:
        """Return the value of the one series that has these labels among its own; None where there is none."""
        wanted = {(key, str(value)) for key, value in labels.items()}
        found = [value for given, value in self.values.get(name, {}).items() if wanted <= given]
        assert len(found) <= 1, f"{len(found)} series of {name} have {labels}"
        return found[0] if found else None

    def labels(self, name: str) -> list[dict[str, str]]:
        """Return the labels of each series of a family."""
        return [dict(given) for given in self.values.get(name, {})]


def _labels(text: str) -> list[tuple[str, str]]:
    labels: list[tuple[str, str]] = []
    while text:
        name, _, rest = text.partition('="')
        assert name.isidentifier(), name
        value, escapes = "", {"\\": "\\", '"': '"', "n": "\n"}
        place = 0
        while rest[place] != '"':
            if rest[place] == "\\":
                place += 1
                value += escapes[rest[place]]
            else:
                value += rest[place]
            place += 1
        assert name not in dict(labels), f"{name} stands twice"
        labels.append((name, value))
        text = rest[place + 1 :].removeprefix(",")
    return labels

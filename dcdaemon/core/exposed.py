"""A family of metrics on its way to a page: another exporter's names, filled by whoever reads the files."""

from collections.abc import Sequence
from dataclasses import dataclass

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exposed:
    """One name with the values of its labels and a number for each of its series."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]
    rows: Sequence[tuple[Values, float]]

"""Prometheus' text format, version 0.0.4, written by hand: the usual library takes many times as long."""

from collections.abc import Iterable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Value = float | int | None


class Page:
    """The lines of one scrape; a family that has no value is left out, its header too."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def family(self, name: str, kind: str, meaning: str, rows: Iterable[tuple[str, Value]]) -> None:
        """Add a family: its rows are labels, made by `labels`, and a value; None is unknown and gets no line."""
        lines = [
            f"{name}{{{given}}} {value}\n" if given else f"{name} {value}\n"
            for given, value in rows
            if value is not None
        ]
        if lines:
            self.lines.append(header(name, kind, meaning))
            self.lines += lines

    def gauge(self, name: str, meaning: str, rows: Iterable[tuple[str, Value]]) -> None:
        """Add a family of gauges."""
        self.family(name, "gauge", meaning, rows)

    def counter(self, name: str, meaning: str, rows: Iterable[tuple[str, Value]]) -> None:
        """Add a family of counters."""
        self.family(name, "counter", meaning, rows)

    def encoded(self) -> bytes:
        """Return the body of the answer."""
        return "".join(self.lines).encode()


def header(name: str, kind: str, meaning: str) -> str:
    """Return the lines that begin a family."""
    escaped = meaning.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n"


def labels(**given: object) -> str:
    """Return labels as they stand between the braces; those that are None are left out."""
    return ",".join(label(name, value) for name, value in given.items() if value is not None)


def label(name: str, value: object) -> str:
    """Return one label; bytes of a file's name that are no text are written as escapes."""
    text = str(value).encode("utf-8", "backslashreplace").decode()
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"'

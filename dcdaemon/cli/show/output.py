"""One answer, every format: table, wide, json, jsonl, csv or ids; stdout is data, stderr is talk."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from dcdaemon.cli.show.words import printable
from dcdaemon.client.answer import Document
from dcdaemon.core.errors import BadInput

FORMATS = ("table", "wide", "json", "jsonl", "csv", "id")
#: Of the listings that Slurm has, too; its columns are fixed.
SLURM = "slurm"
#: What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
#: JSON itself escapes those below the blank.
_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its heading, how a row fills it, and how it behaves when space is short."""

    title: str
    cell: Callable[[Document], str]
    right: bool = False
    whole: bool = False
    wide: bool = False
    style: Callable[[Document], str] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a verb has to say: the API's document, its rows, and how people read them.

    `folded` is what a table shows instead of the rows, where several of them make one line.
    """

    document: Document
    rows: Sequence[Document]
    columns: tuple[Column, ...] = ()
    id_key: str = "id"
    last_row: Document | None = None
    text: str | None = None
    talk: str = ""
    folded: Sequence[Document] | None = None

    @property
    def lines(self) -> Sequence[Document]:
        """The rows of a table, the last one left out."""
        return self.rows if self.folded is None else self.folded


@dataclass(frozen=True, slots=True)
class Output:
    """How the caller reads: format (None = the verb's choice), columns, colour, width (None = uncut)."""

    form: str | None = None
    columns: tuple[str, ...] = ()
    color: bool = False
    width: int | None = None

    @classmethod
    def of(cls, form: str | None, columns: str | None, color: str) -> Self:
        """Combine the options with what stdout is: a pipe gets neither cut nor colour by itself."""
        terminal = sys.stdout.isatty()
        names = tuple(name.strip().lower() for name in (columns or "").split(",") if name.strip())
        return cls(form, names, _colored(color, terminal=terminal), _terminal_width() if terminal else None)

    @property
    def is_json(self) -> bool:
        """Tell whether a machine reads the whole document."""
        return self.form in ("json", "jsonl")

    @property
    def wants_ids(self) -> bool:
        """Tell whether a verb that acts answers with ids: asked for, or nobody is looking."""
        return self.form == "id" or (self.form is None and not sys.stdout.isatty())


def emit(page: Page, out: Output) -> None:
    """Print a page in the chosen format."""
    if out.form == "json":
        text = dump(page.document, readable=sys.stdout.isatty())
    elif out.form == "jsonl":
        text = "\n".join(dump(row) for row in page.rows)
    elif out.form == "csv":
        text = _csv(page, out.columns)
    elif out.form == "id":
        text = "\n".join(str(row.get(page.id_key)) for row in page.rows)
    else:
        text = _human(page, out)
    say(text)
    if page.talk and out.form in (None, "table", "wide"):
        talk(page.talk)


def dump(document: object, *, readable: bool = False) -> str:
    """Return JSON: compact as the API sends it, indented for a person; it moves no cursor and colours nothing."""
    form = {"indent": 2} if readable else {"separators": (",", ":")}
    text = json.dumps(document, ensure_ascii=False, **form)
    return _CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str) -> None:
    """Print data on stdout."""
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def talk(text: str) -> None:
    """Tell the person on stderr."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def chosen(page: Page, out: Output) -> tuple[Column, ...]:
    """Return the columns to show; raise BadInput for a name that is neither a heading nor a JSON key."""
    if not out.columns:
        return tuple(column for column in page.columns if out.form == "wide" or not column.wide)
    return tuple(_named(page, name) for name in out.columns)


def _human(page: Page, out: Output) -> str:
    if page.text is not None:
        return page.text
    # Imported here: machine formats do not pay for Rich.
    from dcdaemon.cli.show.table import render

    rows = [*page.lines, page.last_row] if page.last_row else page.lines
    columns = chosen(page, out)
    # So many columns cut to a terminal would be none that can be read.
    width = None if out.form == "wide" else out.width
    return render(columns, rows, width=width, color=out.color) if rows else ""


def _csv(page: Page, names: Sequence[str]) -> str:
    import csv
    import io

    keys = list(names) or list(dict.fromkeys(key for row in page.rows for key in row if key != "schema"))
    for key in keys:
        if page.rows and all(key not in row for row in page.rows):
            raise _unknown_column(key, [key for row in page.rows[:1] for key in row])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(keys)
    clean = printable if sys.stdout.isatty() else _without_control
    writer.writerows([clean(_csv_cell(row.get(key))) for key in keys] for row in page.rows)
    return text.getvalue().rstrip("\n")


def _csv_cell(value: object) -> str:
    """Return a cell that no spreadsheet computes: text of people that begins like a formula comes after a quote."""
    # Only text: a number is one, also below 0.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else _plain(value)


def _without_control(text: str) -> str:
    """Return text that a terminal behind a pipe takes for text, too; lines and tabs stay, in quotes."""
    return _CONTROL.sub("?", text)


def _named(page: Page, name: str) -> Column:
    for column in page.columns:
        if column.title.lower() == name:
            return column
    if page.rows and not any(name in row for row in page.rows):
        raise _unknown_column(name, [*(column.title.lower() for column in page.columns), *page.rows[0]])
    return Column(name.upper(), lambda row: _plain(row.get(name)))


def _unknown_column(name: str, known: Sequence[str]) -> BadInput:
    return BadInput(f"there is no column {name!r}", f"choose from {', '.join(dict.fromkeys(known))}")


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return dump(value)


def _colored(wish: str, *, terminal: bool) -> bool:
    if wish != "auto":
        return wish == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal and os.environ.get("TERM") != "dumb"


def _terminal_width() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
    except ValueError:
        columns = 0
    return columns if columns > 0 else os.get_terminal_size(sys.stdout.fileno()).columns or 80

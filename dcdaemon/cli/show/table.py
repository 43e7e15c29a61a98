"""Lay out a table with Rich: fitted to the terminal with visible cuts, or uncut."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcdaemon.cli.show.output import Column
from dcdaemon.cli.show.words import printable
from dcdaemon.client.answer import Document

_UNCUT = 100_000


def render(columns: Sequence[Column], rows: Sequence[Document], *, width: int | None, color: bool) -> str:
    """Return the table without trailing blanks; where `width` is too small, cells end in an ellipsis."""
    console = Console(
        width=width or _UNCUT, color_system="standard" if color else None, force_terminal=color,
        no_color=not color, markup=False, emoji=False, highlight=False, legacy_windows=False,
    )  # fmt: skip
    with console.capture() as captured:
        console.print(build(columns, rows), soft_wrap=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def build(columns: Sequence[Column], rows: Sequence[Document]) -> Table:
    """Return the table for Rich to draw; ids and states are never cut."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        table.add_column(
            Text(column.title, no_wrap=True, overflow="ellipsis"),
            justify="right" if column.right else "left",
            no_wrap=column.whole,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(_cell(column, row) for column in columns))
    return table


def _cell(column: Column, row: Document) -> Text:
    style = column.style(row) if column.style else ""
    return Text(printable(column.cell(row)), style=style, no_wrap=True, overflow="ellipsis")

"""What `dcd simulate` prints: a table of figures for each recording, one column a policy; and its progress bar."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from dcdaemon.cli.show.output import Column, Output, Page
from dcdaemon.client.answer import Document

if TYPE_CHECKING:
    from dcdaemon.simulator.study import Run, Study
    from dcdaemon.simulator.words import Figure


def simulation_page(study: "Study", runs: "Sequence[Run]", elapsed_s: float, out: Output) -> Page:
    """Return the page: JSON and CSV have a row a run, people get a table a recording."""
    from dcdaemon.simulator.study import document

    whole = document(study, runs)
    text = "\n\n".join(_block(study, list(same), out) for _, same in groupby(runs, key=lambda run: id(run.workload)))
    speed = f"{study.plays / max(elapsed_s, 1e-6):,.0f} jobs a second"
    return Page(whole, whole["runs"], id_key="policy", text=text, talk=f"{study.plays:,} jobs played, {speed}")


@contextmanager
def progress_bar(plays: int) -> Iterator[Callable[[int], None] | None]:
    """Show on a terminal how far the plays are; yields what to call with each count of jobs, or None for a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    # Imported here: pipes do not pay for Rich.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("playing {task.total:,} jobs"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=plays)
        yield lambda jobs: shown.advance(task, jobs)


def _block(study: "Study", runs: "Sequence[Run]", out: Output) -> str:
    from dcdaemon.cli.show.table import render
    from dcdaemon.simulator.words import figures_of, heading, learned_words, left_out_words

    rows = [_row(figure, runs) for figure in figures_of(runs)]
    said = (heading(runs[0]), left_out_words(runs[0]), _known(study), learned_words(runs))
    above = ", ".join(words for words in said if words)
    return f"{above}\n{render(_columns(runs), rows, width=out.width, color=out.color)}"


def _known(study: "Study") -> str:
    """Return how well run times were known; nothing where they were learned, which has words of its own."""
    if study.learns:
        return ""
    return f"predictions off by sigma {study.sigma:g}" if study.sigma else "predictions: exact"


def _row(figure: "Figure", runs: "Sequence[Run]") -> Document:
    first = figure.value(runs[0].metrics)
    row = {"": figure.label}
    for run in runs:
        value = figure.value(run.metrics)
        row[run.policy] = figure.words(value)
        known = figure.compared and value is not None and first
        row[f"{run.policy} ratio"] = f"{value / first:.2f}x" if known and value is not None and first else ""
    return row


def _columns(runs: "Sequence[Run]") -> list[Column]:
    columns = [Column("", lambda row: str(row[""]), whole=True)]
    for place, run in enumerate(runs):
        columns.append(_column(run.policy.upper(), run.policy))
        if place:
            columns.append(_column("", f"{run.policy} ratio"))
    return columns


def _column(title: str, key: str) -> Column:
    return Column(title, lambda row: str(row[key]), right=True, whole=True)

"""The picture of a study: for each recording how long jobs waited under each policy, and bars of what matters."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import log10

from dcdaemon.core.units import format_duration
from dcdaemon.simulator.study import Run
from dcdaemon.simulator.svg import curve, drawing, line, rectangle, text
from dcdaemon.simulator.words import BARS, heading, left_out_words

WIDTH = 1000
_TOP = 48
#: Told apart by people who see colours differently, too (Okabe and Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_TICKS_S = (1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)
_PLOT_X, _PLOT_WIDTH, _PLOT_LEAST_HEIGHT = 60, 420, 200
_BARS_X, _BARS_WIDTH = 665, 240
_BAR, _GAP = 13, 9
#: Above and below the drawing of one recording.
_HEAD, _FOOT = 58, 50


def draw(runs: Sequence[Run]) -> str:
    """Return the picture as SVG."""
    panels = [list(same) for _, same in groupby(runs, key=lambda run: id(run.workload))]
    colors = dict(zip(dict.fromkeys(run.policy for run in runs), COLORS, strict=False))
    shapes = list(_legend(colors))
    y = float(_TOP)
    for panel in panels:
        height = max(_PLOT_LEAST_HEIGHT, len(BARS) * (len(panel) * _BAR + _GAP) - _GAP)
        top = y + _HEAD
        shapes += [*_title(panel[0], y), *_curves(panel, colors, top, height), *_bars(panel, colors, top)]
        y = top + height + _FOOT
    return drawing(WIDTH, y, shapes)


def _legend(colors: dict[str, str]) -> Iterator[str]:
    for place, (policy, color) in enumerate(colors.items()):
        x = _PLOT_X + place * 110
        yield rectangle(x, 18, 14, 14, color)
        yield text(x + 20, 30, policy, bold=True, size=14)


def _title(run: Run, y: float) -> Iterator[str]:
    yield text(_PLOT_X, y + 20, heading(run), bold=True, size=14)
    left_out = left_out_words(run)
    if left_out:
        yield text(WIDTH - 20, y + 20, left_out, anchor="end")


def _curves(panel: Sequence[Run], colors: dict[str, str], y: float, height: float) -> Iterator[str]:
    """Draw, for each policy, the share of the jobs that had started after so long a wait."""
    longest_s = max(10.0, *(run.waits_s[-1] for run in panel))
    bottom = y + height
    yield text(_PLOT_X, y - 10, "share of the jobs that waited no longer than")

    def place(wait_s: float, share: float) -> tuple[float, float]:
        return (_PLOT_X + _PLOT_WIDTH * log10(max(wait_s, 1.0)) / log10(longest_s), bottom - height * share)

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield line(place(1, share), place(longest_s, share))
        yield text(_PLOT_X - 8, place(1, share)[1] + 4, f"{share:.0%}", anchor="end")
    for tick_s in _TICKS_S:
        if tick_s <= longest_s:
            x, _ = place(tick_s, 0)
            yield line((x, y), (x, bottom + 4))
            yield text(x, bottom + 18, format_duration(tick_s), anchor="middle")
    for run in panel:
        steps = [longest_s ** (step / 200) for step in range(201)]
        shares = [bisect_right(run.waits_s, wait_s) / len(run.waits_s) for wait_s in steps]
        yield curve([place(*pair) for pair in zip(steps, shares, strict=True)], colors[run.policy])


def _bars(panel: Sequence[Run], colors: dict[str, str], y: float) -> Iterator[str]:
    """Draw a group of bars a figure, each group to its own scale."""
    yield text(_BARS_X, y - 10, "the shorter the better")
    for figure in BARS:
        values = [figure.value(run.metrics) for run in panel]
        largest = max((value for value in values if value is not None), default=0.0)
        middle = y + (len(panel) * _BAR) / 2 + 4
        yield text(_BARS_X - 10, middle, figure.label, anchor="end")
        for run, value in zip(panel, values, strict=True):
            length = _BARS_WIDTH * value / largest if value and largest else 0.0
            if value is not None:
                yield rectangle(_BARS_X, y, max(length, 1.0), _BAR - 3, colors[run.policy])
            yield text(_BARS_X + length + 6, y + _BAR - 4, figure.words(value), size=10)
            y += _BAR
        y += _GAP

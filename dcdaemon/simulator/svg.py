"""The few shapes that pictures are drawn with, as SVG that loads nothing."""

from collections.abc import Iterable
from html import escape

Point = tuple[float, float]
INK, FAINT, PAPER = "#222222", "#d9d9d9", "#ffffff"
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"


def drawing(width: float, height: float, shapes: Iterable[str]) -> str:
    """Return the whole picture on white paper."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="12" fill="{INK}">'
    return "\n".join([head, rectangle(0, 0, width, height, PAPER), *shapes, "</svg>", ""])


def rectangle(x: float, y: float, width: float, height: float, color: str) -> str:
    """Return a filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


def line(start: Point, end: Point, color: str = FAINT) -> str:
    """Return a thin straight line."""
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def curve(points: Iterable[Point], color: str) -> str:
    """Return a thick line through the points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5" stroke-linejoin="round"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False, size: float = 12) -> str:
    """Return one line of words; `anchor` is start, middle or end."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}"{weight}>{escape(words)}</text>'

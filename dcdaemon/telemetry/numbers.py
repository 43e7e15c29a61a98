"""Numbers as kernel files print them; what is no number is None, since one odd file must not stop a reading."""

import math
from collections.abc import Iterable
from pathlib import Path

#: Databases keep signed 64-bit integers; a counter that says more (all ones, from a broken driver) says nothing.
_TOP = 2**63
_TOP_DIGITS = 19


def whole(text: str, unit: int = 1) -> int | None:
    """Return a count times its unit; None for `N/A`, a sign, anything but digits, and what no database can hold."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _TOP_DIGITS):
        return None
    number = int(text) * unit
    return number if number < _TOP else None


def signed(text: str) -> int | None:
    """Return a count that may be below zero, like a temperature."""
    number = whole(text.removeprefix("-"))
    return -number if number is not None and text.startswith("-") else number


def wholes(texts: Iterable[str], unit: int = 1) -> list[int] | None:
    """Return all the counts, for each of which `unit` times it can be kept; None when one of them is none."""
    found = [None if (kept := whole(text, unit)) is None else kept // unit for text in texts]
    known = [number for number in found if number is not None]
    return known if len(known) == len(found) else None


def total(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None when there is no count, when one is unknown, and when no database can hold it."""
    counted = list(counts)
    known = [count for count in counted if count is not None]
    found = sum(known)
    return found if known and len(known) == len(counted) and found < _TOP else None


def decimal(text: str) -> float | None:
    """Return a finite number of zero or more, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def text_of(path: Path) -> str:
    """Return a kernel file's text, empty when it cannot be read; bytes that are no UTF-8 are kept as surrogates."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""

"""Parse and print durations, bytes and energy; a duration without a unit is refused."""

import re

from dcdaemon.core.errors import BadInput

_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)")
_CLOCK = re.compile(r"(?:(\d{1,6})-)?(\d{1,3}):(\d{2})(?::(\d{2}))?")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b?)", re.IGNORECASE)
_BYTE_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
MILLIJOULES_PER_KWH = 3_600_000_000
#: Longer times, and more memory, are slips of the finger, and past what clocks and databases hold.
_LONGEST_S = 100 * 366 * 86400.0
_MOST_BYTES = 2**60


def parse_duration(text: str) -> float:
    """Return seconds for `90s`, `2h30m` and Slurm's `1-12:00:00`; raise BadInput otherwise."""
    text = text.strip().lower()
    clock = _CLOCK.fullmatch(text)
    if clock and (clock[1] or clock[4]):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return _at_most_100_years(float(days * 86400 + hours * 3600 + minutes * 60 + seconds), text)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        msg = f"duration {text!r} has no unit"
        raise BadInput(msg, f"write {text}m for minutes, {text}s for seconds or {text}h for hours")
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        msg = f"{text!r} is not a duration"
        raise BadInput(msg, "write it like 90s, 30m, 2h30m, 1d or 1-12:00:00")
    return _at_most_100_years(sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in parts), text)


def _at_most_100_years(seconds: float, text: str) -> float:
    if seconds > _LONGEST_S:
        raise BadInput(f"{text[:30]!r} is longer than 100 years", "write it like 90s, 30m, 2h30m or 1d")
    return seconds


def format_duration(seconds: float | None) -> str:
    """Print seconds as at most two units: `42s`, `1h12m`, `3d4h`; `-` when unknown."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds > 0 else "0s"
    whole = round(seconds)
    for unit_s, unit, lower_s, lower in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit_s:
            rest = whole % unit_s // lower_s
            return f"{whole // unit_s}{unit}{rest}{lower}" if rest else f"{whole // unit_s}{unit}"
    return f"{whole}s"


def parse_bytes(text: str) -> int:
    """Return bytes for `32G`, `512MiB` or `4096B`; K, M, G, T are powers of 1024; raise BadInput otherwise."""
    match = _BYTES.fullmatch(text.strip())
    if match and text.strip().isdecimal() and text.strip().strip("0"):
        raise BadInput(f"{text!r} has no unit", f"write {text.strip()}G for gibibytes, {text.strip()}M for mebibytes")
    if not match:
        msg = f"{text!r} is not an amount of memory"
        raise BadInput(msg, "write it like 512M, 32G or 1.5T")
    amount = float(match[1]) * 1024 ** _BYTE_POWERS[match[2].lower()]
    if amount > _MOST_BYTES:
        raise BadInput(f"{text.strip()[:30]!r} is more memory than there is", "write it like 512M, 32G or 1.5T")
    return int(amount)


def format_bytes(count: int | None) -> str:
    """Print bytes with a binary unit: `512 MiB`, `21.3 GiB`; `-` when unknown."""
    if count is None:
        return "-"
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if amount >= 100 or amount == int(amount) else f"{amount:.1f} {unit}"


def format_energy(energy_mj: int | None) -> str:
    """Print millijoules as J, Wh or kWh, whichever reads best; `-` when unknown."""
    if energy_mj is None:
        return "-"
    kwh = energy_mj / MILLIJOULES_PER_KWH
    if kwh >= 0.1:
        return f"{kwh:.2f} kWh"
    if energy_mj >= 3_600_000:
        return f"{kwh * 1000:.1f} Wh"
    return f"{energy_mj / 1000:.0f} J"

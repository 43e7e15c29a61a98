"""When a job may start at the earliest, as people write it.

`now`, `+2h`, `22:00`, `2026-12-01`, `2026-12-01T08:00+01:00`.
"""

import re
from datetime import datetime, time, timedelta

from dcdaemon.core.errors import BadInput
from dcdaemon.core.units import parse_duration

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY = re.compile(rf"({'|'.join(_DAYS)})[a-z]* +(\d{{1,2}}):(\d{{2}})", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].+)?", re.ASCII)


def begin_at(text: str, now: datetime, option: str = "--begin") -> float:
    """Return epoch seconds; `now` has no zone, and times without one are local.

    A time of day is its next occurrence, that of a weekday, too. Raise BadInput for what is no time.
    """
    words = text.strip()
    if words.lower() == "now":
        return now.timestamp()
    try:
        if words.startswith("+"):
            return now.timestamp() + parse_duration(words[1:])
        if clock := _CLOCK.fullmatch(words):
            return _next(time(int(clock[1]), int(clock[2]), int(clock[3] or 0)), now).timestamp()
        if day := _WEEKDAY.fullmatch(words):
            return _next_day(_DAYS.index(day[1].lower()), time(int(day[2]), int(day[3])), now).timestamp()
        if _DATE.fullmatch(words):
            return datetime.fromisoformat(words).timestamp()
    except (BadInput, ValueError, OverflowError) as error:
        raise _no_time(text, option) from error
    raise _no_time(text, option)


def _next(clock: time, now: datetime) -> datetime:
    today = datetime.combine(now.date(), clock)
    return today if today > now else datetime.combine(now.date() + timedelta(days=1), clock)


def _next_day(weekday: int, clock: time, now: datetime) -> datetime:
    day = now.date() + timedelta(days=(weekday - now.weekday()) % 7)
    moment = datetime.combine(day, clock)
    return moment if moment > now else moment + timedelta(days=7)


def _no_time(text: str, option: str) -> BadInput:
    return BadInput(f"{option} {text!r} is no time", "write it like +2h, 22:00, 2026-12-01 or 2026-12-01T08:00")

"""Read sbatch's --begin and --deadline: `now+1hour`, `16:00`, `tomorrow`, `2026-12-01T08:00`, `12/31-23:59`."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from dcdaemon.core.errors import BadInput

_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_NOW = re.compile(r"now(?:([+-])(\d{1,9})(second|minute|hour|day|week)?s?)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(am|pm)?")
_ISO_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_US_DATE = re.compile(r"(\d{1,2})[./](\d{1,2})(?:[./](\d{2}))?(?!\d)|(\d{2})(\d{2})(\d{2})?(?!\d)")
_TIMES = {"midnight": 0, "noon": 12, "elevenses": 11, "fika": 15, "teatime": 16}
_DAYS_AHEAD = {"today": 0, "tomorrow": 1}
_BETWEEN = re.compile(r"-*(?:t(?=\d))?")


@dataclass(frozen=True, slots=True)
class _Read:
    """What has been read so far: a day, whether its year was written, a time of day."""

    day: date | None = None
    yearless: bool = False
    clock: time | None = None


def begin_at(text: str, now: datetime, option: str = "--begin") -> float:
    """Return epoch seconds, in the local time of `now`; a time of day that has passed is tomorrow's."""
    words = re.sub(r"\s+", "", text.lower())
    try:
        if match := _NOW.fullmatch(words):
            sign, number, unit = match.groups()
            return now.timestamp() + int(f"{sign or '+'}{number or 0}") * _UNITS_S[unit or "second"]
        return _moment(_read(words, now), now).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(
            f"{option}={text} is no time", "write it like now+1hour, 16:00, tomorrow or 2026-12-01T08:00"
        ) from None


def _read(words: str, now: datetime) -> _Read:
    """Read piece by piece; raise ValueError where nothing fits."""
    read, at = _Read(), 0
    while at < len(words):
        word = next((word for word in (*_TIMES, *_DAYS_AHEAD) if words.startswith(word, at)), None)
        if word is not None:
            read, end = _named(read, word, now), at + len(word)
        elif match := _CLOCK.match(words, at):
            read, end = replace(read, clock=_time(match)), match.end()
        elif match := _ISO_DATE.match(words, at):
            read, end = replace(read, day=date(*(int(part) for part in match.groups()))), match.end()
        elif match := _US_DATE.match(words, at):
            read, end = _dated(read, match, now), match.end()
        else:
            raise ValueError(words)
        between = _BETWEEN.match(words, end)
        at = between.end() if between else end
    return read


def _named(read: _Read, word: str, now: datetime) -> _Read:
    if word in _TIMES:
        return replace(read, clock=time(_TIMES[word]))
    return replace(read, day=now.date() + timedelta(days=_DAYS_AHEAD[word]))


def _time(match: re.Match[str]) -> time:
    hour = int(match[1])
    if match[4] and not 1 <= hour <= 12:
        raise ValueError(match[0])
    if match[4]:
        hour = hour % 12 + (12 if match[4] == "pm" else 0)
    return time(hour, int(match[2]), int(match[3] or 0))


def _dated(read: _Read, match: re.Match[str], now: datetime) -> _Read:
    month, day, year = match.groups()[:3] if match[1] else match.groups()[3:]
    written = 2000 + int(year) if year else now.year
    return replace(read, day=date(written, int(month), int(day)), yearless=not year)


def _moment(read: _Read, now: datetime) -> datetime:
    if read.day is None and read.clock is None:
        raise ValueError("nothing was read")
    clock = read.clock or time()
    moment = datetime.combine(read.day or now.date(), clock, now.tzinfo)
    if read.day is None and moment <= now:
        return datetime.combine(now.date() + timedelta(days=1), clock, now.tzinfo)
    if read.yearless and moment <= now:
        return moment.replace(year=moment.year + 1)
    return moment

"""The kinds of values a setting can have: how each is read, and what to write instead of a wrong one.

A BadInput raised here continues the sentence "section.key = value ...".
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dcdaemon.core.errors import BadInput
from dcdaemon.core.units import parse_bytes, parse_duration

_SWITCH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})")
#: No setting is meant to be more.
_MOST = 1e12
_ENDPOINT = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/[^\s?#@]*)?")
_DATABASES = ("sqlite:", "postgresql:", "postgresql+psycopg:")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value; `read` takes what TOML gave, or the text of an environment variable or flag."""

    name: str
    read: Callable[[Any], Any]


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise BadInput("is not text", 'put it in quotes, like "value"')
    return raw.strip()


def _path(raw: object) -> str:
    path = _text(raw)
    if path and not path.startswith(("/", "~")):
        raise BadInput("is not an absolute path", "begin it with / or ~")
    return path


def _names(raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        raw = raw.split(",")
    if not isinstance(raw, (list, tuple)) or not all(isinstance(name, str) for name in raw):
        raise BadInput("is not a list of names", 'write it like ["name1", "name2"], or name1,name2 in a variable')
    return tuple(name.strip() for name in raw if name.strip())


def _switch(raw: object) -> bool:
    value = raw if isinstance(raw, bool) else _SWITCH.get(raw.strip().lower()) if isinstance(raw, str) else None
    if value is None:
        raise BadInput("is neither true nor false", "write true or false")
    return value


def _number(raw: object, example: str = "a number like 0.25") -> float:
    number = -1.0
    if isinstance(raw, (int, float, str)) and not isinstance(raw, bool):
        with suppress(ValueError, OverflowError):
            number = float(raw)
    if not 0 <= number < float("inf"):
        raise BadInput("is not a number of 0 or more", f"write {example}")
    if number > _MOST:
        raise BadInput("is more than can be meant", f"write {example}")
    return number


def _count(raw: object) -> int:
    number = _number(raw, "a whole number like 8")
    if number != int(number):
        raise BadInput("is not a whole number", "write a whole number like 8")
    return int(number)


def _ratio(raw: object) -> float:
    number = _number(raw)
    if number > 1:
        raise BadInput("is more than 1", "write a share from 0 to 1, like 0.92 for 92 %")
    return number


def _duration(raw: object) -> float:
    try:
        return parse_duration(str(raw))
    except BadInput as error:
        raise BadInput("is not a duration with its unit", error.hint) from error


def _interval(raw: object) -> float:
    seconds = _duration(raw)
    if seconds <= 0:
        raise BadInput("is no time at all", "write a duration like 1s")
    return seconds


def _bytes(raw: object) -> int:
    try:
        return parse_bytes(str(raw))
    except (BadInput, OverflowError) as error:
        raise BadInput("is not an amount of memory", "write it like 512M, 32G or 1.5T") from error


def _clock_time(raw: object) -> str:
    text = _text(raw)
    if text and not _CLOCK_TIME.fullmatch(text):
        raise BadInput("is not a time of day", 'write it like "03:30"')
    return text


def _address(raw: object) -> str:
    text = _text(raw)
    match = _ADDRESS.fullmatch(text)
    if text and (match is None or int(match[2]) > 65535):
        raise BadInput("is not an address", 'write it like "127.0.0.1:7717", or "" for none')
    return text


def _database(raw: object) -> str:
    text = _text(raw)
    if text and not text.startswith(_DATABASES):
        raise BadInput(
            "is not a database this daemon knows",
            'write "sqlite:////var/lib/dcdaemon/dcdaemon.db" or "postgresql://user@host/name"',
        )
    return text


def _endpoint(raw: object) -> str:
    text = _text(raw).rstrip("/")
    if text and not _ENDPOINT.fullmatch(text):
        # A user or a password in it would show in messages.
        raise BadInput("is not the address of an object store", 'write it like "https://s3.example.org"')
    return text


def optional(kind: Kind) -> Kind:
    """Return the same kind with None for an empty text or 0, which both mean: not set."""

    def read(raw: object) -> object:
        return None if raw in ("", "0") or raw == 0 else kind.read(raw) or None

    return Kind(f"{kind.name}, or empty for none", read)


def maybe(kind: Kind) -> Kind:
    """Return the same kind with None for an empty text; 0 is a value of its own."""
    return Kind(f"{kind.name}, or empty for none", lambda raw: None if raw == "" else kind.read(raw))


def choice(*allowed: str) -> Kind:
    """Return the kind that is one of these words."""

    def read(raw: object) -> str:
        word = _text(raw).lower()
        if word not in allowed:
            raise BadInput(f"is not one of {', '.join(allowed)}", near(word, allowed, f"write {allowed[0]}"))
        return word

    return Kind(" or ".join(allowed), read)


def some_of(*allowed: str) -> Kind:
    """Return the kind that is a list of some of these words, at least one."""

    def read(raw: object) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(name.lower() for name in _names(raw)))
        for word in words:
            if word not in allowed:
                hint = near(word, allowed, f"write some of {', '.join(allowed)}")
                raise BadInput(f"has {word!r}, which is not one of {', '.join(allowed)}", hint)
        if not words:
            raise BadInput("is empty", f"write some of {', '.join(allowed)}")
        return words

    return Kind(f"list of {', '.join(allowed)}", read)


def near(word: str, allowed: Sequence[str], otherwise: str) -> str:
    """Return a hint that names the nearest of the allowed words; `otherwise` where none is near."""
    import difflib  # noqa: PLC0415  only a typo needs it

    close = difflib.get_close_matches(word, allowed, n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def _whole_number(raw: object) -> int:
    with suppress(ValueError, OverflowError):
        if isinstance(raw, (int, str)) and not isinstance(raw, bool):
            number = int(raw)
            if abs(number) > _MOST:
                raise BadInput("is more than can be meant", "write a whole number like 8 or -1")
            return number
    raise BadInput("is not a whole number", "write a whole number like 8 or -1")


def _more_than_0(raw: object) -> float:
    number = _number(raw, "a number like 2 or 0.5")
    if not number:
        raise BadInput("is not more than 0", "write a number like 2 or 0.5")
    return number


TEXT = Kind("text", _text)
PATH = Kind("absolute path", _path)
#: Where a path belongs, a secret may have been written: a wrong value is not repeated.
SECRET_FILE = Kind("absolute path", _path)
NAMES = Kind("list of names", _names)
SWITCH = Kind("true or false", _switch)
COUNT = Kind("whole number", _count)
NUMBER = Kind("number", _number)
RATIO = Kind("share from 0 to 1", _ratio)
DURATION = Kind("duration", _duration)
INTERVAL = Kind("duration", _interval)
BYTES = Kind("amount of memory", _bytes)
CLOCK_TIME = Kind("time of day", _clock_time)
ADDRESS = Kind("address and port, or empty for none", _address)
DATABASE = Kind("database URL", _database)
ENDPOINT = Kind("http or https address", _endpoint)
WHOLE_NUMBER = Kind("whole number, also negative", _whole_number)
MORE_THAN_0 = Kind("number more than 0", _more_than_0)

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
#: An address of IPv6 with a port stands in brackets.
_DEVICE = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*))(?::(\d{1,5}))?")
_SNMP_PORT = 161
#: No setting is meant to be more.
_MOST = 1e12
#: One GPU, or the first and the last of several; no node has ten thousand.
_SPAN = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_ENDPOINT = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/[^\s?#@]*)?")
#: A node, or all nodes of a driver, as systemd's DeviceAllow= names them.
_DEVICE_NODE = re.compile(r"/dev/[A-Za-z0-9._:/-]+|(?:char|block)-[A-Za-z0-9._*-]+")
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


def _devices(raw: object) -> tuple[tuple[str, str, int, str], ...]:
    """Read devices like "core1=monitor@192.0.2.10:161" into their names, addresses, ports and users ("" for none)."""
    devices = tuple(_device(text) for text in _names(raw))
    names = [name for name, _, _, _ in devices]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"names {twice!r} twice", "give each device a name of its own")
    return devices


def _device(text: str) -> tuple[str, str, int, str]:
    import ipaddress  # noqa: PLC0415  only a configured device needs it

    name, equals, place = (part.strip() for part in text.rpartition("="))
    user, at, place = (part.strip() for part in place.rpartition("@"))
    match = _DEVICE.fullmatch(place)
    host = (match[1] or match[2]) if match else ""
    port = int(match[3] or _SNMP_PORT) if match else 0
    with suppress(ValueError):
        ipaddress.ip_address(host)
        if (name or not equals) and (user or not at) and 0 < port <= 65535:
            return name or host, host, port, user
    # By its address, so that it can be asked while names cannot be resolved.
    raise BadInput(f"has {text!r}, which is no device", 'write name and address, like "core1=192.0.2.10"')


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


def _gpu_indices(raw: object) -> tuple[int, ...]:
    """Read [0, 1], ["0-3", "6"] or the text "0-3,6" of a variable into indices, ascending, each once."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, (list, tuple)) or any(isinstance(part, bool) for part in parts):
        raise BadInput("is not a list of GPUs", 'write it like [0, 1] or "0-3"')
    spans = [_span(part) for part in parts if str(part).strip()]
    return tuple(sorted({index for span in spans for index in span}))


def _span(part: object) -> range:
    match = _SPAN.fullmatch(str(part).strip())
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise BadInput(f"has {part!r}, which is no GPU", 'write it like [0, 1] or "0-3"')
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def _watts(raw: object) -> tuple[tuple[int | None, float], ...]:
    """Read 400, {"0" = 400}, ["0=400", "1-3=350"] or the text of a variable into limits by GPU; None: of all others."""
    if raw in ("", 0) or (isinstance(raw, str) and "=" not in raw) or isinstance(raw, (int, float)):
        return ((None, _more_than_0(raw)),) if raw not in ("", "0", 0) else ()
    texts = [f"{gpu}={watts}" for gpu, watts in raw.items()] if isinstance(raw, dict) else _names(raw)
    limits: dict[int | None, float] = {}
    for text in texts:
        gpus, _, watts = text.rpartition("=")
        for index in _gpu_indices(gpus) or (None,):
            if index in limits:
                raise BadInput(f"names {gpus or 'all GPUs'} twice", "give each GPU one limit")
            limits[index] = _more_than_0(watts)
    return tuple(limits.items())


def _device_nodes(raw: object) -> tuple[str, ...]:
    nodes = _names(raw)
    for node in nodes:
        if not _DEVICE_NODE.fullmatch(node) or ".." in node:
            raise BadInput(f"has {node!r}, which is no device node", 'write it like ["/dev/dri/renderD128"]')
    return nodes


def _of_users(kind: Kind, example: str) -> Callable[[object], tuple[tuple[str, Any], ...]]:
    """Return a reader of values by user, like "ada=8"."""

    def read(raw: object) -> tuple[tuple[str, Any], ...]:
        pairs = [tuple(part.strip() for part in text.rpartition("=")) for text in _names(raw)]
        for user, _, value in pairs:
            if not user or not value:
                raise BadInput(f"has {user or value!r} without a value or a user", f'write it like ["{example}"]')
        twice = next((user for user, _, _ in pairs if [one for one, _, _ in pairs].count(user) > 1), None)
        if twice is not None:
            raise BadInput(f"names {twice!r} twice", "give each user one value")
        return tuple((user, kind.read(value)) for user, _, value in pairs)

    return read


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
DEVICES = Kind("list of devices", _devices)
DEVICE_NODES = Kind("list of device nodes", _device_nodes)
WHOLE_NUMBER = Kind("whole number, also negative", _whole_number)
MORE_THAN_0 = Kind("number more than 0", _more_than_0)
GPU_INDICES = Kind("list of GPUs", _gpu_indices)
WATTS_OF_GPUS = Kind("watts, or a list of GPU=watts", _watts)
GPUS_OF_USERS = Kind("list of user=GPUs", _of_users(COUNT, "ada=8"))
SHARES_OF_USERS = Kind("list of user=weight", _of_users(MORE_THAN_0, "ada=2"))

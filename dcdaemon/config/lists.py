"""The kinds of settings that name several things at once: GPUs, devices, users; read as those in values.py are."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dcdaemon.config.values import COUNT, MORE_THAN_0, NAMES, Kind
from dcdaemon.core.errors import BadInput

#: An address of IPv6 with a port stands in brackets.
_DEVICE = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*))(?::(\d{1,5}))?")
_SNMP_PORT = 161
#: One GPU, or the first and the last of several; no node has ten thousand.
_SPAN = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
#: A node, or all nodes of a driver, as systemd's DeviceAllow= names them.
_DEVICE_NODE = re.compile(r"/dev/[A-Za-z0-9._:/-]+|(?:char|block)-[A-Za-z0-9._*-]+")


def _devices(raw: object) -> tuple[tuple[str, str, int, str], ...]:
    """Read devices like "core1=monitor@192.0.2.10:161" into their names, addresses, ports and users ("" for none)."""
    devices = tuple(_device(text) for text in NAMES.read(raw))
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
        return ((None, MORE_THAN_0.read(raw)),) if raw not in ("", "0", 0) else ()
    texts = [f"{gpu}={watts}" for gpu, watts in raw.items()] if isinstance(raw, dict) else NAMES.read(raw)
    limits: dict[int | None, float] = {}
    for text in texts:
        gpus, _, watts = text.rpartition("=")
        for index in _gpu_indices(gpus) or (None,):
            if index in limits:
                raise BadInput(f"names {gpus or 'all GPUs'} twice", "give each GPU one limit")
            limits[index] = MORE_THAN_0.read(watts)
    return tuple(limits.items())


def _device_nodes(raw: object) -> tuple[str, ...]:
    nodes: tuple[str, ...] = NAMES.read(raw)
    for node in nodes:
        if not _DEVICE_NODE.fullmatch(node) or ".." in node:
            raise BadInput(f"has {node!r}, which is no device node", 'write it like ["/dev/dri/renderD128"]')
    return nodes


def _of_users(kind: Kind, example: str) -> Callable[[object], tuple[tuple[str, Any], ...]]:
    """Return a reader of values by user, like "ada=8"."""

    def read(raw: object) -> tuple[tuple[str, Any], ...]:
        pairs = [tuple(part.strip() for part in text.rpartition("=")) for text in NAMES.read(raw)]
        for user, _, value in pairs:
            if not user or not value:
                raise BadInput(f"has {user or value!r} without a value or a user", f'write it like ["{example}"]')
        twice = next((user for user, _, _ in pairs if [one for one, _, _ in pairs].count(user) > 1), None)
        if twice is not None:
            raise BadInput(f"names {twice!r} twice", "give each user one value")
        return tuple((user, kind.read(value)) for user, _, value in pairs)

    return read


DEVICES = Kind("list of devices", _devices)
DEVICE_NODES = Kind("list of device nodes", _device_nodes)
GPU_INDICES = Kind("list of GPUs", _gpu_indices)
WATTS_OF_GPUS = Kind("watts, or a list of GPU=watts", _watts)
GPUS_OF_USERS = Kind("list of user=GPUs", _of_users(COUNT, "ada=8"))
SHARES_OF_USERS = Kind("list of user=weight", _of_users(MORE_THAN_0, "ada=2"))

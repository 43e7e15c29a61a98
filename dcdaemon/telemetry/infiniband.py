"""Reads InfiniBand and RoCE ports from /sys/class/infiniband."""

import re
from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.core.samples import IbSample, Lack
from dcdaemon.telemetry.kernel_file import KernelFile, names_in, word_of
from dcdaemon.telemetry.links import Link, Seen, follow, switched_off
from dcdaemon.telemetry.numbers import decimal
from dcdaemon.telemetry.port_counters import PortCounters
from dcdaemon.telemetry.roster import Roster, identities, moves

_RATE = re.compile(r"([0-9.]+) Gb/sec")
#: No link carries so much; a larger number is nonsense, and no database could hold the largest.
_MOST_GIGABITS = 1e6
_CARRYING = ("ACTIVE", "ACTIVE_DEFER")
_SWITCHED_OFF = "Disabled"
#: The rate changes with the state; asking for it is one more question to the firmware.
_RATE_EVERY_S = 60.0


class InfinibandPorts:
    """All ports of all RDMA devices; nothing, and next to no cost, on a node without."""

    def __init__(self, sys: Path, tell: Tell) -> None:
        self._folder = sys / "class/infiniband"
        self._tell = tell
        self._roster: Roster | None = None
        self._ports: dict[str, list[_Port]] = {}

    def read(self, at: float) -> tuple[IbSample, ...]:
        """Return a sample of each port, and tell of devices that came, went or were renamed."""
        self._follow(identities(self._folder, names_in(self._folder)), at)
        # The kernel shows an adapter a moment before its ports.
        self._ports = {name: ports or self._open(name, []) for name, ports in self._ports.items()}
        return tuple(port.sample(at) for ports in self._ports.values() for port in ports)

    def lack(self) -> Lack | None:
        """Say why there is nothing to read."""
        return None if self._ports else Lack("no InfiniBand or RoCE adapter here")

    def _follow(self, roster: Roster, at: float) -> None:
        before, self._roster = self._roster, roster
        changed = moves(before or {}, roster)
        if changed is None:
            return
        if before is not None:
            changed.tell(self._tell, at, "RDMA device")
        known = self._ports
        self._ports = {name: known[name] for name in roster if name in known and name not in changed.new}
        for name in (*changed.new, *changed.renamed):
            links = [port.link for port in known.get(changed.renamed.get(name, ""), [])]
            self._ports[name] = self._open(name, links)

    def _open(self, device: str, links: list[Link | None]) -> list["_Port"]:
        folder = self._folder / device / "ports"
        numbers = sorted(int(name) for name in names_in(folder) if name.isdecimal())
        ports = [_Port(device, number, folder / str(number), self._tell) for number in numbers]
        for port, link in zip(ports, links, strict=False):
            port.link = link
        return ports


class _Port:
    """One port, its files kept open; `link` is None where its network interface is watched instead."""

    def __init__(self, device: str, number: int, folder: Path, tell: Tell) -> None:
        self._device, self._number = device, number
        self._name = f"{device}/{number}"
        self._tell = tell
        self._state = KernelFile(folder / "state")
        self._physical = KernelFile(folder / "phys_state")
        self._rate = KernelFile(folder / "rate")
        self._link_layer = word_of(folder / "link_layer") or None
        self._counters = PortCounters(folder, self._name, tell)
        self._rate_read: tuple[float, str | None, int | None] | None = None
        self.link = Link(expected=True) if self._link_layer == "InfiniBand" else None

    def sample(self, at: float) -> IbSample:
        state, physical = _word(self._state), _word(self._physical)
        up = None if state is None else state in _CARRYING
        counters = self._counters.read(at)
        self._watch_link(Seen(at, up, counters.get("link_downed")), physical)
        return IbSample(
            at=at, device=self._device, port=self._number, state=state, physical_state=physical,
            link_layer=self._link_layer, up=up, speed_bps=self._speed_bps(at, state), **counters,
        )  # fmt: skip

    def _speed_bps(self, at: float, state: str | None) -> int | None:
        read = self._rate_read
        if read is None or read[1] != state or not 0 <= at - read[0] < _RATE_EVERY_S:
            read = self._rate_read = at, state, parse_rate(_text(self._rate))
        return read[2]

    def _watch_link(self, seen: Seen, physical: str | None) -> None:
        if self.link is None:
            return
        if seen.up is False and physical == _SWITCHED_OFF:
            self.link = switched_off(self.link)
            return
        self.link, told = follow(self.link, seen, self._name)
        for event in told:
            self._tell(event)


def parse_rate(text: str) -> int | None:
    """Return bits a second for a text like "400 Gb/sec (4X NDR)"."""
    match = _RATE.match(text)
    gigabits = decimal(match[1]) if match else None
    return round(gigabits * 1e9) if gigabits and gigabits < _MOST_GIGABITS else None


def _word(file: KernelFile) -> str | None:
    """Return the word of a text like "4: ACTIVE"; None when there is none."""
    word = _text(file).rpartition(":")[2].strip()
    return word if word and word.isprintable() else None


def _text(file: KernelFile) -> str:
    try:
        return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""

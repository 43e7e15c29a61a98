"""Reads the counters of network interfaces from /proc/net/dev and their links from /sys/class/net."""

from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.core.samples import NetSample
from dcdaemon.telemetry.kernel_file import Faults, KernelFile, NumberFile, names_in
from dcdaemon.telemetry.links import Link, Seen, follow, switched_off
from dcdaemon.telemetry.numbers import whole
from dcdaemon.telemetry.roster import Roster, identities, moves

_STATES = {"up": True, "down": False, "lowerlayerdown": False, "notpresent": False}
#: Where the values of NetSample stand in a line of /proc/net/dev.
_PLACES = {
    "received_bytes": 0, "packets_in": 1, "errors_in": 2, "drops_in": 3,
    "sent_bytes": 8, "packets_out": 9, "errors_out": 10, "drops_out": 11,
}  # fmt: skip
_COUNTERS = 16
#: IFF_UP of linux/if.h: an interface without it was switched off on purpose.
_SWITCHED_ON = 0x1
#: A bridge has a carrier while anything is plugged into it, a tunnel while a program holds it: no cable can be pulled.
_NO_CABLE = {"bridge", "tun_flags"}
#: Asking for the speed takes the kernel's big network lock, so it is asked for when the link changes, and now and then.
_SPEED_EVERY_S = 60.0
#: What drivers say for "unknown" (-1 and its like) is more than any link has.
_FASTEST_BPS = 10**13

Counters = dict[str, int | None]


class Interfaces:
    """All interfaces but loopback and veth, whose traffic their bridge counts already."""

    def __init__(self, proc: Path, sys: Path, tell: Tell) -> None:
        self._counters = KernelFile(proc / "net/dev")
        self._folder = sys / "class/net"
        self._tell = tell
        self._faults = Faults(tell)
        self._roster: Roster | None = None
        self._interfaces: dict[str, _Interface] = {}

    def read(self, at: float) -> tuple[NetSample, ...]:
        """Return a sample of each interface, and tell of those that came, went or were renamed."""
        try:
            # A name may be any bytes; it has to be storable text.
            text = self._counters.read_all().decode("utf-8", "backslashreplace")
        except OSError as error:
            self._faults.failed(at, self._counters.path, self._counters.path, error)
            return ()
        counters = {name: numbers for name, numbers in parse_net_dev(text).items() if _counted(name)}
        self._follow(identities(self._folder, counters), at)
        return tuple(self._interfaces[name].sample(numbers, at) for name, numbers in counters.items())

    def _follow(self, roster: Roster, at: float) -> None:
        before, self._roster = self._roster, roster
        changed = moves(before or {}, roster)
        if changed is None:
            return
        # What is there when the daemon starts is no news.
        if before is not None:
            changed.tell(self._tell, at, "network interface")
        known = self._interfaces
        self._interfaces = {name: known[name] for name in roster if name in known}
        for name in changed.new:
            self._interfaces[name] = _Interface(name, self._folder, self._tell)
        for name, was in changed.renamed.items():
            self._interfaces[name] = _Interface(name, self._folder, self._tell, known[was].link)


class _Interface:
    """One interface, its files kept open; they belong to the device, whatever its name becomes."""

    def __init__(self, name: str, folder: Path, tell: Tell, link: Link | None = None) -> None:
        self._name = name
        self._tell = tell
        self._faults = Faults(tell)
        self._state = KernelFile(folder / name / "operstate")
        self._speed = KernelFile(folder / name / "speed")
        self._flags = KernelFile(folder / name / "flags")
        self._changes = NumberFile(folder / name / "carrier_changes", name, self._faults)
        self._has_cable = _NO_CABLE.isdisjoint(names_in(folder / name))
        self._speed_of: tuple[str, int | None] | None = None
        self._speed_read_at = 0.0
        self._speed_bps: int | None = None
        self.link = link or Link()

    def sample(self, counters: Counters, at: float) -> NetSample:
        state, changes = _text(self._state), self._changes.read(at)
        up = _STATES.get(state)
        self._say_odd(counters, at)
        self._watch_link(Seen(at, up, None if changes is None else changes // 2))
        return NetSample(
            at=at, interface=self._name, up=up, speed_bps=self._speed_now((state, changes), at),
            carrier_changes=changes, **counters,
        )  # fmt: skip

    def _watch_link(self, seen: Seen) -> None:
        if not self._has_cable:
            return
        if seen.up is False and not _switched_on(_text(self._flags)):
            self.link = switched_off(self.link)
            return
        self.link, told = follow(self.link, seen, self._name)
        for event in told:
            self._tell(event)

    def _speed_now(self, of: tuple[str, int | None], at: float) -> int | None:
        if of != self._speed_of or not 0 <= at - self._speed_read_at < _SPEED_EVERY_S:
            self._speed_of, self._speed_read_at = of, at
            self._speed_bps = _speed_bps(_text(self._speed))
        return self._speed_bps

    def _say_odd(self, counters: Counters, at: float) -> None:
        subject = f"counters of {self._name}"
        if None not in counters.values():
            self._faults.over(subject)
            return
        odd = [name for name, number in counters.items() if number is None]
        self._faults.say(at, subject, f"/proc/net/dev has no number for {', '.join(odd)} of {self._name}")


def parse_net_dev(text: str) -> dict[str, Counters]:
    """Return the counters of each interface, by its name; a line of another shape is left out."""
    rows = (line.rpartition(":") for line in text.split("\n") if ":" in line)
    found = ((name.strip(), numbers.split()) for name, _, numbers in rows)
    return {
        name: {value: whole(numbers[place]) for value, place in _PLACES.items()}
        for name, numbers in found
        # The kernel allows any byte but a slash and blanks in a name; a zero ends it, so it holds none.
        if name and "\0" not in name and len(numbers) >= _COUNTERS
    }


def _counted(name: str) -> bool:
    return name != "lo" and not name.startswith("veth")


def _text(file: KernelFile) -> str:
    try:
        return file.read(32).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _switched_on(flags: str) -> bool:
    """Tell whether an interface is meant to be up; one that does not say passes for it."""
    try:
        return bool(int(flags, 16) & _SWITCHED_ON)
    except ValueError:
        return True


def _speed_bps(text: str) -> int | None:
    """Return bits a second; the kernel says -1, or nothing, where there is no link."""
    speed_bps = whole(text, 1_000_000)
    return speed_bps if speed_bps and speed_bps < _FASTEST_BPS else None

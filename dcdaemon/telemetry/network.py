"""Reads the counters of network interfaces from /proc/net/dev and their state from /sys/class/net."""

from pathlib import Path

from dcdaemon.core.samples import NetSample
from dcdaemon.telemetry.numbers import text_of, whole, wholes

_COUNTERS = 16
_STATES = {"up": True, "down": False, "lowerlayerdown": False, "notpresent": False}


def read_nets(proc: Path, sys: Path, at: float) -> tuple[NetSample, ...]:
    """Return one sample for each interface but loopback and veth, whose traffic its bridge counts already."""
    counters = parse_net_dev(text_of(proc / "net/dev"))
    return tuple(
        _sample(name, numbers, sys / "class/net" / name, at)
        for name, numbers in counters.items()
        if name != "lo" and not name.startswith("veth")
    )


def parse_net_dev(text: str) -> dict[str, list[int]]:
    """Return the sixteen counters of each interface, by its name; a line of another shape is left out."""
    rows = (line.rpartition(":") for line in text.splitlines() if ":" in line)
    found = ((name.strip(), wholes(numbers.split())) for name, _, numbers in rows)
    return {name: numbers for name, numbers in found if name and numbers and len(numbers) >= _COUNTERS}


def _sample(name: str, numbers: list[int], folder: Path, at: float) -> NetSample:
    return NetSample(
        at=at,
        interface=name,
        received_bytes=numbers[0],
        errors_in=numbers[2],
        drops_in=numbers[3],
        sent_bytes=numbers[8],
        errors_out=numbers[10],
        drops_out=numbers[11],
        up=_STATES.get(text_of(folder / "operstate").strip()),
        speed_bps=_speed_bps(text_of(folder / "speed").strip()),
    )


def _speed_bps(text: str) -> int | None:
    """Return bits a second; the kernel says -1, or nothing, where there is no link."""
    return whole(text, 1_000_000) or None

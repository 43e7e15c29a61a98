"""Measures the energy of CPUs and their memory with the counters of the powercap tree (RAPL)."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import Lack, RaplSample
from dcdaemon.telemetry.kernel_file import Faults, NumberFile, names_in, word_of
from dcdaemon.telemetry.numbers import text_of, whole

#: No package takes more: a counter that seems to say so did not wrap, it was reset (by a suspend, by hand).
_TOP_W = 10_000.0
_NONE = Lack("no energy counters of the CPUs (RAPL) here: usual in a virtual machine")
_FORBIDDEN = Lack(
    "the energy counters of the CPUs (RAPL) are for root alone: they can betray what others compute (CVE-2020-8694)",
    "run the daemon as root, or after each boot: chgrp GROUP and chmod g+r /sys/class/powercap/*/energy_uj",
)


@dataclass
class _Domain:
    name: str
    zone: str
    counter: NumberFile
    range_uj: int | None
    total_uj: int = 0
    last_uj: int | None = None
    last_s: float = 0.0


class Rapl:
    """Reads every domain; its energy counts from the first reading, and only grows."""

    def __init__(self, sys: Path, tell: Tell, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = sys / "class/powercap"
        self._tell, self._faults = tell, Faults(tell)
        self._monotonic = monotonic
        self._zones: list[str] = []
        self._domains: list[_Domain] = []
        self._forbidden = False

    def read(self, at: float) -> tuple[RaplSample, ...]:
        """Return the energy of each domain since the first reading; () where there is none, or none for this user."""
        zones = names_in(self._folder)
        if zones != self._zones or self._forbidden:
            self._zones, self._domains = zones, self._found(zones)
        return tuple(RaplSample(at, domain.name, self._energy_mj(domain, at)) for domain in self._domains)

    def lack(self) -> Lack | None:
        """Tell why there are no values."""
        if self._domains:
            return None
        return _FORBIDDEN if self._forbidden else _NONE

    def _found(self, zones: list[str]) -> list[_Domain]:
        known = {(domain.name, domain.zone): domain for domain in self._domains}
        found: dict[str, _Domain] = {}
        self._forbidden = False
        # One package may be shown twice; its MMIO counter is the one that some boards leave at rest.
        for zone in sorted(zones, key=lambda zone: ("mmio" in zone, zone)):
            path, name = self._folder / zone / "energy_uj", self._name(zone)
            if name in found or not path.exists():
                continue
            if not os.access(path, os.R_OK):
                self._forbidden = True
                continue
            counter = NumberFile(path, f"rapl {name}", self._faults)
            range_uj = whole(text_of(self._folder / zone / "max_energy_range_uj").strip())
            found[name] = known.get((name, zone)) or _Domain(name, zone, counter, range_uj)
        return list(found.values())

    def _name(self, zone: str) -> str:
        """Return package-0, or package-0/dram for a zone within another."""
        own = word_of(self._folder / zone / "name") or zone
        parent, _, _ = zone.rpartition(":")
        return f"{self._name(parent)}/{own}" if ":" in parent else own

    def _energy_mj(self, domain: _Domain, at: float) -> int | None:
        now_uj, now_s = domain.counter.read(at), self._monotonic()
        if now_uj is None:
            return None
        if domain.last_uj is not None:
            grown_uj = growth_uj(domain.last_uj, now_uj, domain.range_uj, now_s - domain.last_s)
            if grown_uj is None:
                self._tell_reset(domain, now_uj, at)
            domain.total_uj += grown_uj or 0
        domain.last_uj, domain.last_s = now_uj, now_s
        return domain.total_uj // 1000

    def _tell_reset(self, domain: _Domain, now_uj: int, at: float) -> None:
        message = (
            f"the energy counter of {domain.name} went from {domain.last_uj} to {now_uj} uJ: it counts on from there"
        )
        evidence: dict[str, object] = {"before_uj": domain.last_uj, "now_uj": now_uj}
        self._tell(Event(at, EventKind.COUNTER_RESET, f"rapl {domain.name}", message, evidence))


def growth_uj(before: int, now: int, range_uj: int | None, elapsed_s: float) -> int | None:
    """Return by how much a counter grew that wraps at its range; None when that cannot be: it began anew."""
    grown = now - before if now >= before else now + (range_uj or 0) - before
    possible = 0 <= grown <= _TOP_W * 1e6 * max(elapsed_s, 1.0)
    return grown if possible else None

"""Asks switches, firewalls and other devices by SNMP v2c: all at once, none of them longer than its deadline."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import Lack, SwitchPortSample, SwitchSample
from dcdaemon.telemetry.secret_file import BadSecret, read_secret
from dcdaemon.telemetry.snmp_client import Session, Silent
from dcdaemon.telemetry.snmp_interfaces import Table, table, uptime
from dcdaemon.telemetry.snmp_message import BadAnswer
from dcdaemon.telemetry.snmp_ports import TICKS_PER_S, Ports

DEADLINE_S = 10.0
#: What most devices are delivered with, and all that a device with open read access asks for.
_USUAL_COMMUNITY = b"public"
_AT_ONCE = 64
#: Sweeps come by the clock, a little early or late; a round that is due within this time is not put off to the next.
_EARLY_S = 1.0

Samples = tuple[SwitchSample | SwitchPortSample, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is asked; `host` is its address, so that it can be asked while names cannot be resolved."""

    name: str
    host: str
    port: int = 161


@dataclass(frozen=True, slots=True)
class Survey:
    """What came of asking one device, by `read_s` (monotonic)."""

    read_s: float = 0.0
    table: Table | None = None
    latency_s: float | None = None
    error: str | None = None


class Switches:
    """All configured devices; reading takes as long as the slowest of them, so it belongs into a thread of its own."""

    def __init__(
        self, devices: Sequence[Device], community_file: Path | None, interval_s: float, tell: Tell, *,
        deadline_s: float = DEADLINE_S, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._devices = tuple(devices)
        self._community_file = community_file
        self.every_s, self._deadline_s = interval_s, deadline_s
        self._tell, self._monotonic = tell, monotonic
        self._due_s = monotonic()
        self._ports = {device.name: Ports(device.name, interval_s, tell) for device in devices}
        self._silent_since: dict[str, float] = {}
        self._wrong: str | None = None

    def read(self, at: float) -> Samples:
        """Return samples of all devices and their ports when the interval is over; nothing in between."""
        now_s = self._monotonic()
        if now_s + _EARLY_S < self._due_s:
            return ()
        self._due_s = now_s + self.every_s
        surveys = asyncio.run(self._ask_all())
        # Each device is as old as its own answer, though the slowest one holds all of them up.
        return tuple(
            sample
            for device, survey in zip(self._devices, surveys, strict=True)
            for sample in self._samples(device, survey, at + survey.read_s - now_s)
        )

    def lack(self) -> Lack | None:
        """Say what is wrong with the configuration, if anything."""
        return Lack(self._wrong, "see [snmp] community_file", wrong=True) if self._wrong else None

    async def _ask_all(self) -> list[Survey]:
        try:
            community = read_secret(self._community_file, "community") if self._community_file else _USUAL_COMMUNITY
        except BadSecret as error:
            self._wrong = str(error)
            return [Survey(self._monotonic(), error=self._wrong)] * len(self._devices)
        self._wrong = None
        few = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(self._ask(device, community, few) for device in self._devices))

    async def _ask(self, device: Device, community: bytes, few: asyncio.Semaphore) -> Survey:
        async with few:
            survey = await self._try(device, community)
        return replace(survey, read_s=self._monotonic())

    async def _try(self, device: Device, community: bytes) -> Survey:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await _survey(device, community)
        except TimeoutError:
            return Survey(error=f"needs more than {self._deadline_s:g} s to answer")
        except Silent as error:
            return Survey(error=str(error))
        except BadAnswer as error:
            return Survey(error=f"answers what cannot be used: {error}")
        except OSError as error:
            return Survey(error=f"cannot be asked: {error.strerror or error}")

    def _samples(self, device: Device, survey: Survey, at: float) -> Samples:
        name, found = device.name, survey.table
        self._tell_change(device, survey, at)
        if found is None:
            silent = SwitchSample(at=at, switch=name, up=False, error=survey.error)
            return silent, *self._ports[name].withdrawn(at)
        running_s = found.uptime / TICKS_PER_S
        switch = SwitchSample(at=at, switch=name, up=True, latency_s=survey.latency_s, uptime_s=running_s)
        return switch, *self._ports[name].samples(at, survey.read_s, found)

    def _tell_change(self, device: Device, survey: Survey, at: float) -> None:
        name = device.name
        if survey.error is not None and name not in self._silent_since:
            self._silent_since[name] = at
            message = f"{name} ({device.host}) {survey.error}"
            self._tell(Event(at, EventKind.SWITCH_SILENT, name, message, {"host": device.host, "port": device.port}))
        elif survey.error is None and name in self._silent_since:
            since = self._silent_since.pop(name)
            message = f"{name} ({device.host}) answers again"
            self._tell(Event(at, EventKind.SWITCH_ANSWERS, name, message, {"since": since}))


async def _survey(device: Device, community: bytes) -> Survey:
    with Session(device.host, device.port, community) as session:
        begun_s = time.perf_counter()
        ticks = await uptime(session)
        latency_s = time.perf_counter() - begun_s
        return Survey(table=await table(session, ticks), latency_s=latency_s)

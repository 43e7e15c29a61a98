"""Asks switches, firewalls and other devices by SNMP: all at once, none of them longer than its deadline."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import Lack, SwitchPortSample, SwitchSample
from dcdaemon.telemetry.snmp_access import Access, Device, NoAccess
from dcdaemon.telemetry.snmp_ber import BadAnswer
from dcdaemon.telemetry.snmp_client import Session, Silent
from dcdaemon.telemetry.snmp_interfaces import Table, table, uptime
from dcdaemon.telemetry.snmp_ports import TICKS_PER_S, Ports
from dcdaemon.telemetry.snmp_version import Refused, Version

DEADLINE_S = 10.0
_AT_ONCE = 64
#: Sweeps come by the clock, a little early or late; a round that is due within this time is not put off to the next.
_EARLY_S = 1.0

Samples = tuple[SwitchSample | SwitchPortSample, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """What came of asking one device, by `read_s` (monotonic)."""

    read_s: float = 0.0
    table: Table | None = None
    latency_s: float | None = None
    error: str | None = None
    #: The word for what the device has against being asked, where it said so.
    refusal: str | None = None
    lack: Lack | None = None


class Switches:
    """All configured devices; reading takes as long as the slowest of them, so it belongs into a thread of its own."""

    def __init__(
        self, devices: Sequence[Device], access: Access, interval_s: float, tell: Tell, *,
        deadline_s: float = DEADLINE_S, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._devices, self._access = tuple(devices), access
        self.every_s, self._deadline_s = interval_s, deadline_s
        self._tell, self._monotonic = tell, monotonic
        self._due_s = monotonic()
        self._ports = {device.name: Ports(device.name, interval_s, tell) for device in devices}
        self._silent_since: dict[str, float] = {}
        self._told: dict[str, set[str | None]] = {}
        self._lack: Lack | None = None

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
        return self._lack

    async def _ask_all(self) -> list[Survey]:
        few = asyncio.Semaphore(_AT_ONCE)
        surveys = await asyncio.gather(*(self._ask(device, few) for device in self._devices))
        self._lack = next((survey.lack for survey in surveys if survey.lack), None)
        return surveys

    async def _ask(self, device: Device, few: asyncio.Semaphore) -> Survey:
        async with few:
            survey = await self._try(device)
        return replace(survey, read_s=self._monotonic())

    async def _try(self, device: Device) -> Survey:
        try:
            version = self._access.version(device)
            async with asyncio.timeout(self._deadline_s):
                return await _survey(device, version)
        except NoAccess as error:
            return Survey(error=f"cannot be asked: {error}", lack=Lack(str(error), error.fix, wrong=True))
        except Refused as error:
            return Survey(error=str(error), refusal=error.word)
        except (Silent, BadAnswer, OSError) as error:
            return Survey(error=self._words(error))

    def _words(self, error: Silent | BadAnswer | OSError) -> str:
        if isinstance(error, TimeoutError):
            return f"needs more than {self._deadline_s:g} s to answer"
        if isinstance(error, OSError):
            return f"cannot be asked: {error.strerror or error}"
        return f"answers what cannot be used: {error}" if isinstance(error, BadAnswer) else str(error)

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
        if survey.error is not None:
            self._silent_since.setdefault(name, at)
            self._tell_silent(device, survey, at)
        elif name in self._silent_since:
            since = self._silent_since.pop(name)
            self._told.pop(name)
            message = f"{name} ({device.host}) answers again"
            self._tell(Event(at, EventKind.SWITCH_ANSWERS, name, message, {"since": since}))

    def _tell_silent(self, device: Device, survey: Survey, at: float) -> None:
        """Tell that a device does not answer, once, and once more for each thing it then has against being asked."""
        told = self._told.setdefault(device.name, set())
        if told and (survey.refusal is None or survey.refusal in told):
            return
        told.add(survey.refusal)
        evidence: dict[str, object] = {"host": device.host, "port": device.port}
        evidence |= {"refusal": survey.refusal, "user": device.user} if survey.refusal else {}
        message = f"{device.name} ({device.host}) {survey.error}"
        self._tell(Event(at, EventKind.SWITCH_SILENT, device.name, message, evidence))


async def _survey(device: Device, version: Version) -> Survey:
    with Session(device.host, device.port, version) as session:
        begun_s = time.perf_counter()
        ticks = await uptime(session)
        latency_s = time.perf_counter() - begun_s
        return Survey(table=await table(session, ticks), latency_s=latency_s)

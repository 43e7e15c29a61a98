"""Makes samples of what a device said of its interfaces, and remembers what its counters are compared with."""

from collections.abc import Iterator

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import SwitchPortSample
from dcdaemon.telemetry.kernel_file import Faults
from dcdaemon.telemetry.snmp_client import Column
from dcdaemon.telemetry.snmp_interfaces import Table
from dcdaemon.telemetry.snmp_pdu import Value

TICKS_PER_S = 100
_OPER = {1: True, 2: False, 6: False, 7: False}
_ADMIN = {1: True, 2: False}
_ERRORS = ("errors_in", "errors_out", "drops_in", "drops_out")
_BYTES = ("received_bytes", "sent_bytes")
_LONGEST_NAME = 255
_32_BITS, _HALF_OF_IT = 2**32, 2**31
#: What ifSpeed says of everything that is faster (RFC 2863).
_OR_MORE_BPS = 2**32 - 1
#: Databases keep signed 64-bit integers.
_TOP = 2**63
#: sysUpTime fits into 32 bits for 497 days and then begins anew, though nothing was started.
_WRAPS_WITHIN = 100 * TICKS_PER_S


class Ports:
    """The ports of one device; a port is its name, whatever number it has after the next start of the device."""

    def __init__(self, switch: str, interval_s: float, tell: Tell) -> None:
        self._switch = switch
        self._interval_s = interval_s
        self._tell = tell
        self._faults = Faults(tell)
        self._uptime: tuple[int, float] | None = None
        self._before: dict[tuple[str, str], int] = {}
        self._carried: dict[tuple[str, str], int] = {}
        self._fallen: list[str] = []
        self._names: list[str] = []
        self._wide: bool | None = None
        self._narrow = False

    def samples(self, at: float, now_s: float, table: Table) -> tuple[SwitchPortSample, ...]:
        """Return a sample of each port, and tell when counters begin anew; `now_s` is monotonic."""
        self._notice_start(at, now_s, table.uptime)
        self._notice_width(wide=table.wide)
        rows = dict(named(table.columns))
        samples = [self._sample(at, name, row, table) for name, row in rows.items()]
        samples += self._unknown(at, [name for name in self._names if name not in rows])
        self._names = [*rows]
        self._before = {key: count for key, count in self._before.items() if key[0] in rows}
        self._carried = {key: count for key, count in self._carried.items() if key[0] in rows}
        self._tell_fallen(at)
        self._tell_too_fast(at, {} if table.wide else {name: _speed_bps(row, table) for name, row in rows.items()})
        return tuple(samples)

    def withdrawn(self, at: float) -> list[SwitchPortSample]:
        """Return the known ports as unknown, once: what they were says nothing of a device that fell silent."""
        names, self._names = self._names, []
        return self._unknown(at, names)

    def _unknown(self, at: float, names: list[str]) -> list[SwitchPortSample]:
        return [SwitchPortSample(at=at, switch=self._switch, port=name) for name in names]

    def _sample(self, at: float, name: str, row: int, table: Table) -> SwitchPortSample:
        speed_bps = _speed_bps(row, table)
        errors = {one: self._count((name, one), table.columns[one].get(row), narrow=True) for one in _ERRORS}
        octets = {one: self._count((name, one), table.columns[one].get(row), narrow=self._narrow) for one in _BYTES}
        if not table.wide and self._too_fast(speed_bps):
            octets = dict.fromkeys(_BYTES)
        return SwitchPortSample(
            at=at, switch=self._switch, port=name, up=_state(_OPER, table.columns["oper"].get(row)),
            enabled=_state(_ADMIN, table.columns["admin"].get(row)),
            speed_bps=None if speed_bps == _OR_MORE_BPS else speed_bps, **errors, **octets,
        )  # fmt: skip

    def _count(self, key: tuple[str, str], value: Value, *, narrow: bool) -> int | None:
        """Return a counter that grows on where one of 32 bits began anew."""
        if not isinstance(value, int) or not 0 <= value < _TOP:
            return None
        before, self._before[key] = self._before.get(key, 0), value
        if value < before:
            if narrow and before - value > _HALF_OF_IT:
                self._carried[key] = self._carried.get(key, 0) + _32_BITS
            else:
                self._carried.pop(key, None)
                self._fallen.append(key[0])
        return value + self._carried.get(key, 0)

    def _notice_width(self, *, wide: bool) -> None:
        """Count bytes anew when a device counts them in another width than before: that is no overflow."""
        if wide is not self._wide:
            self._carried = {key: count for key, count in self._carried.items() if key[1] not in _BYTES}
        self._narrow = not (wide or self._wide)
        self._wide = wide

    def _notice_start(self, at: float, now_s: float, ticks: int) -> None:
        before, self._uptime = self._uptime, (ticks, now_s)
        if before is None or ticks >= before[0]:
            return
        if before[0] + (now_s - before[1]) * TICKS_PER_S + _WRAPS_WITHIN >= _32_BITS:
            return
        self._before, self._carried = {}, {}
        # The uptime is that of the agent (RFC 3418): it may have been started alone.
        message = (
            f"{self._switch}, or its SNMP agent, was started {ticks / TICKS_PER_S:.0f} s ago:"
            " the counters of its ports may begin anew"
        )
        evidence: dict[str, object] = {
            "uptime_s": ticks / TICKS_PER_S, "uptime_before_s": before[0] / TICKS_PER_S,
        }  # fmt: skip
        self._tell(Event(at, EventKind.COUNTER_RESET, self._switch, message, evidence))

    def _tell_fallen(self, at: float) -> None:
        fallen, self._fallen = list(dict.fromkeys(self._fallen)), []
        if fallen:
            message = f"counters of {_few(fallen)} of {self._switch} begin anew, though it was not started"
            self._tell(Event(at, EventKind.COUNTER_RESET, self._switch, message, {"ports": fallen}))

    def _tell_too_fast(self, at: float, speeds_bps: dict[str, int | None]) -> None:
        fast = [name for name, speed_bps in speeds_bps.items() if self._too_fast(speed_bps)]
        subject = f"{self._switch} has 32-bit counters"
        if not fast:
            self._faults.over(subject)
            return
        fastest_bps = max(speed_bps or 0 for speed_bps in speeds_bps.values())
        message = (
            f"{self._switch} counts bytes of {_few(fast)} in 32 bits, which can overflow unseen between two questions;"
            f" [snmp] interval has to be below {_HALF_OF_IT * 8 // fastest_bps} s"
        )
        self._faults.say(at, subject, message, ports=fast)

    def _too_fast(self, speed_bps: int | None) -> bool:
        """Tell whether more than half of what 32 bits can count may pass between two questions."""
        return (speed_bps or 0) / 8 * self._interval_s >= _HALF_OF_IT


def named(columns: dict[str, Column]) -> Iterator[tuple[str, int]]:
    """Yield each port's name and row; what has no name, or one that is taken, is told apart by its number."""
    taken: set[str] = set()
    for row in sorted(columns["name"].keys() | columns["oper"].keys()):
        name = _text(columns["name"].get(row))
        if not name or name in taken:
            name = f"{name} (index {row})".strip()
        taken.add(name)
        yield name, row


def _text(value: Value) -> str:
    if not isinstance(value, bytes):
        return ""
    text = value[:_LONGEST_NAME].decode("utf-8", "replace")
    return "".join(sign for sign in text if sign.isprintable()).strip()


def _state(states: dict[int, bool], value: Value) -> bool | None:
    return states.get(value) if isinstance(value, int) else None


def _speed_bps(row: int, table: Table) -> int | None:
    megabits, bits = table.columns["megabits"].get(row), table.columns.get("bits", {}).get(row)
    if isinstance(megabits, int) and 0 < megabits < 10**9:
        return megabits * 1_000_000
    return bits if isinstance(bits, int) and 0 < bits < _32_BITS else None


def _few(names: list[str]) -> str:
    """Return some names and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more

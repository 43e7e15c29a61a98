"""Asks a device for its interfaces by IF-MIB (RFC 2863): 64-bit counters, or 32-bit ones where it has no others."""

from dataclasses import dataclass

from dcdaemon.telemetry.snmp_ber import BadAnswer, oid
from dcdaemon.telemetry.snmp_client import Column, Session

_UPTIME = oid("1.3.6.1.2.1.1.3.0")
_IF, _IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
#: Columns that every device is asked for, by the names of our fields where there is one.
_ASKED = {
    "name": oid(f"{_IFX}.1"), "received_bytes": oid(f"{_IFX}.6"), "sent_bytes": oid(f"{_IFX}.10"),
    "megabits": oid(f"{_IFX}.15"), "admin": oid(f"{_IF}.7"), "oper": oid(f"{_IF}.8"),
    "drops_in": oid(f"{_IF}.13"), "errors_in": oid(f"{_IF}.14"), "drops_out": oid(f"{_IF}.19"),
    "errors_out": oid(f"{_IF}.20"),
}  # fmt: skip
#: What a device without 64-bit counters is asked for in their place.
_NARROW = {
    "name": oid(f"{_IF}.2"), "bits": oid(f"{_IF}.5"), "received_bytes": oid(f"{_IF}.10"),
    "sent_bytes": oid(f"{_IF}.16"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """What a device said: its uptime in hundredths of a second, and columns by the number of the interface."""

    uptime: int
    columns: dict[str, Column]
    #: Whether bytes are counted in 64 bits.
    wide: bool


async def uptime(session: Session) -> int:
    """Ask for how long the device runs; raise Silent, Refused or BadAnswer."""
    ticks = await session.value(_UPTIME)
    if not isinstance(ticks, int) or not 0 <= ticks < 2**32:
        raise BadAnswer(f"no uptime: {session.asker} may not see it, or it is no SNMP agent")
    return ticks


async def table(session: Session, ticks: int) -> Table:
    """Ask for all interfaces; raise Silent, Refused or BadAnswer."""
    columns = await _columns(session, _ASKED)
    wide = bool(columns["name"] and columns["received_bytes"])
    if not wide:
        narrow = await _columns(session, _NARROW)
        columns |= {name: column for name, column in narrow.items() if not columns.get(name)}
    return Table(ticks, columns, wide)


async def _columns(session: Session, asked: dict[str, bytes]) -> dict[str, Column]:
    return dict(zip(asked, await session.columns([*asked.values()]), strict=True))

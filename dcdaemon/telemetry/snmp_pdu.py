"""What all versions of SNMP ask and answer (RFC 3416): questions as bytes, and what an answer holds.

Object identifiers stay encoded: the tables that are read have one number as their index, which is the end of each.
"""

from dataclasses import dataclass

from dcdaemon.telemetry.snmp_ber import INTEGER, OID, SEQUENCE, TEXT, head, inside, integer, number, tlv, whole

ANSWER, REPORT = 0xA2, 0xA8
_GET, _GET_BULK = 0xA0, 0xA5
_COUNTER32, _GAUGE32, _TIME_TICKS, _COUNTER64 = 0x41, 0x42, 0x43, 0x46
_NUMBERS = frozenset({INTEGER, _COUNTER32, _GAUGE32, _TIME_TICKS, _COUNTER64})
_UNSIGNED = frozenset({_COUNTER32, _GAUGE32, _TIME_TICKS, _COUNTER64})

Value = int | bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent answers; each bind is an encoded object identifier and its value, None where there is none."""

    request_id: int
    status: int
    binds: list[tuple[bytes, Value]]


def get(request_id: int, oids: list[bytes]) -> bytes:
    """Ask for the values of these objects."""
    return _request(_GET, request_id, 0, oids)


def get_bulk(request_id: int, repetitions: int, oids: list[bytes]) -> bytes:
    """Ask for the next rows of several columns at once."""
    return _request(_GET_BULK, request_id, repetitions, oids)


def _request(kind: int, request_id: int, repetitions: int, oids: list[bytes]) -> bytes:
    binds = b"".join(tlv(SEQUENCE, tlv(OID, one) + b"\x05\x00") for one in oids)
    numbers = b"".join(integer(one) for one in (request_id, 0, repetitions))
    return tlv(kind, numbers + tlv(SEQUENCE, binds))


def read_answer(data: bytes, start: int, end: int, kind: int = ANSWER) -> Answer:
    """Read what stands at this place; raise BadAnswer, and nothing else, whatever it is."""
    start, end = inside(data, start, end, kind)
    request_id, start = number(data, start, end)
    status, start = number(data, start, end)
    _, start = number(data, start, end)
    start, end = inside(data, start, end, SEQUENCE)
    binds = []
    while start < end:
        bind_start, start = inside(data, start, end, SEQUENCE)
        binds.append(_bind(data, bind_start, start))
    return Answer(request_id, status, binds)


def _bind(data: bytes, start: int, end: int) -> tuple[bytes, Value]:
    name_start, name_end = inside(data, start, end, OID)
    tag, value_start, value_end = head(data, name_end, end)
    name = data[name_start:name_end]
    if tag in _NUMBERS:
        return name, whole(data[value_start:value_end], unsigned=tag in _UNSIGNED)
    return name, data[value_start:value_end] if tag == TEXT else None

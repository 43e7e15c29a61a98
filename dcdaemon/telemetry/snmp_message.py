"""Messages of SNMP v2c (RFC 1901, RFC 3416) as bytes: what is asked, and what an answer holds.

Object identifiers stay encoded: the tables that are read have one number as their index, which is the end of each.
"""

from dataclasses import dataclass

_INTEGER, _TEXT, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_COUNTER32, _GAUGE32, _TIME_TICKS, _COUNTER64 = 0x41, 0x42, 0x43, 0x46
_NUMBERS = frozenset({_INTEGER, _COUNTER32, _GAUGE32, _TIME_TICKS, _COUNTER64})
_UNSIGNED = frozenset({_COUNTER32, _GAUGE32, _TIME_TICKS, _COUNTER64})
_GET, _ANSWER, _GET_BULK = 0xA0, 0xA2, 0xA5
_V2C = b"\x02\x01\x01"
#: Numbers have at most 64 bits, and one byte more where the first bit would be taken for a sign.
_LONGEST_NUMBER = 9

Value = int | bytes | None


class BadAnswer(Exception):
    """A datagram that is no answer of an SNMP agent, and why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one datagram holds; each bind is an encoded object identifier and its value, None where there is none."""

    request_id: int
    status: int
    binds: list[tuple[bytes, Value]]


def oid(dotted: str) -> bytes:
    """Encode an object identifier like "1.3.6.1.2.1.1.3.0"."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    return bytes([first * 40 + second]) + b"".join(arc(number) for number in rest)


def arc(number: int) -> bytes:
    """Encode one number of an object identifier: seven bits a byte, the highest bit says that more follow."""
    encoded = [number & 0x7F]
    while number := number >> 7:
        encoded.append(number & 0x7F | 0x80)
    return bytes(reversed(encoded))


def arc_value(encoded: bytes) -> int:
    """Decode what is exactly one number of an object identifier; raise BadAnswer for anything else."""
    if not encoded or len(encoded) > 5 or encoded[-1] & 0x80 or any(not byte & 0x80 for byte in encoded[:-1]):
        raise BadAnswer("a row's index is not one number")
    number = 0
    for byte in encoded:
        number = number << 7 | byte & 0x7F
    return number


def get(community: bytes, request_id: int, oids: list[bytes]) -> bytes:
    """Ask for the values of these objects."""
    return _request(_GET, community, request_id, 0, 0, oids)


def get_bulk(community: bytes, request_id: int, repetitions: int, oids: list[bytes]) -> bytes:
    """Ask for the next rows of several columns at once."""
    return _request(_GET_BULK, community, request_id, 0, repetitions, oids)


def _request(kind: int, community: bytes, request_id: int, first: int, second: int, oids: list[bytes]) -> bytes:
    binds = b"".join(_tlv(_SEQUENCE, _tlv(_OID, one) + b"\x05\x00") for one in oids)
    numbers = b"".join(_integer(number) for number in (request_id, first, second))
    return _tlv(_SEQUENCE, _V2C + _tlv(_TEXT, community) + _tlv(kind, numbers + _tlv(_SEQUENCE, binds)))


def _integer(number: int) -> bytes:
    return _tlv(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def decode(data: bytes) -> Answer:
    """Read a datagram; raise BadAnswer, and nothing else, whatever it holds."""
    start, end = _inside(data, 0, len(data), _SEQUENCE)
    if data[start : start + 3] != _V2C:
        raise BadAnswer("not of SNMP version 2c")
    _, start = _inside(data, start + 3, end, _TEXT)
    start, end = _inside(data, start, end, _ANSWER)
    request_id, start = _number(data, start, end)
    status, start = _number(data, start, end)
    _, start = _number(data, start, end)
    start, end = _inside(data, start, end, _SEQUENCE)
    binds = []
    while start < end:
        bind_start, start = _inside(data, start, end, _SEQUENCE)
        binds.append(_bind(data, bind_start, start))
    return Answer(request_id, status, binds)


def _bind(data: bytes, start: int, end: int) -> tuple[bytes, Value]:
    name_start, name_end = _inside(data, start, end, _OID)
    tag, value_start, value_end = _head(data, name_end, end)
    name = data[name_start:name_end]
    if tag in _NUMBERS:
        return name, _whole(data[value_start:value_end], unsigned=tag in _UNSIGNED)
    return name, data[value_start:value_end] if tag == _TEXT else None


def _number(data: bytes, start: int, end: int) -> tuple[int, int]:
    start, end = _inside(data, start, end, _INTEGER)
    return _whole(data[start:end], unsigned=False), end


def _whole(content: bytes, *, unsigned: bool) -> int:
    if not 0 < len(content) <= _LONGEST_NUMBER:
        raise BadAnswer(f"a number of {len(content)} bytes")
    # Some agents forget the leading zero of an unsigned number: it is none below zero.
    return int.from_bytes(content, "big", signed=not unsigned)


def _inside(data: bytes, at: int, end: int, wanted: int) -> tuple[int, int]:
    """Return where the content of the element at this place begins and ends."""
    tag, start, stop = _head(data, at, end)
    if tag != wanted:
        raise BadAnswer(f"type {tag:#04x} where {wanted:#04x} belongs")
    return start, stop


def _head(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    if at + 2 > end:
        raise BadAnswer("it ends too early")
    tag, size, start = data[at], data[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        if not 0 < width <= 4 or start + width > end:
            raise BadAnswer("a length that cannot be")
        size, start = int.from_bytes(data[start : start + width], "big"), start + width
    if start + size > end:
        raise BadAnswer("it ends too early")
    return tag, start, start + size

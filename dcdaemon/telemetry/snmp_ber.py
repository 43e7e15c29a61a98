"""The elements that messages of SNMP are made of (BER, as RFC 3417 limits it): written, and read without trust."""

INTEGER, TEXT, OID, SEQUENCE = 0x02, 0x04, 0x06, 0x30
#: Numbers have at most 64 bits, and one byte more where the first bit would be taken for a sign.
_LONGEST_NUMBER = 9


class BadAnswer(Exception):
    """A datagram that is no answer of an SNMP agent, and why."""


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


def integer(number: int) -> bytes:
    """Encode a whole number."""
    return tlv(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def tlv(tag: int, content: bytes) -> bytes:
    """Encode an element of this type."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the whole number at this place, and where it ends; raise BadAnswer."""
    start, stop = inside(data, at, end, INTEGER)
    return whole(data[start:stop], unsigned=False), stop


def text(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return the octets at this place, and where they end; raise BadAnswer."""
    start, stop = inside(data, at, end, TEXT)
    return data[start:stop], stop


def whole(content: bytes, *, unsigned: bool) -> int:
    """Return what the content of a number says; raise BadAnswer."""
    if not 0 < len(content) <= _LONGEST_NUMBER:
        raise BadAnswer(f"a number of {len(content)} bytes")
    # Some agents forget the leading zero of an unsigned number: it is none below zero.
    return int.from_bytes(content, "big", signed=not unsigned)


def inside(data: bytes, at: int, end: int, wanted: int) -> tuple[int, int]:
    """Return where the content of the element at this place begins and ends; raise BadAnswer."""
    tag, start, stop = head(data, at, end)
    if tag != wanted:
        raise BadAnswer(f"type {tag:#04x} where {wanted:#04x} belongs")
    return start, stop


def head(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return the type of the element at this place, and where its content begins and ends; raise BadAnswer."""
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

"""An SNMP v2c agent on loopback that can be made to misbehave; it shares no code with what it tests."""

import socket
import threading
from collections.abc import Callable
from typing import Self

INTEGER, TEXT, OID, SEQUENCE = 0x02, 0x04, 0x06, 0x30
COUNTER32, GAUGE32, TICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46
NO_SUCH_OBJECT, END_OF_MIB = 0x80, 0x82
Oid = tuple[int, ...]
#: What an agent sends back for a request; it gets the answer that would be right.
Distort = Callable[[bytes], list[bytes]]

UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
IF: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IFX: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)


class Agent:
    """Answers from `objects`, the type and value of each; `asked` counts requests, `asker` sent the last one."""

    def __init__(self, community: str = "public") -> None:
        self.objects: dict[Oid, tuple[int, int | str]] = {UPTIME: (TICKS, 4200)}
        self.distort: Distort = lambda right: [right]
        self.status = 0
        self.largest = 65535
        self.asked = 0
        self.asker: tuple[str, int] = ("127.0.0.1", 0)
        self._community = community.encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="snmp agent", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A datagram without a byte ends it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(10)
        self.socket.close()

    def interface(self, row: int, name: str, *, wide: bool = True, **values: int) -> None:
        """Add an interface, or change it."""
        usual = {"received": 0, "sent": 0, "megabits": 1000, "admin": 1, "oper": 1, "errors_in": 0}
        value = usual | values
        columns: dict[Oid, tuple[int, int | str]] = {
            (*IF, 2): (TEXT, name), (*IF, 5): (GAUGE32, min(value["megabits"] * 10**6, 2**32 - 1)),
            (*IF, 7): (INTEGER, value["admin"]), (*IF, 8): (INTEGER, value["oper"]),
            (*IF, 10): (COUNTER32, value["received"] % 2**32), (*IF, 13): (COUNTER32, 3),
            (*IF, 14): (COUNTER32, value["errors_in"]), (*IF, 16): (COUNTER32, value["sent"] % 2**32),
            (*IF, 19): (COUNTER32, 5), (*IF, 20): (COUNTER32, 6),
        }  # fmt: skip
        if wide:
            columns |= {
                (*IFX, 1): (TEXT, name), (*IFX, 6): (COUNTER64, value["received"]),
                (*IFX, 10): (COUNTER64, value["sent"]), (*IFX, 15): (GAUGE32, value["megabits"]),
            }  # fmt: skip
        self.objects |= {(*column, row): entry for column, entry in columns.items()}

    def forget_interfaces(self) -> None:
        self.objects = {UPTIME: self.objects[UPTIME]}

    def answer(self, request: bytes) -> bytes | None:
        """Return the right answer to a request, None for one with another community."""
        _, community, pdu = split(split(split(request)[1])[2])
        if community != self._community:
            return None
        built = self._message(self.response(pdu))
        return self._message(self.response(pdu, too_big=True)) if len(built) > self.largest else built

    def _message(self, pdu: bytes) -> bytes:
        return tlv(SEQUENCE, tlv(INTEGER, b"\x01") + tlv(TEXT, self._community) + pdu)

    def response(self, pdu: bytes, *, too_big: bool = False) -> bytes:
        """Return the PDU that answers this one."""
        kind, pdu, _ = split(pdu)
        _, request_id, pdu = split(pdu)
        _, _, pdu = split(pdu)
        _, repetitions, pdu = split(pdu)
        names, status = _names(split(pdu)[1]), 1 if too_big else self.status
        binds = self._bulk(names, int.from_bytes(repetitions, "big")) if kind == 0xA5 else self._get(names)
        return response(0xA2, request_id, status, [] if status == 1 else binds)

    def _get(self, names: list[Oid]) -> list[bytes]:
        return [bind(name, *self.objects.get(name, (NO_SUCH_OBJECT, ""))) for name in names]

    def _bulk(self, names: list[Oid], repetitions: int) -> list[bytes]:
        known, binds = sorted(self.objects), []
        for _ in range(repetitions):
            for place, name in enumerate(names):
                after = next((one for one in known if one > name), None)
                binds.append(bind(name, END_OF_MIB, "") if after is None else bind(after, *self.objects[after]))
                names[place] = after or name
        return binds

    def _serve(self) -> None:
        while True:
            request, asker = self.socket.recvfrom(65535)
            if not request:
                return
            self.asked += 1
            self.asker = asker
            right = self.answer(request)
            for datagram in self.distort(right) if right else []:
                self.socket.sendto(datagram, asker)


def response(kind: int, request_id: bytes, status: int, binds: list[bytes]) -> bytes:
    pdu = tlv(INTEGER, request_id) + tlv(INTEGER, bytes([status])) + tlv(INTEGER, b"\x00")
    return tlv(kind, pdu + tlv(SEQUENCE, b"".join(binds)))


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def bind(name: Oid, tag: int, value: int | str) -> bytes:
    if isinstance(value, str):
        content = value.encode()
    elif tag == INTEGER:
        content = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    else:
        content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return tlv(SEQUENCE, tlv(OID, _encoded(name)) + tlv(tag, content))


def _encoded(name: Oid) -> bytes:
    encoded = bytearray([name[0] * 40 + name[1]])
    for number in name[2:]:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(number & 127 | 128)
        encoded += bytes(reversed(groups))
    return bytes(encoded)


def _names(binds: bytes) -> list[Oid]:
    names = []
    while binds:
        _, bind, binds = split(binds)
        names.append(_decoded(split(bind)[1]))
    return names


def _decoded(encoded: bytes) -> Oid:
    numbers, number = [encoded[0] // 40, encoded[0] % 40], 0
    for byte in encoded[1:]:
        number = number << 7 | byte & 127
        if not byte & 128:
            numbers.append(number)
            number = 0
    return tuple(numbers)


def split(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the type and the content of the first element, and what comes after it."""
    size, start = data[1], 2
    if size & 128:
        start += size & 127
        size = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + size], data[start + size :]

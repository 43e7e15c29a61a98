"""Messages of SNMPv3 (RFC 3412) with the user's part (RFC 3414) as bytes, whoever signed or encrypted them."""

from dataclasses import dataclass

from dcdaemon.telemetry.snmp_ber import SEQUENCE, TEXT, BadAnswer, inside, integer, number, text, tlv
from dcdaemon.telemetry.snmp_pdu import ANSWER, REPORT, Answer, read_answer

SIGNED, ENCRYPTED, REPORTABLE = 1, 2, 4
SALT_BYTES = 8
#: Numbers and times of engines have 31 bits.
TOP = 2**31 - 1
_VERSION = b"\x02\x01\x03"
_USERS = 3
#: What an agent may answer with at once: pieces of larger packets are often dropped.
_LARGEST = 1452
#: The lengths of an engine's identifier (RFC 3411).
_ENGINE_BYTES = range(5, 33)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is encrypted where the flags say so, else a question or an answer in its scope."""

    number: int
    flags: int
    content: bytes
    engine_id: bytes = b""
    boots: int = 0
    time_s: int = 0
    user: bytes = b""
    signature: bytes = b""
    salt: bytes = b""
    #: Where its signature stands in the datagram it was read from.
    signature_at: int = 0


def scoped(engine_id: bytes, pdu: bytes) -> bytes:
    """Return a question as it is encrypted, or sent in clear."""
    return tlv(SEQUENCE, tlv(TEXT, engine_id) + tlv(TEXT, b"") + pdu)


def write(message: Message) -> tuple[bytes, int]:
    """Return a message as a datagram, and where its signature stands."""
    numbers = integer(message.number) + integer(_LARGEST) + tlv(TEXT, bytes([message.flags])) + integer(_USERS)
    engine = tlv(TEXT, message.engine_id) + integer(message.boots) + integer(message.time_s) + tlv(TEXT, message.user)
    salt = tlv(TEXT, message.salt)
    users = tlv(TEXT, tlv(SEQUENCE, engine + tlv(TEXT, message.signature) + salt))
    content = tlv(TEXT, message.content) if message.flags & ENCRYPTED else message.content
    datagram = tlv(SEQUENCE, _VERSION + tlv(SEQUENCE, numbers) + users + content)
    return datagram, len(datagram) - len(content) - len(salt) - len(message.signature)


def read(datagram: bytes) -> Message:
    """Read a datagram; raise BadAnswer, and nothing else, whatever it holds."""
    start, end = inside(datagram, 0, len(datagram), SEQUENCE)
    if datagram[start : start + 3] != _VERSION:
        raise BadAnswer("not of SNMP version 3")
    start, stop = inside(datagram, start + 3, end, SEQUENCE)
    message_number, flags = _numbers(datagram, start, stop)
    user_start, user_end = inside(datagram, stop, end, TEXT)
    content = text(datagram, user_end, end)[0] if flags & ENCRYPTED else datagram[user_end:end]
    return Message(message_number, flags, content, *_user(datagram, user_start, user_end))


def read_scoped(content: bytes) -> tuple[Answer, bool]:
    """Return the answer in a message's content, decrypted, and whether it is a report; raise BadAnswer."""
    start, end = inside(content, 0, len(content), SEQUENCE)
    _, start = text(content, start, end)
    _, start = text(content, start, end)
    kind = REPORT if content[start : start + 1] == bytes([REPORT]) else ANSWER
    return read_answer(content, start, end, kind), kind == REPORT


def _numbers(datagram: bytes, start: int, end: int) -> tuple[int, int]:
    message_number, start = number(datagram, start, end)
    _, start = number(datagram, start, end)
    flags, start = text(datagram, start, end)
    model, _ = number(datagram, start, end)
    if model != _USERS or len(flags) != 1:
        raise BadAnswer("not of SNMPv3's user-based security")
    if flags[0] & (SIGNED | ENCRYPTED) == ENCRYPTED:
        raise BadAnswer("encrypted without a signature")
    return message_number, flags[0]


def _user(datagram: bytes, start: int, end: int) -> tuple[bytes, int, int, bytes, bytes, bytes, int]:
    start, end = inside(datagram, start, end, SEQUENCE)
    engine_id, start = text(datagram, start, end)
    boots, start = number(datagram, start, end)
    time_s, start = number(datagram, start, end)
    user, start = text(datagram, start, end)
    signature, signature_end = text(datagram, start, end)
    salt, _ = text(datagram, signature_end, end)
    if len(engine_id) not in _ENGINE_BYTES or not (0 <= boots <= TOP and 0 <= time_s <= TOP):
        raise BadAnswer("an engine that cannot be")
    return engine_id, boots, time_s, user, signature, salt, signature_end - len(signature)

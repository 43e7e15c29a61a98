"""An SNMPv3 agent on loopback that can be made to misbehave; it shares no code with what it tests."""

import hashlib
import hmac
from dataclasses import dataclass, replace

from Cryptodome.Cipher import AES
from fake_snmp.agent import COUNTER32, INTEGER, SEQUENCE, TEXT, Agent, Oid, bind, response, split, tlv

USM: Oid = (1, 3, 6, 1, 6, 3, 15, 1, 1)
LEVEL, NOT_IN_TIME, UNKNOWN_USER, UNKNOWN_ENGINE, WRONG_DIGEST, DECRYPTION = range(1, 7)
SIGNED, SECRET = 1, 3


@dataclass
class Asked:
    """What a request says of itself."""

    number: bytes
    flags: int
    engine_id: bytes
    boots: int
    time_s: int
    user: bytes
    salt: bytes
    content: bytes


def passphrase_key(passphrase: bytes, engine_id: bytes) -> bytes:
    """Return a key for SHA-256 as RFC 3414 A.2 writes it."""
    stretched = hashlib.sha256((passphrase * (2**20 // len(passphrase) + 1))[: 2**20]).digest()
    return hashlib.sha256(stretched + engine_id + stretched).digest()


class V3Agent(Agent):
    """Knows one user, who signs with SHA-256 and encrypts with AES-128; `clock` is its boots and its time."""

    def __init__(
        self, user: str = "monitor", signing: bytes = b"signing phrase", encrypting: bytes = b"secret phrase"
    ) -> None:
        super().__init__()
        self.engine_id = b"\x80\x00\x1f\x88\x04fake"
        self.clock = 3, 1000
        self.user, self.passphrases = user.encode(), (signing, encrypting)
        #: How answers are protected, and whether the report on the time is signed.
        self.level, self.time_report_level = SECRET, SIGNED
        #: Report this in place of each answer.
        self.report: int | None = None
        self.requests: list[Asked] = []

    def answer(self, request: bytes) -> bytes | None:
        asked = read(request)
        self.requests.append(asked)
        wrong = self._wrong(asked, request)
        if wrong is not None:
            return self.reported(asked, wrong, self.time_report_level if wrong == NOT_IN_TIME else 0)
        scoped = self._cipher(asked).decrypt(asked.content)
        if scoped[0] != SEQUENCE:
            # As net-snmp does.
            return None
        pdu = split(split(split(scoped)[1])[2])[2]
        return self.sealed(asked, self.response(pdu), self.level)

    def _wrong(self, asked: Asked, request: bytes) -> int | None:
        if asked.engine_id != self.engine_id:
            return UNKNOWN_ENGINE
        if asked.user != self.user:
            return UNKNOWN_USER
        if not self.is_signed(request):
            return WRONG_DIGEST
        boots, time_s = self.clock
        return NOT_IN_TIME if asked.boots != boots or abs(asked.time_s - time_s) > 150 else self.report

    def reported(self, asked: Asked, reason: int, flags: int) -> bytes:
        """Return a report."""
        return self.sealed(asked, response(0xA8, b"\0", 0, [bind((*USM, reason, 0), COUNTER32, 1)]), flags)

    def sealed(self, asked: Asked, pdu: bytes, flags: int, **changes: object) -> bytes:
        """Return a message that answers what was asked, protected as the flags say."""
        boots, time_s = self.clock
        user = self.user if flags else asked.user
        told = replace(
            asked, flags=flags, engine_id=self.engine_id, boots=boots, time_s=time_s, salt=b"", user=user,
            content=tlv(SEQUENCE, tlv(TEXT, self.engine_id) + tlv(TEXT, b"") + pdu),
        )  # fmt: skip
        if flags & 2:
            told = replace(told, salt=b"saltsalt")
            told = replace(told, content=self._cipher(told).encrypt(told.content))
        told = replace(told, **changes)
        unsigned = written(told, bytes(24) if flags & 1 else b"")
        return unsigned.replace(bytes(24), self._signature(unsigned), 1) if flags & 1 else unsigned

    def is_signed(self, request: bytes) -> bool:
        """Tell whether a message carries the user's signature."""
        signature = signature_of(request)
        return len(signature) == 24 and signature == self._signature(request.replace(signature, bytes(24), 1))

    def _signature(self, unsigned: bytes) -> bytes:
        key = passphrase_key(self.passphrases[0], self.engine_id)
        return hmac.new(key, unsigned, "sha256").digest()[:24]

    def _cipher(self, message: Asked):
        key = passphrase_key(self.passphrases[1], self.engine_id)[:16]
        start = message.boots.to_bytes(4, "big") + message.time_s.to_bytes(4, "big") + message.salt
        return AES.new(key, AES.MODE_CFB, iv=start, segment_size=128)


def read(request: bytes) -> Asked:
    """Take a message apart."""
    _, _, rest = split(split(request)[1])
    _, head, rest = split(rest)
    _, users, rest = split(rest)
    _, number, head = split(head)
    _, _, head = split(head)
    flags = split(head)[1][0]
    _, engine_id, fields = split(split(users)[1])
    _, boots, fields = split(fields)
    _, time_s, fields = split(fields)
    _, user, fields = split(fields)
    salt = split(split(fields)[2])[1]
    content = split(rest)[1] if flags & 2 else rest
    return Asked(
        number, flags, engine_id, int.from_bytes(boots, "big"), int.from_bytes(time_s, "big"), user, salt, content
    )


def signature_of(message: bytes) -> bytes:
    """Return the signature in a message."""
    users = split(split(split(split(message)[1])[2])[2])[1]
    fields = split(users)[1]
    for _ in range(4):
        fields = split(fields)[2]
    return split(fields)[1]


def written(message: Asked, signature: bytes) -> bytes:
    """Put a message together."""
    head = tlv(INTEGER, message.number) + tlv(INTEGER, b"\x05\xdc") + tlv(TEXT, bytes([message.flags]))
    users = tlv(TEXT, message.engine_id) + _whole(message.boots) + _whole(message.time_s) + tlv(TEXT, message.user)
    users += tlv(TEXT, signature) + tlv(TEXT, message.salt)
    content = tlv(TEXT, message.content) if message.flags & 2 else message.content
    whole = tlv(INTEGER, b"\x03") + tlv(SEQUENCE, head + tlv(INTEGER, b"\x03")) + tlv(TEXT, tlv(SEQUENCE, users))
    return tlv(SEQUENCE, whole + content)


def _whole(number: int) -> bytes:
    return tlv(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))

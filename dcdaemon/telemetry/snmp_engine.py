"""One device's SNMPv3 engine as it is known here: its clock, and what is signed and encrypted with the keys for it."""

import hmac
import secrets
from collections.abc import Callable

from dcdaemon.telemetry.snmp_ber import BadAnswer
from dcdaemon.telemetry.snmp_keys import Keys
from dcdaemon.telemetry.snmp_v3_message import (
    ENCRYPTED,
    REPORTABLE,
    SALT_BYTES,
    SIGNED,
    TOP,
    Message,
    scoped,
    write,
)  # fmt: skip

#: How far a message may lag behind the engine's clock (RFC 3414 ch. 2.2.3).
_WINDOW_S = 150


class Engine:
    """An engine that was met; its clock is what the last message it signed said, and the time that passed since."""

    def __init__(self, engine_id: bytes, user: bytes, keys: Keys, monotonic: Callable[[], float]) -> None:
        self.engine_id = engine_id
        self._user, self._keys, self._monotonic = user, keys, monotonic
        #: Whether it has shown, since it was last doubted, that it signs with the same passphrase.
        self.trusted = False
        self._boots, self._time_s, self._heard_s = 0, 0, monotonic()
        # From anywhere, so that it is another one after a start of ours, and counted from there (RFC 3826).
        self._salt = secrets.randbits(8 * SALT_BYTES)

    def doubt(self) -> None:
        """Let its clock be what it says next, even if that has run backwards."""
        self.trusted, self._boots, self._time_s, self._heard_s = False, 0, 0, self._monotonic()

    def seal(self, message_number: int, pdu: bytes) -> bytes:
        """Return a question as a datagram, encrypted and signed."""
        boots, time_s = self._boots, self._now_s()
        self._salt = (self._salt + 1) % 2 ** (8 * SALT_BYTES)
        salt = self._salt.to_bytes(SALT_BYTES, "big")
        content = self._keys.encrypt(scoped(self.engine_id, pdu), boots, time_s, salt)
        unsigned = bytes(self._keys.signature_bytes)
        flags = SIGNED | ENCRYPTED | REPORTABLE
        message = Message(message_number, flags, content, self.engine_id, boots, time_s, self._user, unsigned, salt)
        datagram, place = write(message)
        return _with(datagram, place, self._keys.sign(datagram))

    def open(self, message: Message, datagram: bytes) -> bytes:
        """Return what is in a signed message, decrypted; raise BadAnswer for one that is not for us, or not now."""
        if message.engine_id != self.engine_id or message.user != self._user:
            raise BadAnswer("signed by another engine, or for another user")
        self._verify(message, datagram)
        self._follow(message)
        if not message.flags & ENCRYPTED:
            return message.content
        if len(message.salt) != SALT_BYTES:
            raise BadAnswer(f"a salt of {len(message.salt)} bytes")
        return self._keys.decrypt(message.content, message.boots, message.time_s, message.salt)

    def hint(self, message: Message) -> None:
        """Take a time that nobody signed for questions, as long as there is no better one: an answer must be signed."""
        if not self.trusted:
            self._set_clock(message)

    def _verify(self, message: Message, datagram: bytes) -> None:
        size = self._keys.signature_bytes
        if len(message.signature) != size:
            raise BadAnswer(f"a signature of {len(message.signature)} bytes where {size} belong")
        right = self._keys.sign(_with(datagram, message.signature_at, bytes(size)))
        if not hmac.compare_digest(right, message.signature):
            raise BadAnswer("a signature that is wrong: damaged or forged")

    def _follow(self, message: Message) -> None:
        """Set the clock forward by a message that was signed, and refuse one of before (RFC 3414 ch. 3.2.7)."""
        if self.trusted:
            if (message.boots, message.time_s) < (self._boots, self._now_s() - _WINDOW_S):
                raise BadAnswer("a message of some time ago")
            if (message.boots, message.time_s) <= (self._boots, self._time_s):
                return
        self.trusted = True
        self._set_clock(message)

    def _set_clock(self, message: Message) -> None:
        self._boots, self._time_s, self._heard_s = message.boots, message.time_s, self._monotonic()

    def _now_s(self) -> int:
        return min(self._time_s + int(self._monotonic() - self._heard_s), TOP)


def _with(datagram: bytes, place: int, signature: bytes) -> bytes:
    return datagram[:place] + signature + datagram[place + len(signature) :]

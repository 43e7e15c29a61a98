"""SNMPv3 with its user-based security (RFC 3412, 3414): a device is met, its clock is learned, then it is asked.

What it has against being asked it says in reports, and each of them names what is wrong.
"""

import secrets
import time
from collections.abc import Callable

from dcdaemon.telemetry.snmp_ber import BadAnswer, oid
from dcdaemon.telemetry.snmp_engine import Engine
from dcdaemon.telemetry.snmp_keys import Passphrases
from dcdaemon.telemetry.snmp_pdu import Answer, get
from dcdaemon.telemetry.snmp_v3_message import ENCRYPTED, REPORTABLE, SIGNED, Message, read, read_scoped, scoped, write
from dcdaemon.telemetry.snmp_version import Refused, Stray

_USM, _DISPATCH, _CONTEXTS = "1.3.6.1.6.3.15.1.1", "1.3.6.1.6.3.11.2.1", "1.3.6.1.6.3.12.1"
_NOT_IN_TIME, _UNKNOWN_ENGINE = oid(f"{_USM}.2.0"), oid(f"{_USM}.4.0")
_WRONG_PRIVACY = "wrong_privacy"
#: What other reports say: the word in the event, and the sentence.
_REPORTS = {
    oid(f"{_USM}.1.0"): (
        "wrong_level", "does not talk encrypted with user {user}: that user has no privacy, or no authentication, there"
    ),
    oid(f"{_USM}.3.0"): ("unknown_user", "does not know user {user}"),
    oid(f"{_USM}.5.0"): (
        "wrong_authentication",
        "does not accept what user {user} signs: wrong authentication passphrase, or another protocol than {signed}",
    ),
    oid(f"{_USM}.6.0"): (
        _WRONG_PRIVACY,
        "cannot decrypt what user {user} sends: wrong privacy passphrase, or another protocol than {encrypted}",
    ),
    oid(f"{_DISPATCH}.1.0"): ("wrong_model", "does not speak SNMPv3 with users"),
    oid(f"{_DISPATCH}.2.0"): ("invalid", "finds our messages invalid"),
    oid(f"{_DISPATCH}.3.0"): ("unavailable", "has nothing that answers there"),
    oid(f"{_CONTEXTS}.4.0"): ("unavailable", "says that its usual context is not available"),
    oid(f"{_CONTEXTS}.5.0"): ("unavailable", "does not know its usual context"),
}  # fmt: skip


class V3:
    """One device asked by SNMPv3: what it does not know of its asker, and the other way round, it is told or asked."""

    def __init__(self, passphrases: Passphrases, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.passphrases, self._monotonic = passphrases, monotonic
        self._engine: Engine | None = None
        #: Whether the engine is known to be there; else it is met first.
        self._met = False
        self._request_id, self._sent = -1, set[int]()

    @property
    def asker(self) -> str:
        """Who asks, as an error names it."""
        return f"user {self.passphrases.user.name!r}"

    def write(self, request_id: int, pdu: bytes) -> bytes:
        """Return the question, or what makes the device tell who it is; each message has a number of its own."""
        if request_id != self._request_id:
            self._request_id, self._sent = request_id, set()
        message_number = secrets.randbits(31)
        self._sent.add(message_number)
        if self._engine is not None and self._met:
            return self._engine.seal(message_number, pdu)
        if self._engine is not None:
            self._engine.doubt()
        return write(Message(message_number, REPORTABLE, scoped(b"", get(request_id, []))))[0]

    def read(self, datagram: bytes, request_id: int) -> Answer | None:
        """Return the answer, None after a report that was understood; raise Stray, BadAnswer or Refused."""
        message = read(datagram)
        if message.number not in self._sent:
            raise Stray
        answer, report = read_scoped(self._opened(message, datagram))
        if report:
            self._learn(message, answer)
            return None
        if message.flags & (SIGNED | ENCRYPTED) != SIGNED | ENCRYPTED:
            raise BadAnswer("an answer that is not signed and encrypted")
        if answer.request_id != request_id:
            raise Stray
        return answer

    def doubt(self) -> None:
        """Meet the device anew: it may have lost its clock, or be another one."""
        self._met = False

    def silence(self) -> Refused | None:
        """Take a device that signs its reports, but is silent when asked, for one that cannot decrypt."""
        if self._engine is None or not self._engine.trusted:
            return None
        user = self.passphrases.user
        return Refused(
            f"knows user {user.name!r} and the authentication passphrase, but does not answer what is encrypted:"
            f" wrong privacy passphrase, or another protocol than {user.privacy.upper()}", _WRONG_PRIVACY,
        )  # fmt: skip

    def _opened(self, message: Message, datagram: bytes) -> bytes:
        if not message.flags & SIGNED:
            return message.content
        if self._engine is None:
            raise BadAnswer("signed by an engine that was never met")
        content = self._engine.open(message, datagram)
        self._met = True
        return content

    def _learn(self, message: Message, report: Answer) -> None:
        """Learn from a report what the next question needs; raise Refused for one that no question can heed."""
        reported = report.binds[0][0] if report.binds else b""
        if reported == _UNKNOWN_ENGINE:
            self._meet(message.engine_id)
        elif reported != _NOT_IN_TIME:
            raise self._refusal(reported)
        elif self._engine is not None and not message.flags & SIGNED:
            self._engine.hint(message)

    def _meet(self, engine_id: bytes) -> None:
        self._met = True
        if self._engine is None or self._engine.engine_id != engine_id:
            user = self.passphrases.user.name.encode()
            self._engine = Engine(engine_id, user, self.passphrases.keys(engine_id), self._monotonic)

    def _refusal(self, reported: bytes) -> Refused:
        user = self.passphrases.user
        word, sentence = _REPORTS.get(reported, ("unknown_report", "reports an error that is not known here"))
        names = {"user": repr(user.name), "signed": user.authentication.upper(), "encrypted": user.privacy.upper()}
        return Refused(sentence.format(**names), word)

"""The two versions of SNMP that are spoken, as one: how a question travels, and how its answer is known."""

from typing import Protocol

from dcdaemon.telemetry.snmp_ber import SEQUENCE, TEXT, BadAnswer, inside, text, tlv
from dcdaemon.telemetry.snmp_pdu import Answer, read_answer

_V2C = b"\x02\x01\x01"


class Stray(Exception):
    """A datagram that answers nothing that is being asked."""


class Refused(Exception):
    """What an agent has against being asked, in words, and in one word that never changes."""

    def __init__(self, why: str, word: str) -> None:
        super().__init__(why)
        self.word = word


class Version(Protocol):
    """One device asked in one version of SNMP; the same object serves all questions to it, one after the other."""

    @property
    def asker(self) -> str:
        """Who asks, as an error names it."""

    def write(self, request_id: int, pdu: bytes) -> bytes:
        """Return the datagram that brings this question nearer to its answer."""

    def read(self, datagram: bytes, request_id: int) -> Answer | None:
        """Return the answer, None where it was only told how to ask; raise Stray, BadAnswer or Refused."""

    def doubt(self) -> None:
        """Notice that nothing came back: what was known of the device may not hold any more."""

    def silence(self) -> Refused | None:
        """Return why the device may be silent, where its silence says it."""


class V2c:
    """SNMP v2c (RFC 1901): a community in clear text, which an agent does not answer when it is wrong."""

    asker = "this community"

    def __init__(self, community: bytes) -> None:
        self._head = _V2C + tlv(TEXT, community)

    def write(self, request_id: int, pdu: bytes) -> bytes:  # noqa: ARG002  the question itself is numbered
        """Return the question as a message."""
        return tlv(SEQUENCE, self._head + pdu)

    def read(self, datagram: bytes, request_id: int) -> Answer:
        """Return the answer; raise Stray or BadAnswer."""
        start, end = inside(datagram, 0, len(datagram), SEQUENCE)
        if datagram[start : start + 3] != _V2C:
            raise BadAnswer("not of SNMP version 2c")
        _, start = text(datagram, start + 3, end)
        answer = read_answer(datagram, start, end)
        if answer.request_id != request_id:
            raise Stray
        return answer

    def doubt(self) -> None:
        """Nothing is known of a device but its address."""

    def silence(self) -> None:
        """Silence has many reasons."""

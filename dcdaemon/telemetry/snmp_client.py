"""Asks one SNMP agent over UDP: patient with a lost datagram, deaf to strangers, and never longer than it was given."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Self

from dcdaemon.telemetry.snmp_ber import BadAnswer, arc_value
from dcdaemon.telemetry.snmp_pdu import Answer, Value, get, get_bulk
from dcdaemon.telemetry.snmp_version import Stray, Version

_TRIES = 3
_TRY_S = 2.0
#: SNMPv3 needs three datagrams for a question to a device that was never met, and that again where it is in doubt.
_MOST_SENT = 10
_LARGEST = 65535
_TOO_BIG = 1
_STATUSES = {
    1: "tooBig",
    2: "noSuchName",
    3: "badValue",
    4: "readOnly",
    5: "genErr",
    6: "noAccess",
    16: "authorizationError",
}
#: So few values are asked for at once that the answer fits into one packet of 1,500 bytes: pieces are often dropped.
_VALUES = 60
_MOST_ROWS = 10_000
#: Late and repeated answers are few; whoever sends more wants to keep us busy.
_MOST_STRAYS = 100

Column = dict[int, Value]


class Silent(Exception):
    """Nothing that can be understood came back, and why."""


class Session:
    """One agent, asked in one version over a socket that takes datagrams from its address alone."""

    def __init__(self, host: str, port: int, version: Version) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._version = version
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._address = (host, port)
        self._answered = False
        self._garbage: BadAnswer | None = None
        self._strays = 0

    @property
    def asker(self) -> str:
        """Who asks, as an error names it."""
        return self._version.asker

    def __enter__(self) -> Self:
        """Reserve the socket; raise OSError when there is no way to the agent."""
        try:
            self._socket.connect(self._address)
        except OSError:
            self._socket.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self._socket.close()

    async def value(self, name: bytes) -> Value:
        """Return the value of one object, None where there is none; raise Silent, Refused or BadAnswer."""
        answer = await self._ask(lambda request_id: get(request_id, [name]))
        return answer.binds[0][1] if answer.binds and answer.status == 0 else None

    async def columns(self, names: list[bytes]) -> list[Column]:
        """Return columns of a table by the numbers of their rows; raise Silent, Refused or BadAnswer."""
        found: list[Column] = [{} for _ in names]
        left = dict(enumerate(names))
        rows = max(1, _VALUES // len(names))
        while left:
            answer = await self._ask(lambda request_id: get_bulk(request_id, rows, [*left.values()]))  # noqa: B023  it is awaited at once
            if answer.status == _TOO_BIG and rows > 1:
                rows //= 2
                continue
            if answer.status:
                raise BadAnswer(f"it answers {_STATUSES.get(answer.status, f'error {answer.status}')}")
            _take(answer, names, left, found)
        return found

    async def _ask(self, question: Callable[[int], bytes]) -> Answer:
        """Ask until there is an answer, in as many steps as the version takes, each of them repeated in vain."""
        request_id = secrets.randbits(31)
        pdu, why, vain = question(request_id), "does not answer", 0
        for _ in range(_MOST_SENT):
            try:
                async with asyncio.timeout(_TRY_S):
                    answer = await self._step(request_id, pdu)
            except OSError as error:
                why = await self._reason(error, why)
                self._version.doubt()
                vain += 1
                if vain == _TRIES:
                    raise self._silence(why) from error
            else:
                if answer is not None:
                    self._answered = True
                    return answer
        raise Silent("says again and again how it wants to be asked, and does not answer then")

    async def _step(self, request_id: int, pdu: bytes) -> Answer | None:
        """Send what comes next; return the answer, or None where it told only how to go on."""
        loop, self._garbage = asyncio.get_running_loop(), None
        await loop.sock_sendall(self._socket, self._version.write(request_id, pdu))
        while self._strays <= _MOST_STRAYS:
            datagram = await loop.sock_recv(self._socket, _LARGEST)
            try:
                return self._version.read(datagram, request_id)
            except Stray:
                pass
            except BadAnswer as error:
                self._garbage = error
            self._strays += 1
            # Many of them must not keep the deadlines from being noticed.
            await asyncio.sleep(0)
        raise Silent("is drowned out by datagrams that answer nothing")

    async def _reason(self, error: OSError, why: str) -> str:
        if isinstance(error, TimeoutError):
            return why
        # Its host says so by ICMP; an agent that just starts may listen a moment later.
        await asyncio.sleep(_TRY_S / 4)
        return f"cannot be asked: {error.strerror or error}"

    def _silence(self, why: str) -> Exception:
        said = None if self._answered else self._version.silence()
        return self._garbage or said or Silent(why)


def _take(answer: Answer, names: list[bytes], left: dict[int, bytes], found: list[Column]) -> None:
    """Sort the values of an answer into their columns, which come by turns, and drop from `left` what is complete."""
    if not answer.binds:
        raise BadAnswer("an answer without a value")
    order = list(left)
    for place, (name, value) in enumerate(answer.binds):
        column = order[place % len(order)]
        if column not in left:
            continue
        prefix, rows = names[column], found[column]
        if not name.startswith(prefix) or (value is None and name == left[column]):
            del left[column]
            continue
        row = arc_value(name[len(prefix) :])
        if row in rows:
            raise BadAnswer("a table that goes in circles")
        if len(rows) >= _MOST_ROWS:
            raise BadAnswer(f"a table of more than {_MOST_ROWS} rows")
        rows[row] = value
        left[column] = name

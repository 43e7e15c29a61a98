"""Asks one SNMP agent over UDP: patient with a lost datagram, deaf to strangers, and never longer than it was given."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Self

from dcdaemon.telemetry.snmp_message import Answer, BadAnswer, Value, arc_value, decode, get, get_bulk

_TRIES = 3
_TRY_S = 2.0
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
    """One agent, asked over a socket that takes datagrams from its address alone."""

    def __init__(self, host: str, port: int, community: bytes) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._community = community
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._address = (host, port)
        self._garbage: BadAnswer | None = None
        self._strays = 0

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
        """Return the value of one object, None where there is none; raise Silent or BadAnswer."""
        answer = await self._ask(lambda request_id: get(self._community, request_id, [name]))
        return answer.binds[0][1] if answer.binds and answer.status == 0 else None

    async def columns(self, names: list[bytes]) -> list[Column]:
        """Return columns of a table by the numbers of their rows; raise Silent or BadAnswer."""
        found: list[Column] = [{} for _ in names]
        left = dict(enumerate(names))
        rows = max(1, _VALUES // len(names))
        while left:
            answer = await self._ask(lambda request_id: get_bulk(self._community, request_id, rows, [*left.values()]))  # noqa: B023  it is awaited at once
            if answer.status == _TOO_BIG and rows > 1:
                rows //= 2
                continue
            if answer.status:
                raise BadAnswer(f"it answers {_STATUSES.get(answer.status, f'error {answer.status}')}")
            _take(answer, names, left, found)
        return found

    async def _ask(self, request: Callable[[int], bytes]) -> Answer:
        request_id = secrets.randbits(31)
        why = "does not answer"
        for _ in range(_TRIES):
            try:
                async with asyncio.timeout(_TRY_S):
                    await asyncio.get_running_loop().sock_sendall(self._socket, request(request_id))
                    return await self._answer(request_id)
            except TimeoutError:
                continue
            except OSError as error:
                # Its host says so by ICMP; an agent that just starts may listen a moment later.
                why = f"cannot be asked: {error.strerror or error}"
                await asyncio.sleep(_TRY_S / 4)
        raise Silent(f"answers with what is no SNMP: {self._garbage}" if self._garbage else why)

    async def _answer(self, request_id: int) -> Answer:
        """Wait for the answer to this question; what is no answer to it is passed over."""
        loop = asyncio.get_running_loop()
        while self._strays <= _MOST_STRAYS:
            datagram = await loop.sock_recv(self._socket, _LARGEST)
            try:
                answer = decode(datagram)
            except BadAnswer as error:
                self._garbage = error
            else:
                if answer.request_id == request_id:
                    return answer
            self._strays += 1
            # Many of them must not keep the deadlines from being noticed.
            await asyncio.sleep(0)
        raise Silent("is drowned out by datagrams that answer nothing")


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

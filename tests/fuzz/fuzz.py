"""Send what schemathesis makes of our OpenAPI description to a daemon, as several callers, and count what is answered.

Run by an interpreter that has schemathesis: `python fuzz.py REQUESTS SEED`, with `{"openapi": ..., "callers": [{"name",
"url", "uid", "token"}]}` on standard input. A report for each caller goes to stdout, in JSON: how often each route
answered with which status, and what must not happen at all. Every caller sends the same requests.
"""

import contextlib
import json
import os
import random
import socket
import sys
import urllib.parse
from collections import Counter
from http.client import HTTPConnection, HTTPException
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

#: A log that is followed, or a wait for jobs, may go on for ever: so long is waited for an answer to begin.
ANSWER_WITHIN_S = 10.0
READ_MOST = 1 << 20
TRACES = (b"Traceback (most recent call last)", b'File "/', b"sqlalchemy", b"sqlite3.")
#: Hypothesis makes the same simple requests first; so many a round keep rounds different.
EXAMPLES_A_ROUND = 25


class Caller:
    """Opens a connection for each request, as a user of the machine on the unix socket or with a token over TCP."""

    def __init__(self, url: str, uid: int | None, token: str | None) -> None:
        self._parts = urllib.parse.urlsplit(url)
        self._uid = uid
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
        """Return the status and the beginning of the answer; 0 where the connection was closed without one."""
        connection = HTTPConnection(self._parts.hostname or "localhost", self._parts.port, timeout=ANSWER_WITHIN_S)
        if self._parts.scheme == "unix":
            connection.sock = self._unix()
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in {**headers, **self._headers}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, _some(response)
        except (HTTPException, ConnectionError):
            return 0, b""
        finally:
            connection.close()

    def _unix(self) -> socket.socket:
        door = socket.socket(socket.AF_UNIX)
        door.settimeout(ANSWER_WITHIN_S)
        own = os.geteuid()
        try:
            # The kernel notes who connects, not who writes.
            if self._uid is not None:
                os.seteuid(self._uid)
            door.connect(self._parts.path)
        finally:
            os.seteuid(own)
        return door


def _some(response: Any) -> bytes:
    with contextlib.suppress(TimeoutError, HTTPException, ConnectionError):
        return bytes(response.read1(READ_MOST))
    return b""


class Report:
    """What was answered, and what should never be."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []

    def note(self, route: str, status: int, answer: bytes, asked: str) -> None:
        """Count an answer; a server error or a piece of a traceback is wrong."""
        self.counts[route, status] += 1
        if status >= 500 or any(trace in answer for trace in TRACES):
            self.wrong.append(f"{asked} -> {status}: {answer[:300]!r}")

    def as_json(self) -> dict[str, Any]:
        """Return it for whoever started this."""
        rows = [{"route": route, "status": status, "times": n} for (route, status), n in sorted(self.counts.items())]
        return {
            "requests": self.counts.total(),
            "rows": rows,
            "wrong": self.wrong[:20],
            "wrong_in_all": len(self.wrong),
        }


Callers = list[tuple[Caller, Report]]


def fuzz(callers: Callers, document: dict[str, Any], most: int, number: int) -> None:
    """Send at least so many requests in all, spread over all operations; half of them break the description."""
    operations = [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]
    chance = random.Random(number)  # noqa: S311  a seed for tests
    a_round = min(EXAMPLES_A_ROUND, -(-most // (2 * len(operations) * len(callers))))
    while sum(report.counts.total() for _, report in callers) < most:
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _round(callers, operation, mode, a_round, chance.getrandbits(64))


def _round(callers: Callers, operation: Any, mode: GenerationMode, most: int, number: int) -> None:
    route = f"{operation.method.upper()} {operation.path}"

    @seed(number)
    @settings(
        max_examples=most,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def ask(case: Any) -> None:
        prepared = _prepared(case)
        if prepared is None:
            return
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        target = prepared.path_url
        headers = {name: value for name, value in prepared.headers.items() if name.lower() != "authorization"}
        for caller, report in callers:
            status, answer = caller.send(str(prepared.method), target, headers, body)
            report.note(route, status, answer, f"{prepared.method} {target} {(body or b'')[:300]!r}")

    try:
        ask()
    except schemathesis.errors.SchemathesisError:
        pass  # an operation without a body or parameters cannot be broken
    except Exception as error:
        if type(error).__name__ not in ("Unsatisfiable", "FailedHealthCheck", "SkipTest"):
            raise


def _prepared(case: Any) -> requests.PreparedRequest | None:
    """Return the request as it would be sent; None for what cannot be written as HTTP at all."""
    try:
        asked = case.as_transport_kwargs(base_url="http://dcd")
        known = ("method", "url", "headers", "files", "data", "json", "params", "auth", "cookies")
        prepared = requests.Request(**{key: value for key, value in asked.items() if key in known}).prepare()
        for name, value in prepared.headers.items():
            f"{name}{value}".encode("latin-1")
    except (ValueError, UnicodeError, requests.RequestException):
        return None
    return prepared


def main() -> None:
    """Fuzz as all callers and print a report for each."""
    most, number = map(int, sys.argv[1:])
    asked = json.load(sys.stdin)
    callers = [(Caller(one["url"], one["uid"], one["token"]), Report()) for one in asked["callers"]]
    fuzz(callers, asked["openapi"], most, number)
    names = (one["name"] for one in asked["callers"])
    json.dump({name: report.as_json() for name, (_, report) in zip(names, callers, strict=True)}, sys.stdout)


if __name__ == "__main__":
    main()

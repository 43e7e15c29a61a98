"""What no request may be: endless, or a mountain of mistakes that takes the daemon minutes to list."""

import asyncio
import socket
from collections import Counter

import pytest
from fastapi import Request

from dcdaemon.api import limits
from dcdaemon.api.identity import ACTOR_KEY
from dcdaemon.api.turns import TURNS_PER_USER, WAITS_PER_USER, FairTurns, turn_of
from dcdaemon.core.ports import Actor

FLOODS = {
    "arguments": {"jobs": [{"argv": [1] * 300_000, "cwd": "/"}]},
    "jobs": {"jobs": [{"argv": [1], "cwd": 1}] * 10_000},
    "empty jobs": {"jobs": [None] * 1_000_000},
    "variables": {"jobs": [{"argv": ["a"], "cwd": "/"}], "env": {str(number): 1 for number in range(300_000)}},
    "keys": {str(number): 1 for number in range(300_000)},
}


@pytest.mark.parametrize("body", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_of_mistakes_is_told_by_its_first(door, raw, body):
    status, _, document = raw(door.ada, "POST", "/v1/jobs", body)
    assert (status, document["error"]["code"]) == (422, "bad_input")
    assert len(str(document)) < 500, "each mistake was listed"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/v1/jobs/{2**63}", 404),
        ("GET", f"/v1/jobs/{2**63}/log", 404),
        ("GET", f"/v1/jobs/{-(2**79)}/log", 404),
        ("GET", f"/v1/jobs/{-(2**79)}", 404),
        ("POST", f"/v1/anomalies/{2**63}/ack", 404),
        ("GET", f"/v1/jobs/1/log?attempt={2**31}", 422),
        ("GET", "/v1/energy?since_s=inf&by=day", 422),
        ("GET", "/v1/history?since_s=inf", 422),
    ],
)
def test_numbers_that_no_database_knows_are_no_mistake_of_the_daemon(door, raw, method, path, status):
    assert raw(door.ada, method, path)[0] == status


def test_one_users_requests_wait_for_each_other_and_for_nobody_else():
    working: Counter[tuple[int, str]] = Counter()

    async def never_done(scope, _receive, _send):
        working[scope[ACTOR_KEY].uid, scope["path"]] += 1
        await asyncio.Event().wait()

    async def ask() -> None:
        turns = FairTurns(never_done)
        users = [(uid, path) for uid in (0, 1000, 1001) for path in ("/v1/jobs", "/v1/wait") for _ in range(20)]
        scopes = [{ACTOR_KEY: Actor(uid, uid, "x"), "path": path} for uid, path in users]
        tasks = [asyncio.create_task(turns(scope, None, None)) for scope in scopes]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(ask())
    assert working == {
        (0, "/v1/jobs"): 20, (0, "/v1/wait"): 20,
        (1000, "/v1/jobs"): TURNS_PER_USER, (1000, "/v1/wait"): 20,
        (1001, "/v1/jobs"): TURNS_PER_USER, (1001, "/v1/wait"): 20,
    }  # fmt: skip


def test_too_many_jobs_are_counted_before_each_is_understood(door, raw):
    status, _, document = raw(door.ada, "POST", "/v1/jobs", {"jobs": [{"argv": [1], "cwd": 1}] * 10_001})
    assert status == 422
    assert document["error"]["message"].endswith(" 10001 jobs in one request, at most 10000 are taken")


def sleeping(uid: int, path: str, turns: FairTurns, answers: list[int]) -> asyncio.Task[None]:
    async def send(message):
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    return asyncio.create_task(turns({ACTOR_KEY: Actor(uid, uid, "x"), "path": path, "type": "http"}, None, send))


def test_a_request_that_sleeps_takes_its_turn_for_its_work():
    working: Counter[int] = Counter()

    async def works(scope, _receive, _send):
        async with turn_of(Request(scope)):
            working[scope[ACTOR_KEY].uid] += 1
            await asyncio.Event().wait()

    async def ask() -> None:
        turns = FairTurns(works)
        tasks = [
            sleeping(uid, path, turns, []) for uid in (0, 1000) for path in ("/v1/wait", "/v1/jobs/1/log")
            for _ in range(10)
        ]  # fmt: skip
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(ask())
    assert working == {0: 20, 1000: TURNS_PER_USER}


def test_one_user_has_so_many_waits_at_once_and_gets_them_back():
    async def ask() -> tuple[list[int], int]:
        answers: list[int] = []
        never = asyncio.Event()

        async def sleeps(_scope, _receive, _send):
            await never.wait()

        turns = FairTurns(sleeps)
        tasks = [sleeping(1000, "/v1/wait", turns, answers) for _ in range(WAITS_PER_USER + 2)]
        tasks += [sleeping(0, "/v1/wait", turns, answers) for _ in range(WAITS_PER_USER + 2)]
        await asyncio.sleep(0.01)
        refused = list(answers)
        never.set()
        await asyncio.gather(*tasks)
        await sleeping(1000, "/v1/wait", turns, answers)
        return refused, len(answers)

    assert asyncio.run(ask()) == ([409, 409], 2)


def test_who_shows_no_token_keeps_nobody_out(door, monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS_OF_TCP", 4)
    first = door.ada._connect(10)
    host, port = first.sock.getpeername()
    first.close()
    good = socket.create_connection((host, port), 10)
    ask = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada-token\r\n\r\n"
    good.sendall(ask)
    assert good.recv(100).startswith(b"HTTP/1.1 200")
    idle = [socket.create_connection((host, port), 10) for _ in range(8)]
    assert idle[0].recv(1) == b"", "the oldest goes"
    late = socket.create_connection((host, port), 10)
    for one in (late, good):
        one.sendall(ask)
        while b"200 OK" not in one.recv(65536):
            pass
    for one in (good, late, *idle):
        one.close()


def test_a_booking_of_a_number_that_no_database_knows_is_not_found(door, raw):
    assert raw(door.root, "POST", f"/v1/bookings/{2**77}/unbook")[0] == 404


@pytest.mark.parametrize(
    "begin", [b"", b"GET /v1/sta", b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"]
)
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_request_that_does_not_arrive_in_time_is_cut_off(door, monkeypatch, begin, kind):
    monkeypatch.setattr(limits, "HEAD_WITHIN_S", 0.2)
    monkeypatch.setattr(limits, "BODY_WITHIN_S", 0.2)
    connection = door.local._connect(10) if kind == "unix" else door.ada._connect(10)
    if kind == "tcp" and begin.startswith(b"POST"):
        begin = begin.replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer ada-token")
    connection.sock.sendall(begin)
    answer = b""
    while more := connection.sock.recv(4096):
        answer += more
    connection.close()
    assert b"did not arrive in time" in answer

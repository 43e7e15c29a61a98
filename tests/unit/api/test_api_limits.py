"""What no request may be: endless, or a mountain of mistakes that takes the daemon minutes to list."""

import asyncio
from collections import Counter

import pytest

from dcdaemon.api.identity import PEER_KEY
from dcdaemon.api.limits import TURNS_PER_USER, FairTurns

FLOODS = {
    "arguments": {"jobs": [{"argv": [1] * 300_000, "cwd": "/"}]},
    "jobs": {"jobs": [{"argv": [1], "cwd": 1}] * 10_000},
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
        ("POST", f"/v1/anomalies/{2**63}/ack", 404),
        ("GET", "/v1/energy?since_s=inf&by=day", 422),
        ("GET", "/v1/history?since_s=inf", 422),
    ],
)
def test_numbers_that_no_database_knows_are_no_mistake_of_the_daemon(door, raw, method, path, status):
    assert raw(door.ada, method, path)[0] == status


def test_one_users_requests_wait_for_each_other_and_for_nobody_else():
    working: Counter[tuple[int, str]] = Counter()

    async def never_done(scope, _receive, _send):
        working[scope[PEER_KEY][0], scope["path"]] += 1
        await asyncio.Event().wait()

    async def ask() -> None:
        turns = FairTurns(never_done)
        users = [(uid, path) for uid in (0, 1000, 1001) for path in ("/v1/jobs", "/v1/wait") for _ in range(20)]
        scopes = [{PEER_KEY: (uid, uid), "path": path} for uid, path in users]
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

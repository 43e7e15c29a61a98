"""Queues and shares over HTTP, as each caller sees them."""

import pytest
from scene import NODE

from dcdaemon.client.http import Client
from dcdaemon.control.book import Book
from dcdaemon.core.errors import DcdError
from dcdaemon.core.view import NodeView
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queues import Account, Queue, Quotas, Sharing

GIB = 1024**3
SHORT = Queue("short", gpus=frozenset({0, 1, 9}), order=Order.FAIR_SHARE, max_limit_s=3600.0, users=frozenset({"ada"}))
SITE = Sharing(
    {"main": Queue("main", max_gpus_per_user=3), "short": SHORT},
    accounts={
        "vision": Account("vision", ("ada", "bob"), shares=3.0),
        "speech": Account("speech", ("bob",), max_gpus=2),
    },
    quotas=Quotas(per_user=1),
)


@pytest.fixture
def shared(scene):
    """The scene with queues, accounts and quotas."""
    scene.desk.book = Book(NodeView(NODE, 32, 256 * GIB), SITE)
    scene.desk.policy = Policy(order=Order.SHORTEST, queues=SITE.rules, weights=SITE.weights)
    scene.sample()
    return scene


def queue(client: Client, name: str) -> dict:
    [found] = [one for one in client.get("/v1/queues")["queues"] if one["name"] == name]
    return found


def test_without_queues_there_is_one_with_everything(door):
    document = door.ada.get("/v1/queues")
    assert document["queues"] == [
        {
            "name": "main", "default": True, "order": "fifo", "priority_tier": 0, "gpus": [0, 1, 2, 3],
            "gpus_missing": [], "default_limit_s": None, "max_limit_s": None, "max_gpus_per_job": None,
            "max_gpus_per_user": None, "max_gpus": None, "max_jobs_per_user": None, "users": [], "accounts": [],
            "urgent": False, "preemptible": False, "min_run_s": 0.0, "running_jobs": 0, "running_gpus": 0,
            "waiting_jobs": 0, "waiting_gpus": 0, "admits_you": True,
            "yours": {"running_jobs": 0, "running_gpus": 0, "waiting_jobs": 0, "waiting_gpus": 0},
        }
    ]  # fmt: skip
    assert document["you"] == {"user": "ada", "accounts": [], "gpus": 0, "lent_gpus": 0, "limits": []}


def test_a_queue_tells_what_runs_and_waits_in_it_and_what_of_that_is_yours(door, shared):
    shared.submit(Play(run_s=None), queue="short", gpus=1)
    shared.submit(queue="short", gpus=2)
    shared.cycle()
    short = queue(door.ada, "short")
    assert (short["gpus"], short["gpus_missing"], short["order"]) == ([0, 1], [9], "fair-share")
    assert (short["running_jobs"], short["running_gpus"], short["waiting_jobs"], short["waiting_gpus"]) == (1, 1, 1, 2)
    assert short["yours"] == {"running_jobs": 1, "running_gpus": 1, "waiting_jobs": 1, "waiting_gpus": 2}
    theirs = queue(door.bob, "short")
    assert (theirs["yours"]["running_jobs"], theirs["admits_you"], theirs["running_gpus"]) == (0, False, 1)
    assert queue(door.root, "short")["admits_you"]
    assert queue(door.ada, "main")["order"] == "shortest"


def test_jobs_of_a_queue_that_is_gone_are_told(door, shared):
    shared.submit(queue="short")
    shared.desk.book.sharing = Sharing()
    document = door.ada.get("/v1/queues")
    assert document["gone"] == [{"name": "short", "jobs": 1}]
    assert [one["waiting_jobs"] for one in document["queues"]] == [1]


def test_you_see_your_limits_and_what_you_were_lent(door, shared):
    for _ in range(3):
        shared.submit(Play(run_s=None))
    shared.cycle()
    you = door.ada.get("/v1/queues")["you"]
    assert (you["user"], you["accounts"], you["gpus"], you["lent_gpus"]) == ("ada", ["vision"], 3, 2)
    assert [job["lent"] for job in door.ada.get("/v1/jobs")["jobs"]] == [False, True, True]
    assert you["limits"] == [
        {"kind": "queue-user", "owner": "ada in queue main", "used": 3.0, "most": 3, "counts": "gpus"},
        {"kind": "quota", "owner": "ada", "used": 3.0, "most": 1, "counts": "gpus"},
    ]
    theirs = {limit["owner"]: limit["used"] for limit in door.bob.get("/v1/queues")["you"]["limits"]}
    assert theirs == {"bob in queue main": 0.0, "bob": 0.0, "account speech": 0.0}


def test_shares_tell_who_has_had_what_and_who_comes_next(door, shared):
    shared.run(Play(run_s=None), gpus=2)
    shared.clock.advance(3600)
    for actor in (door.ada, door.bob):
        actor.post("/v1/jobs", {"jobs": [{"argv": ["x"], "cwd": "/", "gpus": 3, "limit_s": 60.0}], "env": {}})
    document = door.ada.get("/v1/shares")
    assert (document["half_life_s"], document["queues"]) == (7 * 86400.0, ["short"])
    lines = {(line["account"], line["user"]): line for line in document["shares"]}
    assert list(lines) == [
        ("vision", None), ("vision", "bob"), ("vision", "ada"), ("speech", None), ("speech", "bob"),
    ]  # fmt: skip
    ada, vision = lines["vision", "ada"], lines["vision", None]
    assert (vision["shares"], vision["share_ratio"], vision["usage_ratio"]) == (3.0, 0.75, 1.0)
    assert ada["usage_gpu_s"] == pytest.approx(7200, rel=0.01)
    assert (ada["share_ratio"], ada["running_gpus"], ada["waiting_jobs"], ada["next"]) == (0.375, 2, 1, 2)
    assert ada["factor"] == pytest.approx(2 ** -(1 / 0.375))
    assert (lines["vision", "bob"]["next"], lines["vision", "bob"]["factor"], lines["speech", "bob"]["next"]) == (
        1,
        1,
        None,
    )


def test_before_anything_was_used_no_part_of_it_is_anybodys(door, shared):
    lines = door.ada.get("/v1/shares")["shares"]
    assert {line["usage_ratio"] for line in lines} == {None}
    assert {line["factor"] for line in lines} == {1.0}


def test_the_gpus_say_which_queues_may_have_them(door, shared):
    assert door.ada.get("/v1/gpus")["queues"] == [
        {"name": "main", "default": True, "limit_s": None, "gpus": None},
        {"name": "short", "default": False, "limit_s": 3600.0, "gpus": [0, 1, 9]},
    ]


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"queue": "shrot"}, 404, "not_found", "there is no queue 'shrot'"),
        ({"account": "speech"}, 403, "forbidden", "ada does not belong to account speech"),
        ({"queue": "short", "limit_s": 7200.0}, 409, "refused", "queue short runs no job longer than 1h"),
        ({"gpus": 4}, 409, "refused", "ada in queue main may have 3 GPUs at a time"),
    ],
)
def test_a_wrong_queue_or_account_is_one_clear_refusal(door, shared, job_body, fields, status, code, message):
    with pytest.raises(DcdError) as caught:
        door.ada.post("/v1/jobs", job_body(**fields))
    assert (caught.value.http_status, caught.value.code) == (status, code)
    assert caught.value.message.startswith(message)
    assert caught.value.hint
    assert shared.jobs() == []

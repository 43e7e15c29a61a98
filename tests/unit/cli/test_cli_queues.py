"""`dcd queues`, `dcd share`, and what `dcd doctor` says of queues."""

import json

import documents
import pytest

from dcdaemon.cli.queue_checks import queue_checks
from dcdaemon.client.http import Client


@pytest.fixture
def shared(daemon):
    daemon.routes |= {"GET /v1/queues": documents.queues(), "GET /v1/shares": documents.shares()}
    return daemon


def test_queues_are_listed_with_the_use_of_who_asks(shared, dcd):
    said = dcd("queues")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["QUEUE", "main*", "short", "spare"]
    assert said.err == (
        "user2: 5 GPUs in use, 1 of them lent · quota of user2: 5.25 of 4 GPUs · account vision or speech\n"
    )


def test_the_wide_table_tells_all_limits(shared, dcd):
    out = dcd("queues", "-o", "wide").out
    assert "1 GPU a job, 2 GPUs a user, 4 jobs a user" in out
    assert "10m" in out


def test_names_and_documents_are_for_machines(shared, dcd):
    assert dcd("queues", "-o", "id").out.split() == ["main", "short", "spare"]
    assert json.loads(dcd("queues", "-o", "json").out) == documents.queues()
    assert json.loads(dcd("share", "-o", "json").out) == documents.shares()
    assert dcd("sshare", "-o", "csv").out.startswith("account,user,shares,")


def test_shares_say_what_they_decide(shared, dcd):
    assert dcd("share").err == "GPU time of 7d ago counts half · decides in queue main\n"
    shared.routes["GET /v1/shares"] = documents.shares() | {"queues": []}
    assert 'no queue goes by it: order = "fair-share" in [queues.NAME] makes one do' in dcd("share").err
    shared.routes["GET /v1/shares"] = documents.shares() | {"queues": [], "shares": []}
    said = dcd("share")
    assert (said.out, said.err) == ("", "nobody has used a GPU yet\n")


def test_a_job_on_lent_gpus_says_so(daemon, dcd):
    document = documents.queue()
    document["jobs"][0]["lent"] = True
    daemon.routes["GET /v1/jobs"] = document
    assert "612 W, lent" in dcd("ps").out


def checks(daemon, **changes) -> list[tuple[str, str]]:
    daemon.routes["GET /v1/queues"] = documents.queues() | changes
    return [(check.level, check.message) for check in queue_checks(Client(daemon.url))]


def test_the_doctor_sees_gpus_that_are_not_there_and_queues_that_are_gone(daemon):
    main, short, _ = documents.queues()["queues"]
    assert checks(daemon, queues=[main]) == [("ok", "1 queue, main is the default one")]
    assert checks(daemon) == [("warn", "GPU 9 of queue short is not there")]
    assert checks(daemon, queues=[main, short | {"gpus": []}]) == [("warn", "queue short has no GPU: 9 is not there")]
    assert checks(daemon, queues=[main], gone=[{"name": "old", "jobs": 3}]) == [
        ("warn", "queue old is not configured any more: 3 unfinished jobs of it go by the rules of main")
    ]


def test_the_doctor_is_silent_about_a_daemon_that_knows_no_queues(daemon):
    assert list(queue_checks(Client(daemon.url))) == []

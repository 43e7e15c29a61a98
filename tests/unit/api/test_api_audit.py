"""The audit over HTTP: every route that changes something leaves a row that tells who, from where, and what."""

import pytest
from scene import BOB

from dcdaemon.api.needs import NEEDS, Need
from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.fakes.gpus import SimulatedGpus

ACTIONS = {
    ("POST", "/v1/jobs"): ["submit"],
    ("POST", "/v1/jobs/cancel"): ["cancel"],
    ("POST", "/v1/jobs/hold"): ["hold"],
    ("POST", "/v1/jobs/release"): ["release"],
    ("POST", "/v1/jobs/requeue"): ["requeue"],
    ("POST", "/v1/jobs/update"): ["update"],
    ("POST", "/v1/gpus/{index}/drain"): ["drain"],
    ("POST", "/v1/gpus/{index}/undrain"): ["restore"],
    ("POST", "/v1/gpus/release"): ["driver_release"],
    ("POST", "/v1/bookings"): ["book"],
    ("POST", "/v1/bookings/{booking_id}/unbook"): ["unbook"],
    ("POST", "/v1/anomalies/{anomaly_id}/ack"): ["acknowledge"],
    ("POST", "/v1/tokens"): ["token_create"],
    ("POST", "/v1/tokens/revoke"): ["token_revoke"],
}


def change_everything(door, scene, job_body) -> None:
    """Use every route that changes something, once."""
    root = door.root
    scene.desk.source = SimulatedGpus(4, dict, scene.clock)
    root.post("/v1/jobs", job_body(held=True))
    root.post("/v1/jobs/release", {"select": ["1"]})
    root.post("/v1/jobs/update", {"select": ["1"], "priority": 60})
    root.post("/v1/jobs/hold", {"select": ["1"]})
    root.post("/v1/jobs/cancel", {"select": ["1"]})
    root.post("/v1/jobs/requeue", {"select": ["1"]})
    root.post("/v1/gpus/3/drain", {"reason": "fan"})
    root.post("/v1/gpus/3/undrain")
    root.post("/v1/gpus/release", {"for_s": 0.0})
    root.post("/v1/bookings", {"count": 1, "for_s": 60.0})
    root.post("/v1/bookings/1/unbook")
    scene.store.raise_anomalies([Finding("x", "/", Severity.WARNING, "full", {})], scene.clock.now())
    root.post("/v1/anomalies/1/ack")
    door.local.post("/v1/tokens", {"name": "laptop"})
    door.local.post("/v1/tokens/revoke", {"token": "laptop"})


def test_every_route_that_changes_something_is_in_the_audit(door, scene, job_body):
    assert {asked for asked, need in NEEDS.items() if need is not Need.READ} == ACTIONS.keys()
    scene.store._audit.clear()
    change_everything(door, scene, job_body)
    rows = door.root.get("/v1/audit")["audit"]
    assert [row["action"] for row in rows] == [
        "submit", "release", "update", "hold", "cancel", "requeue", "drain", "restore", "driver_release", "book",
        "unbook", "acknowledge", "token_create", "token_revoke",
    ]  # fmt: skip
    assert {action for actions in ACTIONS.values() for action in actions} == {row["action"] for row in rows}
    for row in rows:
        assert row["subject"]
        assert row["before"] is not None or row["after"] is not None, row
        assert row["from"].startswith("127.0.0.1:" if row["via"] == "token" else "pid "), row


def test_a_row_tells_before_and_after(door, scene):
    scene.submit(held=True)
    door.ada.post("/v1/jobs/release", {"select": ["1"]})
    [row] = door.ada.get("/v1/audit", {"action": "release"})["audit"]
    assert (row["user"], row["subject"], row["before"], row["after"]) == (
        "ada",
        "job 1",
        {"held": True},
        {"held": False},
    )
    assert (row["via"], row["job_id"]) == ("token", 1)


def test_users_see_what_they_did_themselves_and_operators_everything(door, scene):
    scene.submit()
    scene.submit(actor=BOB)
    door.root.post("/v1/jobs/cancel", {"select": ["1"]})
    assert {row["user"] for row in door.ada.get("/v1/audit")["audit"]} == {"ada"}
    assert door.ada.get("/v1/audit", {"user": "bob"})["audit"] == []
    assert door.ada.get("/v1/audit", {"sel": "2"})["audit"] == []
    assert {row["user"] for row in door.root.get("/v1/audit", {"sel": "1-2"})["audit"]} == {"ada", "bob", "root"}
    assert [row["action"] for row in door.root.get("/v1/audit", {"sel": "1"})["audit"]] == ["submit", "cancel"]
    assert [row["action"] for row in door.root.get("/v1/audit", {"limit": 1})["audit"]] == ["cancel"]


def test_rows_of_a_time_are_found(door, scene):
    scene.submit()
    scene.clock.advance(100.0)
    scene.submit()
    assert [row["job_id"] for row in door.ada.get("/v1/audit", {"since_s": 50, "action": "submit"})["audit"]] == [2]


@pytest.mark.parametrize("reason", ["token=hunter2", "see https://ada:hunter2@host/"])
def test_what_people_write_is_masked_in_the_audit(door, reason):
    door.root.post("/v1/gpus/0/drain", {"reason": reason})
    assert "hunter2" not in str(door.root.get("/v1/audit"))

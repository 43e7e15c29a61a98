"""What people see of each other's jobs, on every route, under each setting of [access] visibility."""

import json
import re
from dataclasses import replace

import pytest
from scene import BOB

from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.api.visible import PRIVATE
from dcdaemon.cli.show.gpus import is_foreign, used_by
from dcdaemon.cli.show.job import why_text
from dcdaemon.control.hidden_jobs import words_without
from dcdaemon.core.access import Visibility
from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.core.errors import Forbidden, NotFound
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.fakes.engine import Play

SECRET_WORDS = ("private-program", "/private/place", "/private/log", "private-value", "exit code 7")
ARGV = ("private-program", "--epochs", "3")


def see(scene, visibility: Visibility) -> None:
    scene.desk.rules = replace(scene.desk.rules, visibility=visibility)


def bobs_job(scene, play: Play | None = None):
    """A job of another user that runs, with everything about it that could be told."""
    job = scene.run(play or Play(), actor=BOB, argv=ARGV, cwd="/private/place", name="vit", gpus=1)
    scene.engine.write(job, b"private-value\n")
    scene.engine.report(job, 1, {"note": "private-value"})
    scene.desk.refresh_reports()
    return job


def everything(client) -> str:
    """Ask every route that reads, and return all that was told."""
    told = []
    for path, query in (
        ("/v1/jobs", {"all": 1}), ("/v1/jobs", None), ("/v1/jobs", {"sel": "1"}), ("/v1/jobs/1", None),
        ("/v1/jobs/1/why", None), ("/v1/wait", {"sel": "1", "timeout_s": 0}), ("/v1/gpus", None),
        ("/v1/history", None), ("/v1/energy", {"by": "job"}), ("/v1/energy", {"by": "user"}), ("/v1/shares", None),
        ("/v1/queues", None), ("/v1/bookings", None), ("/v1/anomalies", None), ("/v1/events", None),
        ("/v1/status", None), ("/v1/audit", None), ("/v1/tokens", None), ("/v1/jobs/1/reports", None),
    ):  # fmt: skip
        try:
            told.append(client.get(path, query))
        except (NotFound, Forbidden) as error:
            told.append(error.as_json())
        except Exception as error:  # noqa: BLE001  a refusal of any kind tells, too
            told.append({"error": str(error)})
    return json.dumps(told)


def test_masked_shows_who_holds_which_gpu_and_not_what_runs_there(door, scene):
    job = bobs_job(scene)
    document = door.ada.get(f"/v1/jobs/{job.id}")
    assert document["private"] is True
    assert {key: document[key] for key in PRIVATE} == dict(PRIVATE)
    shown = ("user", "name", "state", "gpus", "started_at", "run_s", "limit_s", "queue", "priority")
    mine = door.bob.get(f"/v1/jobs/{job.id}")
    assert {key: document[key] for key in shown} == {key: mine[key] for key in shown}
    assert mine["private"] is False
    assert mine["argv"] == list(ARGV)


@pytest.mark.parametrize("play", [Play(), Play(1.0, 7)])
def test_masked_tells_nothing_private_on_any_route(door, scene, play):
    job = bobs_job(scene, play)
    scene.advance(5.0)
    anomaly = Finding(
        "job_crashed", "job 1, attempt 1", Severity.WARNING, "exit code 7", {"cause": "exit code 7"}, job.id
    )
    scene.store.raise_anomalies([anomaly], scene.clock.now())
    told = everything(door.ada)
    assert [word for word in SECRET_WORDS if word in told] == []
    assert '"bob"' in told
    assert "exit code 7" in everything(door.root)
    assert "private-program" in everything(door.bob)


def test_a_masked_job_has_the_keys_of_any_other(door, scene):
    bobs_job(scene)
    for path in ("/v1/jobs", "/v1/history"):
        masked, whole = ([job.keys() for job in client.get(path)["jobs"]] for client in (door.ada, door.bob))
        assert masked == whole
    assert door.ada.get("/v1/jobs/1").keys() == door.bob.get("/v1/jobs/1").keys()


def test_own_hides_that_there_are_others_at_all(door, scene):
    job = bobs_job(scene)
    see(scene, Visibility.OWN)
    scene.store.save_events([Event(1.0, EventKind.XID, "gpu 0", "XID 79 hit job 1", {"xid": 79}, gpu=0, job_id=job.id)])
    told = everything(door.ada)
    assert [word for word in (*SECRET_WORDS, "vit", '"bob"', '"job_id": 1') if word in told] == []
    assert door.ada.get("/v1/jobs", {"all": 1})["jobs"] == []
    [gpu] = [gpu for gpu in door.ada.get("/v1/gpus")["gpus"] if gpu["state"] == "busy"]
    assert (gpu["job"], gpu["jobs"]) == (None, [])
    assert door.bob.get("/v1/jobs")["jobs"][0]["argv"] == list(ARGV)
    assert door.root.get("/v1/jobs")["jobs"][0]["argv"] == list(ARGV)


def test_a_process_of_a_hidden_job_is_marked_and_not_taken_for_a_foreign_one(door, scene):
    job = bobs_job(scene)
    see(scene, Visibility.OWN)
    scene.sample({job.gpus[0]: [GpuProcess(77, 1 << 30, "bob", "private-program", 60.0, job_id=job.id)]})
    gpu = door.ada.get("/v1/gpus")["gpus"][job.gpus[0]]
    [process] = gpu["processes"]
    assert (process["hidden"], process["job_id"], process["user"], process["command"]) == (True, None, None, None)
    assert not is_foreign(process)
    assert used_by(gpu) == "a job"
    [whole] = door.bob.get("/v1/gpus")["gpus"][job.gpus[0]]["processes"]
    assert (whole["hidden"], whole["job_id"]) == (False, job.id)


@pytest.mark.parametrize(
    "path", ["/v1/jobs/1", "/v1/jobs/1/why", "/v1/jobs/1/reports", "/v1/jobs/1/log", "/v1/wait?sel=1"]
)
def test_a_hidden_job_and_one_that_is_not_there_read_the_same(door, scene, raw, path):
    bobs_job(scene)
    see(scene, Visibility.OWN)
    hidden = raw(door.ada, "GET", path)
    missing = raw(door.ada, "GET", path.replace("jobs/1", "jobs/9").replace("sel=1", "sel=9"))
    assert hidden[0] == missing[0] == 404
    assert hidden[2]["error"]["message"].replace("1", "9") == missing[2]["error"]["message"]


@pytest.mark.parametrize("verb", ["cancel", "hold", "release", "requeue"])
@pytest.mark.parametrize("visibility", Visibility)
def test_nobody_changes_another_users_job_whatever_is_shown(door, scene, raw, verb, visibility):
    job = bobs_job(scene)
    see(scene, visibility)
    status, _, document = raw(door.ada, "POST", f"/v1/jobs/{verb}", {"select": ["1"]})
    if visibility is Visibility.OWN:
        assert (status, document["error"]["code"]) == (404, "not_found")
    else:
        assert [refused["code"] for refused in document["refused"]] == ["forbidden"]
    assert scene.state(job) == "running"


@pytest.mark.parametrize("visibility", Visibility)
def test_nobody_reads_another_users_log_or_reports_whatever_is_shown(door, scene, raw, visibility):
    bobs_job(scene)
    see(scene, visibility)
    expected = 404 if visibility is Visibility.OWN else 403
    assert raw(door.ada, "GET", "/v1/jobs/1/log")[0] == expected
    assert raw(door.ada, "GET", "/v1/jobs/1/reports")[0] == expected


def test_all_shows_commands_and_ends_but_no_environment(door, scene):
    bobs_job(scene)
    see(scene, Visibility.ALL)
    document = door.ada.get("/v1/jobs/1")
    assert (document["argv"], document["cwd"], document["private"]) == (list(ARGV), "/private/place", False)
    assert "/home/ada" not in everything(door.ada)


def test_energy_of_others_is_one_line_where_people_see_their_own_jobs_alone(door, scene):
    bobs_job(scene)
    assert {row["key"] for row in energy(door.ada, scene)} >= {"bob"}
    see(scene, Visibility.OWN)
    assert {row["key"] for row in energy(door.ada, scene)} <= {"ada", "others", "idle"}
    assert "others" in {row["key"] for row in energy(door.ada, scene)}
    assert {row["key"] for row in energy(door.bob, scene)} >= {"bob"}


def energy(client, scene) -> list[dict]:
    if not scene.store.energy("user", None):
        from shapes import used  # noqa: PLC0415

        used(scene, 1)
    return client.get("/v1/energy")["rows"]


def test_a_process_of_another_users_job_is_told_without_its_command(door, scene):
    job = bobs_job(scene)
    [gpu] = job.gpus
    door.load()
    reading = scene.desk.board.gpus
    process = GpuProcess(99, 1 << 30, "bob", "private-program --epochs 3", 5.0, job_id=job.id)
    stranger = GpuProcess(77, 1 << 30, "eve", "python mine.py", 5.0)
    samples = tuple(replace(one, processes=(process, stranger) if one.gpu == gpu else ()) for one in reading.samples)
    scene.desk.board.gpus = replace(reading, samples=samples)

    def told(client) -> list[tuple[str | None, str | None]]:
        return [(one["user"], one["command"]) for one in client.get("/v1/gpus")["gpus"][gpu]["processes"]]

    assert told(door.ada) == [("bob", None), ("eve", "python mine.py")]
    assert told(door.bob)[0] == ("bob", "private-program --epochs 3")
    see(scene, Visibility.OWN)
    assert told(door.ada) == [(None, None), ("eve", "python mine.py")]


def test_only_the_owner_and_operators_acknowledge_what_is_about_a_job(door, scene, raw):
    job = bobs_job(scene)
    about = [
        Finding("idle_gpu", "gpu 0, job 1", Severity.WARNING, "idle", {}, job.id),
        Finding("x", "/", Severity.WARNING, "full", {}),
    ]
    scene.store.raise_anomalies(about, scene.clock.now())
    assert [raw(door.ada, "POST", f"/v1/anomalies/{number}/ack")[0] for number in (1, 2, 3)] == [403, 403, 404]
    assert [raw(door.bob, "POST", f"/v1/anomalies/{number}/ack")[0] for number in (1, 2)] == [200, 403]
    assert raw(door.root, "POST", "/v1/anomalies/2/ack")[0] == 200
    see(scene, Visibility.OWN)
    assert raw(door.ada, "POST", "/v1/anomalies/1/ack")[0] == 404


def test_metrics_name_nobody_where_people_see_their_own_jobs_alone(scene):
    bobs_job(scene)
    page = make_pages(scene.desk, list, dcgm=False, node=None)["/metrics"]
    assert 'user="bob"' in page().decode()
    see(scene, Visibility.OWN)
    assert "bob" not in page().decode()
    assert "vit" not in page().decode()
    assert "private" not in page().decode()


IDS = ("end_jobs", "skip_jobs", "finish_dependencies", "end_dependencies", "fail_dependencies")


def waiting_behind_bob(scene, door):
    """Ada waits for the end of a job of Bob's, behind another one of his; her own job runs, too."""
    mine = scene.run(gpus=1, limit_s=600.0)
    his = scene.run(actor=BOB, gpus=3, limit_s=900.0)
    first = scene.submit(actor=BOB, gpus=4, limit_s=60.0)
    scene.cycle()
    job = scene.submit(gpus=4, limit_s=3600.0)
    scene.cycle()
    return mine, his, first, job


def test_with_own_the_reason_of_a_job_names_no_job_of_others(door, scene):
    mine, his, first, job = waiting_behind_bob(scene, door)
    path = f"/v1/jobs/{job.id}/why"
    full = door.ada.get(path)
    assert f"job {first.id}" in full["sentence"]
    see(scene, Visibility.OWN)
    told = door.ada.get(path)
    [listed] = [one for one in door.ada.get("/v1/jobs")["jobs"] if one["id"] == job.id]
    words = json.dumps([told, listed["reason"]])
    for hidden in (his, first):
        assert not re.search(rf"\b[Jj]obs?\b[^.]*\b{hidden.id}\b", told["sentence"] + (listed["reason"]["short"] or ""))
        for name in ("ending", "endless", "starting", "waits_for"):
            assert hidden.id not in told["facts"].get(name, [])
        assert all(hidden.id not in one["jobs"] for one in told["facts"].get("ahead_by", []))
        assert all(hidden.id not in ids for name, ids in told["unblock"].items() if name.endswith("jobs"))
    assert "head_job" not in told["facts"], words
    assert "nother job" in told["sentence"]
    assert told["unblock"]["others"] == sum(len(full["unblock"][key]) - len(told["unblock"][key]) for key in IDS) > 0
    assert f"{told['unblock']['others']} job" in why_text(told)
    assert "of others" in why_text(told), "or what is said to start it would not"
    assert (told["code"], told["expected_start_at"]) == (full["code"], full["expected_start_at"])
    assert door.root.get(path) == full, "operators see all"
    assert mine.id in door.ada.get(path)["facts"].get("ending", [mine.id])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Job 3 ends in 5m.", "Another job ends in 5m."), ("waits behind job 1", "waits behind job 1"),
        ("jobs 3 and 4 end", "other jobs end"), ("jobs 1 and 4 end", "job 1 and others end"),
        ("jobs 1, 2, 3 and 9 more", "jobs 1, 2 and others"), ("jobs 1 and 2", "jobs 1 and 2"),
        ("jobs 1, 2 and 9 more", "jobs 1, 2 and 9 more"), ("Jobs 7, 8 and 10 start", "Other jobs start"),
        ("4 jobs go first: job 2 and 3 others", "4 jobs go first: job 2 and 3 others"),
        ("at most 3 GPUs", "at most 3 GPUs"),
    ],
)  # fmt: skip
def test_jobs_that_are_not_seen_lose_their_numbers_and_no_others(text, words):
    assert words_without(text, {1, 2}) == words

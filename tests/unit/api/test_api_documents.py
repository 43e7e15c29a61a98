"""Every document of the API: which keys it has, of which kind, and what is null."""

from dataclasses import replace

import pytest
from scene import ADA, ROOT
from shapes import ANOMALY, ENERGY, JOB, TIME, assert_shape, at, used

from dcdaemon.control.board import DutyReport
from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.fakes.engine import Play


def finding(job_id: int | None = None) -> Finding:
    return Finding("idle_gpu", "gpu 0", Severity.WARNING, "gpu 0 idles", {"window_s": 600.0, "pids": (1, 2)}, job_id, 0)


def test_a_waiting_job_is_all_there_with_nulls_for_what_is_not_known_yet(door, scene):
    blocker = scene.run(gpus=4)
    scene.clock.advance(12.5)
    job = scene.submit(gpus=2, limit_s=600.0, after=("1",), name="vit")
    scene.clock.advance(1.25)
    [_, document] = door.ada.get("/v1/jobs")["jobs"]
    assert_shape(document, JOB)
    assert document == {
        "schema": 1, "id": job.id, "name": "vit", "user": "ada", "uid": 1001, "node": "n1", "state": "waiting",
        "held": False, "priority": 50, "gpus_asked": 2, "gpus": [], "cpus": 1, "mem_bytes": 0, "limit_s": 600.0,
        "argv": ["train.py"], "cwd": "/work", "log_path": None, "after": [blocker.id], "attempt": 0,
        "submitted_at": "2023-11-14T22:13:32.500+00:00", "started_at": None, "ended_at": None, "wait_s": 1.25,
        "run_s": None, "exit_code": None, "signal": None, "cause": None, "energy_j": None, "gpu_s": None,
        "gpu_util_ratio": None, "gpu_power_w": None, "mem_peak_bytes": None, "reported": {}, "simulated": False,
        "anomalies": [], "reason": {"code": "dependency", "short": "after job 1", "limit": None}, "after_any": [],
        "after_not_ok": [],
        "queue": "main", "account": "", "begin_at": None, "deadline_at": None,
        "deadline_met": None, "gpu_instance": None, "gpu_mem_runs": None,
        "array_id": None, "array_index": None, "array_limit": None,
        "gpu_mem_bytes": None, "checkpoint_signal": None, "checkpoint_s": None, "launcher": None, "ranks": None,
        "hang_after_s": None, "preemptible": False, "lent": False, "predicted_s": 600.0, "predicted_by": "limit",
        "forecast_at": None,
        "forecast_low_at": None, "forecast_high_at": None, "preempted": 0, "lost_s": 0.0, "private": False,
    }  # fmt: skip


def test_a_running_job_tells_what_it_uses(door, scene):
    job = scene.run(gpus=2)
    door.load()
    used(scene, job.id)
    [anomaly] = scene.store.raise_anomalies([finding(job.id)], scene.clock.now())
    scene.engine.report(job, 3, {"accuracy": 0.98})
    scene.desk.refresh_reports()
    scene.clock.advance(60.0)
    [document] = door.ada.get("/v1/jobs")["jobs"]
    assert_shape(document, JOB)
    assert (document["state"], document["gpus"], document["run_s"], document["wait_s"]) == (
        "running",
        [0, 1],
        60.0,
        0.0,
    )
    assert (document["energy_j"], document["gpu_s"], document["mem_peak_bytes"]) == (123.4, 20.0, 5 << 30)
    assert document["gpu_util_ratio"] == pytest.approx(0.93)
    assert document["gpu_power_w"] == 600.0
    assert document["reported"] == {"accuracy": 0.98}
    assert document["anomalies"] == [{"id": anomaly.id, "rule": "idle_gpu"}]
    assert document["reason"] is None


def test_an_ended_job_keeps_its_times_its_gpus_and_its_cause(door, scene):
    job = scene.run(Play(30.0, 3), gpus=1)
    scene.advance(30.0)
    scene.clock.advance(1000.0)
    document = door.ada.get(f"/v1/jobs/{job.id}")
    assert (document["state"], document["exit_code"], document["cause"]) == ("failed", 3, "exit code 3")
    assert (document["run_s"], document["wait_s"], document["gpus"]) == (30.0, 0.0, [0])
    assert at(document["ended_at"]) - at(document["started_at"]) == 30.0
    assert document["gpu_power_w"] is None


def test_a_requeued_job_waits_anew_and_shows_nothing_of_its_last_attempt(door, scene):
    scene.run(gpus=4)
    job = scene.run(Play(1.0, 1), gpus=0)
    scene.advance(1.0)
    scene.clock.advance(100.0)
    door.ada.post("/v1/jobs/requeue", {"select": [str(job.id)]})
    scene.clock.advance(7.0)
    document = door.ada.get(f"/v1/jobs/{job.id}")
    assert (document["state"], document["attempt"], document["wait_s"]) == ("waiting", 1, 7.0)
    assert {document[key] for key in ("started_at", "ended_at", "run_s", "exit_code", "cause")} == {None}


def test_one_job_in_full(door, scene):
    job = scene.run(gpus=1)
    scene.store.raise_anomalies([finding(job.id)], scene.clock.now())
    scene.engine.report(job, 1, {"loss": 1.0})
    scene.desk.refresh_reports()
    scene.clock.advance(5.0)
    door.ada.post("/v1/jobs/cancel", {"select": ["1"]})
    document = door.ada.get("/v1/jobs/1")
    more = {"timeline": list, "reports": int, "pids": list, "anomalies": list}
    assert_shape(document, JOB | more)
    assert [step["what"] for step in document["timeline"]] == ["submit by ada", "started, attempt 1", "cancel by ada"]
    assert all(TIME.fullmatch(step["at"]) for step in document["timeline"])
    assert (document["reports"], document["pids"]) == (1, [])
    [anomaly] = document["anomalies"]
    assert_shape(anomaly, ANOMALY)
    assert anomaly["evidence"] == {"window_s": 600.0, "pids": [1, 2]}


def test_a_running_job_s_processes_are_listed(door, scene):
    job = scene.run(gpus=1)
    assert door.ada.get("/v1/jobs/1")["pids"] == list(scene.engine.pids(job)) != []


def test_secrets_on_a_command_line_are_masked_wherever_a_job_is_shown(door, job_body):
    argv = ["train.py", "--api-key", "hunter2", "--token=hunter2", "--lr", "1", "WANDB_API_KEY=hunter2"]
    shown = ["train.py", "--api-key", "***", "--token=***", "--lr", "1", "WANDB_API_KEY=***"]
    assert door.ada.post("/v1/jobs", job_body(argv=argv))["jobs"][0]["argv"] == shown
    assert door.ada.get("/v1/jobs/1")["argv"] == door.root.get("/v1/jobs/1")["argv"] == shown
    assert door.ada.get("/v1/jobs")["jobs"][0]["argv"] == shown


def test_a_submit_answers_with_the_jobs_in_order_and_keeps_the_environment_to_itself(door, scene, job_body):
    body = job_body() | {"jobs": [job_body(name=name)["jobs"][0] for name in "abc"], "env": {"SECRET_X": "1"}}
    answer = door.ada.post("/v1/jobs", body)
    assert answer.keys() == {"schema", "jobs", "starts"}
    assert [(job["id"], job["name"], job["user"]) for job in answer["jobs"]] == [
        (1, "a", "ada"),
        (2, "b", "ada"),
        (3, "c", "ada"),
    ]
    for job in answer["jobs"]:
        assert_shape(job, JOB)
    assert answer["starts"] == []
    assert "SECRET_X" not in str(answer)
    assert scene.envs.load(scene.job(1).spec.env_ref) == {"SECRET_X": "1"}


def test_a_submit_can_tell_when_each_job_starts(door, scene, job_body):
    door.ada.post("/v1/jobs", job_body(gpus=4))
    scene.cycle()
    body = job_body(gpus=0) | {"explain": True}
    body["jobs"] += job_body(gpus=1)["jobs"] + job_body(held=True)["jobs"]
    starts = door.ada.post("/v1/jobs", body)["starts"]
    assert starts[0] == "now"
    assert starts[1] == door.ada.get("/v1/jobs/3")["reason"]["short"]
    assert len(starts) == 3


def test_a_dry_run_checks_and_keeps_nothing(door, scene, job_body):
    assert door.ada.post("/v1/jobs", job_body() | {"dry_run": True}) == {
        "schema": 1, "jobs": [], "accepted": 1, "starts": [],
    }  # fmt: skip
    assert scene.jobs() == []
    assert scene.envs.kept == {}


def test_the_list_shows_running_jobs_then_waiting_ones_in_the_order_they_start(door, scene):
    low, mid, held = scene.submit(gpus=4, priority=10), scene.submit(gpus=4), scene.submit(gpus=4, held=True)
    running = scene.run(gpus=4)
    assert running.id != mid.id or running.state == "running"
    documents = door.ada.get("/v1/jobs")
    ids = [job["id"] for job in documents["jobs"]]
    assert ids == [mid.id, running.id, low.id, held.id]
    assert documents.keys() == {"schema", "jobs", "summary"}
    assert documents["summary"] == {
        "running": 1, "waiting": 3, "held": 1, "gpus": 4, "gpus_busy": 4, "gpus_drained": 0, "gpus_foreign": 0,
        "gpus_unhealthy": 0, "shown": 4, "total": 4,
    }  # fmt: skip


def test_the_list_can_be_filtered_and_cut(door, scene):
    for actor, name in ((ADA, "a"), (ROOT, "a"), (ADA, "b")):
        scene.submit(Play(1.0), actor, name=name)
    scene.cycle()
    scene.advance(1.0)
    scene.submit(gpus=4, name="a")

    def ids(**query):
        return [job["id"] for job in door.ada.get("/v1/jobs", query)["jobs"]]

    assert ids() == [4]
    assert ids(all=1) == [4, 3, 2, 1]
    assert ids(all=1, limit=2) == [4, 3]
    assert ids(all=1, user="ada") == [4, 3, 1]
    assert ids(all=1, name="a", user="root") == [2]
    assert ids(state=["succeeded", "PD"]) == [4, 3, 2, 1]
    assert ids(state="CD", name="b") == [3]
    assert ids(sel=["1-2", "4"]) == [4, 2, 1]
    assert ids(name="b") == []
    assert ids(user="ada") == [4]
    assert ids(since_s=0.5) == [4]


def test_all_my_jobs_are_none_when_i_have_none(door, scene):
    scene.submit(actor=ADA)
    assert door.bob.get("/v1/jobs", {"sel": "all"})["jobs"] == []
    assert door.ada.get("/v1/jobs", {"sel": "all"})["jobs"] != []


def test_why_a_job_waits(door, scene):
    scene.run(gpus=3, limit_s=600.0, grace_s=0.0)
    scene.submit(gpus=2)
    answer = door.ada.get("/v1/jobs/2/why")
    assert answer.keys() == {
        "schema", "job_id", "state", "code", "sentence", "facts", "unblock", "expected_start_at", "expected_low_at",
        "expected_high_at",
    }  # fmt: skip
    assert (answer["job_id"], answer["state"], answer["code"]) == (2, "waiting", "gpus_busy")
    assert answer["sentence"].startswith("Job 2 needs 2 GPUs, 1 is free.")
    assert (answer["facts"]["gpus_needed"], answer["facts"]["gpus_free"]) == (2, 1)
    assert answer["unblock"] == {
        "end_jobs": [1], "skip_jobs": [], "finish_dependencies": [], "release": False, "restore_gpus": [],
        "end_dependencies": [], "fail_dependencies": [], "begin_at": None, "first": False, "lift_limits": [],
        "unbook": [], "others": 0,
    }  # fmt: skip
    assert at(answer["expected_start_at"]) == scene.clock.now() + 600.0


def test_what_a_job_reported(door, scene):
    job = scene.run()
    scene.engine.report(job, 1, {"loss": 2.5, "note": "warm", "lr": None})
    scene.desk.refresh_reports()
    assert door.ada.get("/v1/jobs/1/reports") == door.root.get("/v1/jobs/1/reports") == {
        "schema": 1,
        "reports": [
            {
                "at": "2023-11-14T22:13:20.000+00:00", "attempt": 1, "step": 1,
                "values": {"loss": 2.5, "note": "warm", "lr": None},
            },
        ],
    }  # fmt: skip


def test_a_verb_answers_for_each_job_it_was_given(door, scene):
    scene.run(gpus=1)
    scene.submit(gpus=4)
    scene.submit(gpus=4, actor=ROOT)
    answer = door.ada.post("/v1/jobs/hold", {"select": ["1-3"]})
    assert answer.keys() == {"schema", "jobs", "refused"}
    assert [(job["id"], job["held"]) for job in answer["jobs"]] == [(2, True)]
    assert_shape(answer["jobs"][0], JOB)
    assert answer["refused"] == [
        {
            "id": 1, "code": "refused", "message": "job 1 is running; only a waiting job can be held or released",
            "hint": "dcd cancel 1 stops it",
        },
        {
            "id": 3, "code": "forbidden", "message": "job 3 belongs to root; ada may not hold it",
            "hint": "ask its owner or an operator of this node",
        },
    ]  # fmt: skip


def test_verbs_find_jobs_by_name_and_pass_signal_and_grace_on(door, scene):
    job = scene.run(Play(None, deaf=True), name="sweep")
    door.ada.post("/v1/jobs/cancel", {"name": "sweep", "signal": "INT", "grace_s": 2.5})
    scene.advance(2.5)
    assert scene.state(job) == "cancelled"
    assert [job["state"] for job in door.ada.post("/v1/jobs/requeue", {"select": ["last"]})["jobs"]] == ["waiting"]
    door.ada.post("/v1/jobs/hold", {"select": ["@"]})
    assert door.ada.post("/v1/jobs/release", {"select": ["@"]})["jobs"][0]["held"] is False


def test_the_daemon_about_itself(door, scene):
    scene.run(gpus=3)
    scene.submit(gpus=4)
    scene.submit(gpus=4, held=True)
    scene.desk.board.duties = (
        DutyReport("gpus", 1.0, 0.2, 0.01, 7, late=False, error=None),
        DutyReport("host", 5.0, None, None, 0, late=True, error=None),
        DutyReport("watch", 5.0, 1.0, 0.1, 7, late=False, error="disk full"),
    )
    scene.store.raise_anomalies([finding()], scene.clock.now())
    document = door.ada.get("/v1/status")
    assert document.pop("rss_bytes") > 1 << 20
    assert document.pop("predictions")["jobs"] == 0
    assert document.pop("forecasts")["jobs"] == 0
    plain = {"every_s": 5.0, "last_tick_age_s": 1.0, "last_duration_s": 0.1, "ticks": 7, "ok": True, "error": None}
    assert document.pop("duties") == [
        plain | {"name": "gpus", "every_s": 1.0, "last_tick_age_s": 0.2, "last_duration_s": 0.01},
        plain | {"name": "host", "last_tick_age_s": None, "last_duration_s": None, "ticks": 0, "ok": False},
        plain | {"name": "watch", "ok": False, "error": "disk full"},
    ]
    assert document == {
        "schema": 1, "version": "0.1.0", "node": "n1", "started_at": "2023-11-14T22:13:20.000+00:00", "pid": 1,
        "uid": 0, "simulated": True, "you": "ada", "operator": False, "role": "submitter",
        "visibility": "masked", "refused_callers": 0, "queue": {"waiting": 2, "held": 1, "running": 1},
        "roles": ["compute", "storage", "network"], "collectors": [], "troubles": [],
        "gpus": {"total": 4, "busy": 3, "drained": 0, "foreign": 0, "unhealthy": 0},
        "database": {
            "url": "memory", "dialect": "memory", "schema": None, "size_bytes": None, "jobs": 3, "samples_dropped": 0,
            "error": None,
        },
        "isolation": {"name": "shim", "manager": None, "reasons": []},
        "engine": "fake", "driver_version": None, "driver_error": None, "open_anomalies": 1, "config_warnings": [],
    }  # fmt: skip


def test_history_lists_what_ended_with_its_totals(door, scene):
    first = scene.run(Play(10.0), gpus=1)
    scene.advance(10.0)
    used(scene, first.id)
    scene.clock.advance(3600.0)
    scene.run(Play(10.0), gpus=1, actor=ROOT)
    scene.advance(10.0)
    scene.run(gpus=1)
    document = door.ada.get("/v1/history")
    assert document.keys() == {"schema", "jobs", "totals"}
    assert [job["id"] for job in document["jobs"]] == [2, 1]
    assert document["totals"] == {"jobs": 2, "gpu_s": 20.0, "energy_j": 123.4}
    assert [job["id"] for job in door.ada.get("/v1/history", {"since_s": 60})["jobs"]] == [2]
    assert [job["id"] for job in door.ada.get("/v1/history", {"user": "ada"})["jobs"]] == [1]
    assert [job["id"] for job in door.ada.get("/v1/history", {"limit": 1})["jobs"]] == [2]


@pytest.mark.parametrize(("by", "keys"), [("user", ["ada", "idle"]), ("job", ["1", "idle"]), ("gpu", ["0"])])
def test_energy_is_summed_and_its_parts_are_the_total(door, scene, by, keys):
    job = scene.run(gpus=1)
    used(scene, job.id)
    document = door.ada.get("/v1/energy", {"by": by})
    assert document.keys() == {"schema", "by", "rows", "total", "currency", "simulated"}
    assert (document["by"], document["currency"], document["simulated"]) == (by, "EUR", True)
    assert [row["key"] for row in document["rows"]] == keys
    for row in (*document["rows"], document["total"]):
        assert_shape(row, ENERGY)
    assert document["total"]["energy_j"] == 124.4 == pytest.approx(sum(row["energy_j"] for row in document["rows"]))
    assert document["total"]["energy_kwh"] == pytest.approx(124.4 / 3.6e6)
    assert (document["total"]["gpu_s"], document["total"]["cost"], document["total"]["carbon_g"]) == (25.0, None, None)


def test_anomalies_are_listed_newest_first_and_acknowledged(door, scene):
    scene.store.raise_anomalies([finding()], scene.clock.now())
    scene.clock.advance(100.0)
    scene.store.raise_anomalies([finding(), finding(7)], scene.clock.now(), momentary=True)
    document = door.ada.get("/v1/anomalies")
    assert document.keys() == {"schema", "anomalies"}
    assert [anomaly["id"] for anomaly in document["anomalies"]] == [3, 2, 1]
    for anomaly in document["anomalies"]:
        assert_shape(anomaly, ANOMALY)
    assert [anomaly["id"] for anomaly in door.ada.get("/v1/anomalies", {"open": 1})["anomalies"]] == [1]
    assert [anomaly["id"] for anomaly in door.ada.get("/v1/anomalies", {"since_s": 50})["anomalies"]] == [3, 2]
    acked = door.root.post("/v1/anomalies/1/ack")["anomalies"]
    assert {anomaly["id"]: anomaly["acked_by"] for anomaly in acked} == {3: None, 2: None, 1: "root"}


def test_an_empty_node_answers_every_question(door, scene):
    assert door.ada.get("/v1/jobs")["jobs"] == door.ada.get("/v1/history")["jobs"] == []
    assert door.ada.get("/v1/history")["totals"] == {"jobs": 0, "gpu_s": 0, "energy_j": 0}
    energy = door.ada.get("/v1/energy")
    assert (energy["rows"], energy["total"]["energy_j"]) == ([], 0)


def test_the_power_of_a_job_is_unknown_when_one_of_its_gpus_does_not_tell(door, scene):
    job = scene.run(gpus=2)
    door.load()
    assert door.ada.get(f"/v1/jobs/{job.id}")["gpu_power_w"] == 600.0
    reading = scene.desk.board.gpus
    scene.desk.board.gpus = replace(reading, samples=reading.samples[1:])
    assert door.ada.get(f"/v1/jobs/{job.id}")["gpu_power_w"] is None


def test_a_job_that_nothing_but_the_daemon_keeps_waiting_says_so(door, scene):
    job = scene.submit(gpus=1)
    scene.desk.board.keeps_jobs = "no job is started, for /state has no space: No space left on device"
    told = door.ada.get(f"/v1/jobs/{job.id}/why")
    assert told["sentence"] == f"Job {job.id} would start now, but: {scene.desk.board.keeps_jobs}."
    assert (told["code"], told["expected_start_at"]) == ("starts_now", None)
    [listed] = door.ada.get("/v1/jobs")["jobs"]
    assert listed["reason"]["short"] == "waits: see dcd status"
    scene.desk.board.keeps_jobs = None
    assert door.ada.get(f"/v1/jobs/{job.id}/why")["sentence"] == f"Job {job.id} starts now."

"""One shape for every error, the right status, and bodies that are read strictly."""

import pytest
from scene import ADA, Scene

from dcdaemon.core.errors import NotFound, StoreUnavailable, Unauthorized

OPENAPI = "see /openapi.json for what is accepted"


def assert_error(answer, status: int, code: str, message: str, hint: str | None) -> None:
    assert answer[0] == status
    assert answer[1]["content-type"] == "application/json"
    assert answer[2] == {"error": {"code": code, "message": message, "hint": hint}}


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/jobs", "/docs", "/redoc", "/v1/jobs/1/log/x"])
def test_a_path_that_is_none(door, raw, path):
    assert_error(raw(door.ada, "GET", path), 404, "not_found", f"GET {path}: Not Found", "see /openapi.json")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v1/jobs"), ("PUT", "/v1/gpus"), ("GET", "/v1/jobs/cancel/x")]
)
def test_a_method_that_is_none(door, raw, method, path):
    status, _, document = raw(door.ada, method, path)
    assert status in {404, 405}
    assert document["error"].keys() == {"code", "message", "hint"}
    assert document["error"]["message"].startswith(f"{method} {path}: ")


def test_a_known_path_with_another_method_is_405(door, raw):
    answer = raw(door.ada, "DELETE", "/v1/jobs")
    assert_error(answer, 405, "not_found", "DELETE /v1/jobs: Method Not Allowed", "see /openapi.json")


@pytest.mark.parametrize("path", ["/v1/jobs/9", "/v1/jobs/9/why", "/v1/jobs/9/reports", "/v1/jobs/9/log"])
def test_a_job_that_does_not_exist(door, raw, path):
    assert_error(raw(door.ada, "GET", path), 404, "not_found", "there is no job 9", "dcd ps -a lists all jobs")


@pytest.mark.parametrize("path", ["/v1/gpus/9/drain", "/v1/anomalies/9/ack"])
def test_a_gpu_or_an_anomaly_that_does_not_exist(door, raw, path):
    status, _, document = raw(door.root, "POST", path, {"reason": "x"})
    assert (status, document["error"]["code"]) == (404, "not_found")


QUERIES = [
    ("/v1/jobs/x", "path.job_id: Input should be a valid integer, unable to parse string as an integer"),
    ("/v1/jobs?limit=0", "query.limit: Input should be greater than or equal to 1"),
    ("/v1/jobs?limit=x", "query.limit: Input should be a valid integer, unable to parse string as an integer"),
    ("/v1/history?since_s=-1", "query.since_s: Input should be greater than or equal to 0"),
    ("/v1/energy?by=dog", "query.by: Input should be 'user', 'job', 'gpu' or 'day'"),
    ("/v1/wait?timeout_s=-1", "query.timeout_s: Input should be greater than or equal to 0"),
]


@pytest.mark.parametrize(("path", "message"), QUERIES)
def test_a_bad_query(door, raw, path, message):
    assert_error(raw(door.ada, "GET", path), 422, "bad_input", message, OPENAPI)


def test_a_state_that_is_none(door, raw):
    status, _, document = raw(door.ada, "GET", "/v1/jobs?state=asleep")
    assert (status, document["error"]["message"]) == (422, "'asleep' is no job state")
    assert document["error"]["hint"].startswith("one of waiting, starting, running,")


BODIES = [
    ({"jobs": []}, "body.jobs: List should have at least 1 item after validation, not 0"),
    ({}, "body.jobs: Field required"),
    ({"jobs": [{"cwd": "/"}]}, "body.jobs.0.argv: Field required"),
    ({"jobs": [{"argv": ["x"]}]}, "body.jobs.0.cwd: Field required"),
    ({"jobs": [{"argv": [], "cwd": ""}]}, "body.jobs.0.argv: List should have at least 1 item after validation, not 0"),
    ({"jobs": [{"argv": ["x"], "cwd": "/"}], "verbose": True}, "body.verbose: Extra inputs are not permitted"),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "uid": 0}]}, "body.jobs.0.uid: Extra inputs are not permitted"),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "user": "root"}]}, "body.jobs.0.user: Extra inputs are not permitted"),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "gpus": "2"}]}, "body.jobs.0.gpus: Input should be a valid integer"),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "gpus": 2.0}]}, "body.jobs.0.gpus: Input should be a valid integer"),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "gpus": True}]}, "body.jobs.0.gpus: Input should be a valid integer"),
    (
        {"jobs": [{"argv": ["x"], "cwd": "/", "gpus": -1}]},
        "body.jobs.0.gpus: Input should be greater than or equal to 0",
    ),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "limit_s": "2h"}]}, "body.jobs.0.limit_s: Input should be a valid number"),
    ({"jobs": [{"argv": ["x"], "cwd": "/", "held": 1}]}, "body.jobs.0.held: Input should be a valid boolean"),
    ({"jobs": [{"argv": "x", "cwd": "/"}]}, "body.jobs.0.argv: Input should be a valid list"),
    ({"jobs": [{"argv": [1], "cwd": "/"}]}, "body.jobs.0.argv.0: Input should be a valid string"),
    ({"jobs": [{"argv": ["x"], "cwd": "/"}], "env": {"A": 1}}, "body.env.A: Input should be a valid string"),
    ([], "body: Input should be a valid dictionary or object to extract fields from"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), BODIES)
def test_a_bad_submit(door, scene, raw, body, message):
    assert_error(raw(door.ada, "POST", "/v1/jobs", body), 422, "bad_input", message, OPENAPI)
    assert scene.jobs() == []


@pytest.mark.parametrize("data", [b"", b"{", b"not json", b"\xff\xfe"])
def test_a_body_that_is_no_json(door, raw, data):
    status, _, document = raw(door.ada, "POST", "/v1/jobs", data=data)
    assert (status, document["error"]["code"]) in {(422, "bad_input"), (400, "bad_input")}


@pytest.mark.parametrize("half", ["\\ud800", "\\udc80"])
@pytest.mark.parametrize("field", ["argv", "cwd", "name", "log_path", "after"])
def test_half_characters_are_refused_where_they_would_be_shown(door, scene, raw, field, half):
    value = f'["{half}"]' if field in {"argv", "after"} else f'"/{half}"'
    body = f'{{"jobs": [{{"argv": ["x"], "cwd": "/", "{field}": {value}}}]}}'.encode()
    status, _, document = raw(door.ada, "POST", "/v1/jobs", data=body)
    assert (status, document["error"]["code"]) == (422, "bad_input")
    assert document["error"]["message"].endswith(": Value error, not UTF-8 text")
    assert scene.jobs() == []
    assert door.ada.get("/v1/jobs")["jobs"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"select": "1"}, "body.select: Input should be a valid list"),
        ({"select": [1]}, "body.select.0: Input should be a valid string"),
        ({"select": ["1"], "grace_s": -1}, "body.grace_s: Input should be greater than or equal to 0"),
        ({"sel": ["1"]}, "body.sel: Extra inputs are not permitted"),
    ],
)
def test_a_bad_change(door, raw, body, message):
    assert_error(raw(door.ada, "POST", "/v1/jobs/cancel", body), 422, "bad_input", message, OPENAPI)


def test_what_a_use_case_refuses_keeps_its_own_words(door, raw, job_body):
    answer = raw(door.ada, "POST", "/v1/jobs", job_body(gpus=9))
    hint = "ask for less, or see `dcd gpus` for what this node has"
    assert_error(answer, 422, "never_fits", "this job asks for 9 GPUs, this node has 4", hint)


def test_a_job_that_does_not_wait_has_no_why(door, scene, raw):
    scene.run()
    answer = raw(door.ada, "GET", "/v1/jobs/1/why")
    assert_error(answer, 409, "refused", "job 1 does not wait; it is running", "dcd show 1")


def test_who_is_no_operator_drains_nothing(door, raw):
    answer = raw(door.ada, "POST", "/v1/gpus/0/drain", {"reason": "mine"})
    assert_error(answer, 403, "forbidden", "ada may not drain GPUs", "ask an operator of this node")


@pytest.mark.parametrize("path", ["/v1/status", "/v1/jobs", "/v1/gpus", "/v1/jobs/1/log", "/v1/wait"])
def test_over_tcp_nothing_is_told_without_a_token(door, scene, raw, path):
    scene.run()
    hint = "send it with --token-file FILE, or use the unix socket"
    assert_error(raw(door.nobody, "GET", path), 401, "unauthorized", "this address needs a token", hint)
    answer = raw(door.stranger, "GET", path)
    assert_error(
        answer, 401, "unauthorized", "this token is not known here", "check --token-file, or use the unix socket"
    )


def test_a_client_rebuilds_the_error(door):
    with pytest.raises(Unauthorized):
        door.nobody.get("/v1/status")
    with pytest.raises(NotFound) as caught:
        door.ada.get("/v1/jobs/7")
    assert caught.value.hint == "dcd ps -a lists all jobs"


def test_a_database_that_refuses_is_told_as_such_and_nothing_is_accepted(door, scene, job_body, monkeypatch):
    def full(*_):
        raise StoreUnavailable("the disk is full", "make room")

    monkeypatch.setattr(scene.store, "submit", full)
    with pytest.raises(StoreUnavailable) as caught:
        door.ada.post("/v1/jobs", job_body())
    assert (caught.value.message, caught.value.hint) == ("the disk is full", "make room")
    assert scene.desk.book.unfinished() == []


def test_while_the_database_is_away_the_gpus_are_told_but_for_their_energy(door, scene, monkeypatch):
    def away(*_):
        raise StoreUnavailable("the database is away", "wait")

    monkeypatch.setattr(scene.store, "energy", away)
    gpus = door.ada.get("/v1/gpus")["gpus"]
    assert gpus
    assert {gpu["energy_j"] for gpu in gpus} == {None}


def test_a_mistake_of_the_daemon_is_told_as_one_and_the_door_stays_open(door, scene, raw, monkeypatch, caplog):
    def broken():
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(scene.store, "facts", broken)
    answer = raw(door.ada, "GET", "/v1/status")
    message = "the daemon failed on GET /v1/status"
    assert_error(answer, 500, "internal", message, "its log tells more; please report it")
    assert any(record.__dict__.get("action") == "request_failed" for record in caplog.records)
    assert door.ada.get("/v1/jobs")["jobs"] == []


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-User", "Remote-User", "X-Dcd-Peer", "dcd_peer"]
)
def test_no_header_makes_somebody_somebody_else(door, scene, raw, header):
    for value in ("0", "root", "for=127.0.0.1", "127.0.0.1"):
        door.ada._headers[header] = value
        try:
            _, _, document = raw(door.ada, "GET", "/v1/status")
        finally:
            del door.ada._headers[header]
        assert (document["you"], document["operator"]) == ("ada", False)


def test_rights_hold_over_http(door, scene: Scene):
    scene.run(actor=ADA)
    answer = door.bob.post("/v1/jobs/cancel", {"select": ["1"]})
    assert [refused["code"] for refused in answer["refused"]] == ["forbidden"]
    assert scene.state(1) == "running"

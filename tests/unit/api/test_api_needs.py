"""Every route says who may use it, and every route is asked by everybody who may not."""

from typing import Any, cast

import pytest
from fastapi import APIRouter
from scene import ADA

from dcdaemon.api import app as application
from dcdaemon.api.changes import Changes
from dcdaemon.api.needs import NEEDS, SAFE_METHODS, Need
from dcdaemon.client.http import Client
from dcdaemon.core.ports import Actor
from dcdaemon.core.token import Token, TokenRole, hash_token

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
FILLED = {"job_id": "1", "index": "0", "booking_id": "1", "anomaly_id": "1"}


def nothing() -> dict[str, str]:
    return {}


def path_of(template: str) -> str:
    return template.format(**FILLED)


@pytest.fixture
def viewer(door) -> Client:
    return with_role(door, "viewer-token", ADA, TokenRole.VIEWER)


def with_role(door, secret: str, actor: Actor, role: TokenRole) -> Client:
    kept = hash_token(secret)
    door.scene.store.add_token(Token(kept, secret, actor.uid, actor.gid, actor.user, role, 0.0, "root"), actor)
    return Client(door.ada.address.url, secret, timeout_s=10)


def test_the_table_names_the_routes_of_the_application_and_no_others(door):
    routes = door.server._server.config.app.openapi()["paths"]
    assert {(method.upper(), path) for path, methods in routes.items() for method in methods} == NEEDS.keys()


def test_what_changes_something_is_never_open_to_who_only_reads():
    assert {method for (method, _), need in NEEDS.items() if need is Need.READ} == {"GET"}
    assert not {method for (method, _), need in NEEDS.items() if need is not Need.READ} & SAFE_METHODS


def test_an_application_with_a_route_that_nobody_judged_is_not_made(monkeypatch):
    router = APIRouter()
    router.add_api_route("/v1/new", nothing, methods=["POST"])
    monkeypatch.setattr(application.status, "router", router)
    with pytest.raises(RuntimeError, match="does not say who may use POST /v1/new"):
        application.make_app(cast("Any", None), Changes(), "0")


def test_a_route_that_changes_by_reading_is_not_made(monkeypatch):
    router = APIRouter()
    router.add_api_route("/v1/jobs/cancel", nothing, methods=["GET"])
    monkeypatch.setattr(application.status, "router", router)
    with pytest.raises(RuntimeError, match="GET /v1/jobs/cancel"):
        application.make_app(cast("Any", None), Changes(), "0")


def test_a_route_that_slipped_past_the_table_is_for_operators(door, raw):
    app = door.server._server.config.app
    app.add_api_route("/v1/slipped", lambda: {"in": True}, methods=["GET", "POST"])
    try:
        for method in ("GET", "POST"):
            assert raw(door.ada, method, "/v1/slipped")[0] == 403
            assert raw(door.root, method, "/v1/slipped")[0] == 200
    finally:
        app.router.routes.pop()
        app.openapi_schema = None


@pytest.mark.parametrize("method", METHODS)
def test_without_a_token_no_path_answers_anything_but_401(door, raw, method):
    paths = {path_of(path) for _, path in NEEDS} | {"/", "/openapi.json", "/docs", "/v1", "/v1/none", "/metrics", "//x"}
    statuses = {path: raw(door.nobody, method, path)[0] for path in paths}
    assert set(statuses.values()) == {401}, statuses


@pytest.mark.parametrize("method", sorted(set(METHODS) - SAFE_METHODS))
def test_a_viewer_changes_nothing_on_any_path(door, scene, viewer, raw, method):
    scene.submit()
    before = len(scene.store.audit())
    for path in {path_of(path) for _, path in NEEDS} | {"/v1/none"}:
        status, _, document = raw(viewer, method, path, {})
        assert (status, document["error"]["code"]) == (403, "forbidden"), path
    assert len(scene.store.audit()) == before


def test_a_viewer_reads_what_its_user_reads(scene, viewer):
    mine, other = scene.submit(), scene.submit(actor=scene_root())
    assert viewer.get(f"/v1/jobs/{mine.id}")["argv"] == ["train.py"]
    assert viewer.get(f"/v1/jobs/{other.id}")["argv"] == []
    assert viewer.get("/v1/status")["role"] == "viewer"


def scene_root() -> Actor:
    return Actor(uid=0, gid=0, user="root", operator=True)


@pytest.mark.parametrize("asked", [asked for asked, need in NEEDS.items() if need is Need.OPERATE])
def test_what_is_for_operators_is_refused_to_others(door, scene, raw, asked):
    method, path = asked
    before = len(scene.store.audit())
    body = {"reason": "x"} if path.endswith("/drain") else {"for_s": 1.0} if path.endswith("/release") else {}
    status, _, document = raw(door.ada, method, path_of(path), body)
    assert (status, document["error"]["code"]) == (403, "forbidden")
    assert document["error"]["message"].startswith("ada may not ")
    assert len(scene.store.audit()) == before


def test_a_token_with_the_operator_role_is_no_more_than_its_user_is(door, scene):
    client = with_role(door, "once-an-operator", ADA, TokenRole.OPERATOR)
    assert client.get("/v1/status")["operator"] is False
    assert client.get("/v1/status")["role"] == "submitter"

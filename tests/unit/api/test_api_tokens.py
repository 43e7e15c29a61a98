"""Tokens: made on the node, told once, bounded in time and rights, revoked at once, and never repeated."""

import json
import logging
import os
import pwd
import re

import pytest
from scene import ADA, BOB

from dcdaemon.client.http import Client
from dcdaemon.control.tokens import DEFAULT_LIFE_S, LONGEST_LIFE_S, TokenWish, create_token, list_tokens, revoke_token
from dcdaemon.core.errors import BadInput, Forbidden, NotFound, Refused, Unauthorized
from dcdaemon.core.ports import Actor
from dcdaemon.core.token import TokenRole, hash_token

#: The tokens that the fixtures made.
DOORS = {"ada-token", "bob-token", "root-token"}
ROOT = Actor(uid=0, gid=0, user="root", operator=True)


def made(scene, actor=ADA, **wish) -> str:
    return create_token(scene.desk, actor, TokenWish(**wish))[0]


def client(door, secret: str) -> Client:
    return Client(door.ada.address.url, secret, timeout_s=10)


def test_a_token_is_told_once_and_kept_as_a_hash(door, scene):
    document = door.local.post("/v1/tokens", {"name": "laptop"})
    secret = document["secret"]
    assert re.fullmatch(r"[\w-]{43}", secret)
    told = json.dumps([door.local.get("/v1/tokens"), door.local.get("/v1/audit"), door.local.get("/v1/status")])
    assert secret not in told
    assert hash_token(secret) not in told
    assert scene.store.token(hash_token(secret)).name == "laptop"
    assert client(door, secret).get("/v1/status")["you"] == pwd.getpwuid(os.geteuid()).pw_name


def test_a_token_ends_after_thirty_days_unless_told_otherwise(door, scene):
    _, token = create_token(scene.desk, ADA, TokenWish())
    assert token.expires_at == scene.clock.now() + DEFAULT_LIFE_S == scene.clock.now() + 30 * 86400
    assert token.role is TokenRole.SUBMITTER


def test_an_expired_token_opens_nothing(door, scene):
    ada = client(door, made(scene, life_s=60.0))
    assert ada.get("/v1/status")["you"] == "ada"
    scene.clock.advance(60.0)
    with pytest.raises(Unauthorized, match="expired"):
        ada.get("/v1/status")


def test_a_revoked_token_opens_nothing_from_the_next_request_on(door, scene):
    secret = made(scene, name="laptop")
    assert client(door, secret).get("/v1/status")["you"] == "ada"
    revoke_token(scene.desk, ADA, "laptop")
    with pytest.raises(Unauthorized, match="revoked"):
        client(door, secret).get("/v1/status")


def test_a_log_that_is_followed_ends_with_its_token(door, scene, aside, until):
    job = scene.run()
    secret = made(scene, name="laptop")
    read: list[bytes] = []

    def follow() -> bool:
        with client(door, secret).stream(f"/v1/jobs/{job.id}/log", {"follow": 1}) as stream:
            read.extend(stream)
        return True

    scene.engine.write(job, b"before\n")
    following = aside(follow)
    until(lambda: b"before\n" in b"".join(read))
    revoke_token(scene.desk, ADA, "laptop")
    scene.engine.write(job, b"after\n")
    assert following.result()
    assert b"after" not in b"".join(read)


def test_the_last_use_is_told_and_costs_one_write_a_minute(door, scene):
    ada = client(door, made(scene, name="laptop"))
    ada.get("/v1/status")
    first = door.ada.get("/v1/tokens")["tokens"]
    [laptop] = [token for token in first if token["name"] == "laptop"]
    assert laptop["last_used_from"].startswith("127.0.0.1:")
    used_at = laptop["last_used_at"]
    scene.clock.advance(59.0)
    ada.get("/v1/status")
    assert next(t for t in ada.get("/v1/tokens")["tokens"] if t["name"] == "laptop")["last_used_at"] == used_at
    scene.clock.advance(2.0)
    ada.get("/v1/status")
    assert next(t for t in ada.get("/v1/tokens")["tokens"] if t["name"] == "laptop")["last_used_at"] > used_at


def test_a_user_makes_tokens_for_himself_alone(scene):
    with pytest.raises(Forbidden, match="ada may not make a token for bob"):
        made(scene, user="bob")
    with pytest.raises(Forbidden, match="ada is no operator"):
        made(scene, role=TokenRole.OPERATOR)
    assert {token.name for token in scene.store.tokens()} == DOORS


def test_an_operator_makes_tokens_for_others_but_none_above_their_rights(scene):
    scene.desk.login_of = {"bob": (1002, 100)}.get
    _, token = create_token(scene.desk, ROOT, TokenWish(user="bob", role=TokenRole.VIEWER))
    assert (token.uid, token.gid, token.user, token.created_by) == (1002, 100, "bob", "root")
    with pytest.raises(Forbidden, match="bob is no operator"):
        create_token(scene.desk, ROOT, TokenWish(user="bob", role=TokenRole.OPERATOR))
    with pytest.raises(NotFound, match="no user 'eve'"):
        create_token(scene.desk, ROOT, TokenWish(user="eve"))


def test_a_token_makes_no_token_that_could_outlive_it(door):
    with pytest.raises(Forbidden, match="makes no other token"):
        door.root.post("/v1/tokens", {})


@pytest.mark.parametrize("life_s", [0.0, -1.0, LONGEST_LIFE_S + 1, float("inf"), float("nan")])
def test_a_token_lives_for_a_time_that_ends(scene, life_s):
    with pytest.raises(BadInput):
        made(scene, life_s=life_s)


def test_users_see_and_revoke_their_own_tokens_and_operators_all(scene):
    made(scene, name="ada's")
    made(scene, BOB, name="bob's")
    assert {token.name for token in list_tokens(scene.desk, ADA)} - DOORS == {"ada's"}
    assert {token.name for token in list_tokens(scene.desk, ROOT)} - DOORS == {"ada's", "bob's"}
    with pytest.raises(NotFound, match='no token "bob\'s"'):
        revoke_token(scene.desk, ADA, "bob's")
    assert revoke_token(scene.desk, ROOT, "bob's").user == "bob"


def test_a_user_has_a_bounded_number_of_tokens(scene):
    for number in range(99):
        made(scene, name=f"t{number}")
    with pytest.raises(Refused, match="100 valid tokens"):
        made(scene, name="one more")
    made(scene, BOB)


def test_a_name_that_is_taken_is_refused(scene):
    made(scene, name="laptop")
    with pytest.raises(Refused, match="already"):
        made(scene, name="laptop")


@pytest.mark.parametrize("name", ["", " x", "a b", "-x", "x\n", "é", "a" * 65, "../x"])
def test_a_name_is_a_word(door, raw, name):
    status, _, document = raw(door.local, "POST", "/v1/tokens", {"name": name})
    assert (status, document["error"]["code"]) == (422, "bad_input")


def test_refused_callers_are_counted_and_logged_without_what_they_sent(door, scene, caplog):
    secret = "hunter2-" * 5
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            with pytest.raises(Unauthorized):
                client(door, secret).get("/v1/status")
    assert door.ada.get("/v1/status")["refused_callers"] == 5
    [record] = [record for record in caplog.records if getattr(record, "action", "") == "token_refused"]
    assert vars(record)["from"] == "127.0.0.1"
    assert "hunter2" not in caplog.text + str(vars(record))


def test_a_refusal_does_not_repeat_the_token(door, raw):
    status, headers, document = raw(client(door, "hunter2" * 6), "GET", "/v1/status")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert "hunter2" not in json.dumps(document) + json.dumps(headers)

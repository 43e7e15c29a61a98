"""Tokens and the audit as people read them, and the command that makes a token keeping it to itself."""

import json
import stat

import pytest

from dcdaemon.cli.show.audit import change

TOKEN = {
    "id": "3f2a90c1be77", "name": "laptop", "user": "ada", "uid": 1001, "role": "viewer", "state": "valid",
    "created_at": "2026-11-01T10:00:00.000+00:00", "created_by": "ada", "expires_at": "2026-12-01T10:00:00.000+00:00",
    "revoked_at": None, "revoked_by": None, "last_used_at": None, "last_used_from": None,
}  # fmt: skip
ROW = {
    "id": 7, "at": "2026-11-01T10:00:00.000+00:00", "user": "ada", "uid": 1001, "via": "token", "from": "10.0.0.3:999",
    "token": "3f2a90c1be77", "action": "hold", "subject": "job 42", "job_id": 42, "before": {"held": False},
    "after": {"held": True}, "detail": {},
}  # fmt: skip
SECRET = "s" * 43


@pytest.fixture
def makes_tokens(daemon):
    daemon.routes["POST /v1/tokens"] = {"schema": 1, **TOKEN, "secret": SECRET}
    return daemon


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({"held": False}, {"held": True}, "held: no -> yes"),
        ({"gpus": []}, {"gpus": [0, 1]}, "gpus: none -> 0,1"),
        ({"drained": "fan"}, {"drained": None}, "drained: fan -> none"),
        (None, {"name": "vit", "gpus": 2}, "name: vit, gpus: 2"),
        (None, {"state": "waiting", "held": False, "name": "vit"}, "name: vit, state: waiting, held: no"),
        ({"limit_s": 600.0}, {"limit_s": None}, "limit_s: 10m -> none"),
        (
            {"limit_s": 600.0, "gpu_mem_bytes": 2**30},
            {"limit_s": 7200.0, "gpu_mem_bytes": 2**31},
            "limit_s: 10m -> 2h, gpu_mem_bytes: 1 GiB -> 2 GiB",
        ),
        (None, None, ""),
    ],
)
def test_a_change_is_told_from_what_to_what(before, after, text):
    assert change({"before": before, "after": after}) == text


def test_the_audit_is_a_table_and_asks_for_what_is_wanted(daemon, dcd):
    daemon.routes["GET /v1/audit"] = {"schema": 1, "audit": [ROW]}
    said = dcd("audit", "--since", "1d", "--job", "42", "-u", "ada", "--action", "hold", "-o", "wide")
    assert said.code == 0
    assert "held: no -> yes" in said.out
    assert "token 10.0.0.3:999, token 3f2a90c1be77" in said.out
    assert daemon.asked[0].query == {
        "since_s": ["86400.0"], "sel": ["42"], "limit": ["1000"], "user": ["ada"], "action": ["hold"],
    }  # fmt: skip


def test_a_new_token_alone_goes_to_stdout(makes_tokens, dcd):
    said = dcd("token", "create", "--name", "laptop", "--role", "viewer", "--expires", "7d", "-o", "table")
    assert said.code == 0
    assert said.out.strip() == SECRET
    assert SECRET not in said.err
    asked = {"name": "laptop", "user": None, "role": "viewer", "expires_s": 604800.0}
    assert makes_tokens.asked[0].body == asked


def test_a_new_token_in_a_file_goes_nowhere_else(makes_tokens, dcd, tmp_path):
    path = tmp_path / "token"
    said = dcd("token", "create", "--out", str(path))
    assert (said.code, path.read_text()) == (0, SECRET + "\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SECRET not in said.out + said.err
    assert SECRET not in dcd("token", "create", "--out", str(tmp_path / "other"), "--json").out


def test_tokens_are_listed_and_revoked(daemon, dcd):
    daemon.routes["GET /v1/tokens"] = {"schema": 1, "tokens": [TOKEN]}
    daemon.routes["POST /v1/tokens/revoke"] = {"schema": 1, **TOKEN, "state": "revoked"}
    assert "laptop" in dcd("token", "list").out
    assert json.loads(dcd("token", "list", "--json").out)["tokens"] == [TOKEN]
    assert "Revoked token laptop (3f2a90c1be77)" in dcd("token", "revoke", "laptop", "-o", "table").out
    assert daemon.asked[-1].body == {"token": "laptop"}

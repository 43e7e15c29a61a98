"""Two users on one node, for real: what one has, the other can neither see, read, change nor take away."""

import contextlib
import json
import os
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest
from system.daemon_process import Site, command_line
from system.test_identity import NOBODY, as_nobody, needs_root, tcp

from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unauthorized

pytestmark = needs_root
PLANTED = "planted-Secret-6f1c"


@pytest.fixture(scope="module")
def shared(nursery, template):
    """One daemon for the whole module, with a job of root that has things to hide."""
    with contextlib.closing(Site(nursery, template, DCD_DAEMON__TCP="127.0.0.1:0")) as site:
        (site.path / "backups").mkdir(mode=0o700)
        site.env["DCD_STORAGE__BACKUP_DIR"] = str(site.path / "backups")
        site.start()
        body = {
            "jobs": [{"argv": ["sh", "-c", f"echo log-{PLANTED}; sleep 60", f"--api-key={PLANTED}"], "cwd": "/",
                      "gpus": 1,                      "name": "private"}],
            "env": {"PATH": os.environ["PATH"], "MY_SETTING": PLANTED, "API_TOKEN": PLANTED},
        }  # fmt: skip
        [job] = site.client.post("/v1/jobs", body)["jobs"]
        site.await_state(job["id"], "running")
        site.job_id = job["id"]
        yield site


def test_another_users_job_is_shown_without_what_it_runs(shared):
    told = as_nobody(lambda: [shared.client.get(f"/v1/jobs/{shared.job_id}"), shared.client.get("/v1/jobs"),
                              shared.client.get("/v1/gpus"),
                              shared.client.get("/v1/wait", {"sel": shared.job_id, "timeout_s": 0})])  # fmt: skip
    assert PLANTED not in json.dumps(told)
    assert (told[0]["user"], told[0]["name"], told[0]["state"], told[0]["private"]) == (
        "root",
        "private",
        "running",
        True,
    )
    assert (told[0]["argv"], told[0]["cwd"], told[0]["pids"]) == ([], None, [])


def test_another_users_log_and_reports_are_refused(shared):
    def read_log() -> str:
        with shared.client.stream(f"/v1/jobs/{shared.job_id}/log") as stream:
            return b"".join(stream).decode()

    assert as_nobody(read_log) == "forbidden"
    assert as_nobody(lambda: shared.client.get(f"/v1/jobs/{shared.job_id}/reports")) == "forbidden"


def test_another_users_environment_is_told_to_nobody_not_even_in_the_journal(shared):
    def find() -> list[str]:
        found = []
        for path in shared.path.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and PLANTED in path.read_bytes().decode(errors="replace"):
                    found.append(str(path))
        return found

    assert as_nobody(find) == []
    assert PLANTED not in json.dumps(shared.client.get(f"/v1/jobs/{shared.job_id}")["argv"][3:])
    assert PLANTED not in shared.log.read_text()


@pytest.mark.parametrize("verb", ["cancel", "hold", "release", "requeue"])
def test_another_users_job_is_not_changed(shared, verb):
    answer = as_nobody(lambda: shared.client.post(f"/v1/jobs/{verb}", {"select": [str(shared.job_id)]}))
    assert ([one["code"] for one in answer["refused"]], answer["jobs"]) == (["forbidden"], [])


def test_another_users_token_is_neither_listed_nor_revoked(shared):
    shared.client.post("/v1/tokens", {"name": "roots"})
    assert as_nobody(lambda: shared.client.get("/v1/tokens")["tokens"]) == []
    assert as_nobody(lambda: shared.client.post("/v1/tokens/revoke", {"token": "roots"})) == "not_found"
    assert as_nobody(lambda: shared.client.post("/v1/tokens", {"user": "root"})) == "forbidden"
    assert as_nobody(lambda: shared.client.post("/v1/tokens", {"role": "operator"})) == "forbidden"
    states = {token["name"]: token["state"] for token in shared.client.get("/v1/tokens")["tokens"]}
    assert states["roots"] == "valid"


def test_the_daemons_own_token_can_be_read_by_its_user_alone(shared):
    path = shared.state_dir / "api-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PermissionError" in as_nobody(path.read_text)


def test_another_users_audit_rows_are_not_told(shared):
    mine = as_nobody(lambda: shared.client.get("/v1/audit", {"since_s": 1e9})["audit"])
    assert {row["user"] for row in mine} <= {"nobody"}
    assert as_nobody(lambda: shared.client.get("/v1/audit", {"user": "root"})["audit"]) == []
    assert "submit" in {row["action"] for row in shared.client.get("/v1/audit")["audit"]}


def test_the_socket_is_neither_replaced_nor_removed_by_another_user(shared):
    assert "PermissionError" in as_nobody(shared.socket.unlink)
    assert "PermissionError" in as_nobody(lambda: shared.socket.rename(shared.path / "x"))
    assert shared.client.get("/v1/status")["pid"] == shared.pid


def test_the_database_and_its_backups_are_closed_to_other_users(shared):
    database = shared.state_dir / "dcdaemon.db"
    backup = shared.path / "backups" / "dcdaemon-Mon.db"
    subprocess.run(["sqlite3", str(database), f".backup {backup}"], check=False)
    backup.touch()
    assert "PermissionError" in as_nobody(database.read_bytes)
    assert "PermissionError" in as_nobody(backup.read_bytes)


def test_the_audit_is_not_rewritten_even_by_who_can_write_the_database(shared):
    with contextlib.closing(sqlite3.connect(shared.state_dir / "dcdaemon.db")) as raw:
        for statement in (
            "UPDATE audit SET user_name = 'eve'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1",
            "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 1", "REPLACE INTO audit SELECT * FROM audit",
            "UPDATE OR REPLACE audit SET id = 1",
        ):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)
            raw.rollback()


def test_a_token_is_made_used_and_revoked_on_the_command_line(shared):
    path = shared.path / "token"
    made = command_line(
        shared, "token", "create", "--name", "ci", "--role", "viewer", "--expires", "1h", "--out", str(path)
    )
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text().strip()
    assert secret not in made.stdout + made.stderr
    remote = tcp(shared, secret)
    assert remote.get("/v1/status")["role"] == "viewer"
    assert "ci" in command_line(shared, "token", "list", "-o", "csv").stdout
    assert command_line(shared, "token", "revoke", "ci").returncode == 0
    with pytest.raises(Unauthorized, match="revoked"):
        remote.get("/v1/status")
    audit = command_line(shared, "audit", "--action", "token_revoke", "--json").stdout
    [row] = json.loads(audit)["audit"]
    assert (row["user"], row["before"], row["via"]) == ("root", {"revoked_at": None}, "socket")
    assert secret not in shared.log.read_text() + audit


def test_a_token_is_never_written_over_another_file(shared):
    taken = shared.path / "taken"
    taken.write_text("precious")
    before = len(shared.client.get("/v1/tokens")["tokens"])
    said = command_line(shared, "token", "create", "--out", str(taken))
    assert (said.returncode, taken.read_text()) == (2, "precious")
    assert len(shared.client.get("/v1/tokens")["tokens"]) == before


def test_a_token_that_was_not_made_leaves_no_file(shared):
    path = shared.path / "never"
    assert command_line(shared, "token", "create", "--user", "no-such-user", "--out", str(path)).returncode == 4
    assert not path.exists()


def test_a_users_own_token_stands_for_him_from_anywhere(shared):
    secret = as_nobody(lambda: shared.client.post("/v1/tokens", {"name": "mine"})["secret"])
    answer = tcp(shared, secret).get("/v1/status")
    assert (answer["you"], answer["operator"], answer["role"]) == ("nobody", False, "submitter")
    [row] = [
        row
        for row in shared.client.get("/v1/audit")["audit"]
        if row["action"] == "token_create" and row["uid"] == NOBODY
    ]
    assert row["from"].startswith("pid ")


def test_start_and_stop_are_in_the_audit(shared):
    shared.end(15)
    shared.start()
    actions = [row["action"] for row in shared.client.get("/v1/audit")["audit"]]
    assert actions.count("daemon_start") == 1 + actions.count("daemon_stop")
    assert isinstance(Client(f"unix://{shared.socket}").get("/v1/status")["pid"], int)
    assert Path(shared.socket).exists()

"""Nobody is who he says he is: identity comes from the kernel or from a token, and rights follow from it."""

import contextlib
import json
import os
import stat
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import psutil
import pytest
from system.daemon_process import Site, until

from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError
from dcdaemon.core.ports import DAEMON
from dcdaemon.core.token import Token, TokenRole, hash_token
from dcdaemon.store.sql_store import open_store

NOBODY = 65534
TOKEN = "3f" * 32
FORGED = (
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Forwarded-Uid",
    "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP",
    "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP", "Via", "X-Remote-User", "Remote-User", "X-User",
    "X-Auth-User", "X-Authenticated-User", "X-WEBAUTH-USER", "X-ProxyUser-Ip", "X-Original-User", "Dcd-Peer",
    "X-Dcd-Peer", "Dcd_Peer", "X-Dcd-Uid", "X-Dcd-User", "X-Peer-Uid", "From", "X-Username",
)  # fmt: skip
FORGED_VALUES = ("root", "0", "0:0", "127.0.0.1", "unix:", "for=127.0.0.1;proto=unix")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")


def as_nobody(call: Callable[[], Any]) -> Any:
    """Make the call in a child with the rights of `nobody`; return its answer, or the code of the error it raised."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            answer = call()
        except DcdError as error:
            answer = error.code
        except BaseException as error:  # noqa: BLE001  told to the test
            answer = repr(error)
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    return answer


@pytest.fixture(scope="module")
def shared(nursery, template):
    """One daemon for the whole module: nothing here hurts it."""
    with contextlib.closing(Site(nursery, template, DCD_DAEMON__TCP="127.0.0.1:0")) as site:
        store = open_store(f"sqlite:///{site.state_dir}/dcdaemon.db", os.uname().nodename)
        kept = Token(hash_token(TOKEN), "test", NOBODY, NOBODY, "nobody", TokenRole.SUBMITTER, 0.0, "root")
        assert store.add_token(kept, DAEMON)
        store.close()
        site.start()
        yield site


def tcp(site: Site, token: str | None) -> Client:
    """Return a client of the daemon's TCP door, whose port the kernel chose."""
    [port] = {
        connection.laddr.port
        for connection in psutil.Process(site.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    return Client(f"http://127.0.0.1:{port}", token)


def ask_with_headers(client: Client, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Ask the daemon who it takes us for, with these headers added."""
    connection: HTTPConnection = client._connect(10)
    try:
        connection.request("GET", "/v1/status", headers={**client._headers, **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@needs_root
@pytest.mark.parametrize("value", FORGED_VALUES)
def test_no_header_over_the_socket_changes_who_asks(shared, value):
    status, answer = as_nobody(lambda: ask_with_headers(shared.client, dict.fromkeys(FORGED, value)))
    assert (status, answer["you"], answer["operator"]) == (200, "nobody", False)


@pytest.mark.parametrize("value", FORGED_VALUES)
def test_no_header_over_tcp_stands_for_a_token(shared, value):
    status, answer = ask_with_headers(tcp(shared, None), dict.fromkeys(FORGED, value))
    assert (status, answer["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("value", FORGED_VALUES)
def test_no_header_beside_a_token_changes_whose_it_is(shared, value):
    status, answer = ask_with_headers(tcp(shared, TOKEN), dict.fromkeys(FORGED, value))
    assert (status, answer["you"], answer["operator"]) == (200, "nobody", False)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}0",
        f"Bearer {hash_token(TOKEN)}",
    ],
)
def test_tcp_without_the_right_token_is_refused(shared, authorization):
    for path in ("/v1/status", "/v1/jobs", "/v1/gpus", "/v1/jobs/1/log", "/v1/wait?sel=1"):
        connection = tcp(shared, None)._connect(10)
        connection.request("GET", path, headers={"Authorization": authorization})
        assert connection.getresponse().status == 401, path
        connection.close()


@needs_root
def test_another_user_may_not_touch_a_job_or_read_its_log(shared):
    job_id = shared.submit(sleep_s=60)
    shared.await_state(job_id, "running")
    for verb in ("cancel", "hold", "release", "requeue"):
        answer = as_nobody(lambda verb=verb: shared.client.post(f"/v1/jobs/{verb}", {"select": [str(job_id)]}))
        assert (answer["jobs"], [refused["code"] for refused in answer["refused"]]) == ([], ["forbidden"]), verb

    def read_log() -> str:
        with shared.client.stream(f"/v1/jobs/{job_id}/log") as stream:
            return b"".join(stream).decode()

    assert as_nobody(read_log) == "forbidden"
    assert "here" in until(read_log, "the job's output")
    assert as_nobody(lambda: shared.client.post("/v1/gpus/0/drain", {"reason": "mine"})) == "forbidden"
    shared.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "grace_s": 0})
    shared.await_state(job_id, "cancelled")


@needs_root
def test_a_user_runs_his_jobs_as_himself_and_may_do_with_them_what_he_likes(shared):
    body = {
        "jobs": [{"argv": ["sh", "-c", "id -u; id -g; id -G; umask"], "cwd": "/"}],
        "env": {"PATH": os.environ["PATH"]},
    }
    [job] = as_nobody(lambda: shared.client.post("/v1/jobs", body))["jobs"]
    assert (job["user"], job["uid"]) == ("nobody", NOBODY)
    shared.await_state(job["id"], "succeeded")
    log = shared.attempt(job["id"]).log_path
    assert log.read_text().split() == [str(NOBODY), str(NOBODY), str(NOBODY), "0022"]
    assert log.stat().st_uid == NOBODY
    again = as_nobody(lambda: shared.client.post("/v1/jobs/requeue", {"select": [str(job["id"])]}))
    assert [one["id"] for one in again["jobs"]] == [job["id"]]
    shared.await_state(job["id"], "succeeded")


@needs_root
def test_no_field_of_a_request_makes_anybody_else(shared):
    for field in ("uid", "gid", "user", "env_ref", "node"):
        body = {"jobs": [{"argv": ["true"], "cwd": "/", field: 0}], "env": {}}
        assert as_nobody(lambda body=body: shared.client.post("/v1/jobs", body)) == "bad_input", field


@needs_root
def test_a_high_priority_is_for_operators(shared):
    def submit(priority: int) -> Any:
        return shared.client.post(
            "/v1/jobs", {"jobs": [{"argv": ["true"], "cwd": "/", "priority": priority}], "env": {}}
        )

    assert as_nobody(lambda: submit(51)) == "refused"
    assert as_nobody(lambda: submit(50))["jobs"][0]["priority"] == 50
    assert submit(51)["jobs"][0]["priority"] == 51
    shared.await_all()


@needs_root
@pytest.mark.parametrize("links", [False, True])
def test_the_log_of_a_job_shows_nobody_a_file_he_may_not_read(shared, links):
    secret = shared.path / f"secret-{links}"
    secret.write_text("the daemon's own\n")
    secret.chmod(0o600)
    named = secret
    if links:
        named = shared.path / "link"
        named.symlink_to(secret)
    body = {"jobs": [{"argv": ["true"], "cwd": "/", "log_path": str(named)}], "env": {"PATH": os.environ["PATH"]}}
    [job] = as_nobody(lambda: shared.client.post("/v1/jobs", body))["jobs"]
    shared.await_state(job["id"], "failed")

    def read_log() -> str:
        with shared.client.stream(f"/v1/jobs/{job['id']}/log") as stream:
            return b"".join(stream).decode()

    assert "the daemon's own" not in as_nobody(read_log)
    assert "the daemon's own" not in str(as_nobody(lambda: shared.client.get("/v1/anomalies")))
    assert secret.read_text() == "the daemon's own\n"


@needs_root
def test_environments_records_and_the_database_are_closed_to_others(shared):
    shared.await_state(shared.submit(), "succeeded")
    private = [
        *shared.state_dir.glob("env/*"),
        *shared.state_dir.glob("jobs/*/*/spec.json"),
        *shared.state_dir.glob("*.db*"),
    ]
    assert len(private) >= 3

    def readable() -> list[str]:
        return [str(path) for path in private if os.access(path, os.R_OK)]

    assert as_nobody(readable) == []
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in private if path.parent.name != "state")

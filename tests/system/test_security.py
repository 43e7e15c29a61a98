"""One user must not take the daemon away from all others: floods that were found to stop it, each sent for real."""

import contextlib
import os
import socket
import time
from typing import Any

import pytest
from system.daemon_process import Site
from system.test_identity import as_nobody, needs_root

pytestmark = needs_root
REQUEST = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
FLOODS = {
    "url": (b"GET /", b"a" * 65536),
    "header": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 65536),
    "headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: a\r\n" * 8192),
    "body": (REQUEST, b"[" * 65536),
}
FLOOD_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def site(nursery, template):
    """One daemon for the whole module: nothing here shall hurt it."""
    with contextlib.closing(Site(nursery, template)) as made:
        made.start()
        yield made


def connect(site: Site) -> socket.socket:
    """Open a connection to the daemon's door."""
    door = socket.socket(socket.AF_UNIX)
    door.settimeout(10)
    door.connect(str(site.socket))
    return door


def sent_until_cut_off(site: Site, begin: bytes, more: bytes) -> int:
    """Send without end; return how many bytes the daemon took."""
    sent = 0
    with connect(site) as door:
        try:
            door.sendall(begin)
            while sent < FLOOD_BYTES:
                door.sendall(more)
                sent += len(more)
        except ConnectionError:
            return sent
    return sent


@pytest.mark.parametrize("flood", FLOODS)
def test_a_request_without_end_is_cut_off(site, flood):
    begin, more = FLOODS[flood]
    taken = as_nobody(lambda: sent_until_cut_off(site, begin, more))
    assert isinstance(taken, int)
    assert taken < FLOOD_BYTES / 2
    assert site.client.get("/v1/status")["rss_bytes"] < 400 * 1024 * 1024


def test_a_user_with_too_many_connections_keeps_nobody_else_out(site):
    def crowd() -> Any:
        doors = [connect(site) for _ in range(400)]
        cut_off = 0
        for door in doors[300:]:
            door.settimeout(5)
            cut_off += door.recv(4096).startswith(b"HTTP/1.1 409")
        return cut_off

    assert as_nobody(crowd) == 100
    assert site.client.get("/v1/status")["operator"] is True
    assert as_nobody(lambda: site.client.get("/v1/status")["operator"]) is False


def test_the_end_of_a_log_without_end_is_found_at_once(site):
    logs = site.path / "logs"
    logs.mkdir()
    logs.chmod(0o777)
    log = logs / "sparse"
    body = {
        "jobs": [{"argv": ["truncate", "-s", "4T", str(log)], "cwd": "/", "log_path": str(log)}],
        "env": {"PATH": os.environ["PATH"]},
    }
    [job] = as_nobody(lambda: site.client.post("/v1/jobs", body))["jobs"]
    site.await_state(job["id"], "succeeded")

    def ask_often_and_leave() -> None:
        for _ in range(60):
            with connect(site) as door:
                door.sendall(f"GET /v1/jobs/{job['id']}/log?lines=9 HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    as_nobody(ask_often_and_leave)
    begin = time.monotonic()
    site.client.get("/v1/status")
    assert time.monotonic() - begin < 10

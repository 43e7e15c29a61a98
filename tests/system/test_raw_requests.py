"""Requests that no client of ours sends, byte by byte, on both doors: each is refused and bounded, nobody waits."""

import contextlib
import re
import socket

import pytest
from system.daemon_process import Site
from system.fuzzing import tcp_port
from system.test_identity import FORGED

MIB = 1 << 20


@pytest.fixture(scope="module")
def site(nursery, template):
    """One daemon for the whole module: nothing here shall hurt it."""
    with contextlib.closing(Site(nursery, template, DCD_DAEMON__TCP="127.0.0.1:0")) as made:
        made.start()
        yield made
        assert made.alive()
        assert "Traceback" not in made.log.read_text(errors="replace")
        assert made.client.get("/v1/status")["rss_bytes"] < 400 * MIB


def door(site: Site, kind: str) -> socket.socket:
    """Connect to the unix socket or over TCP."""
    if kind == "tcp":
        return socket.create_connection(("127.0.0.1", tcp_port(site)), 30)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(30)
    made.connect(str(site.socket))
    return made


def send(site: Site, kind: str, data: bytes) -> bytes:
    """Send these bytes and return all that is answered until the daemon closes, or has said enough."""
    with door(site, kind) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in answer and (more := connection.recv(65536)):
                answer += more
        return answer


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: x", "Connection: close", *headers, "", ""]).encode("latin-1")


def token(site: Site) -> str:
    return (site.state_dir / "api-token").read_text().strip()


BAD_AUTHORIZATIONS = {
    "none": [],
    "basic": ["Authorization: Basic cm9vdDpyb290"],
    "digest": ['Authorization: Digest username="root"'],
    "no scheme": ["Authorization: {token}"],
    "other scheme": ["Authorization: Token {token}"],
    "two headers": ["Authorization: Bearer {token}", "Authorization: Bearer x"],
    "two the other way": ["Authorization: Bearer x", "Authorization: Bearer {token}"],
    "comma": ["Authorization: Bearer x, Bearer {token}"],
    "in a cookie": ["Cookie: token={token}"],
    "in another header": ["X-Api-Key: {token}", "Proxy-Authorization: Bearer {token}"],
    "not ascii": ["Authorization: Bearer \xff\xfe"],
    "folded": ["Authorization: Bearer", " {token}x"],
    "forged": [f"{name}: root" for name in FORGED],
}


@pytest.mark.parametrize("headers", BAD_AUTHORIZATIONS.values(), ids=BAD_AUTHORIZATIONS.keys())
@pytest.mark.parametrize("path", ["/v1/status", "/openapi.json", "/nowhere"])
def test_tcp_lets_nobody_in_without_one_good_bearer(site, headers, path):
    filled = [header.format(token=token(site)) for header in headers]
    answer = send(site, "tcp", head(f"GET {path} HTTP/1.1", *filled))
    assert answer.split()[1] in (b"401", b"400"), answer[:200]
    assert token(site).encode() not in answer


def test_a_token_in_the_address_opens_nothing_and_is_not_logged(site):
    answer = send(site, "tcp", head(f"GET /v1/status?token={token(site)}&access_token={token(site)} HTTP/1.1"))
    assert answer.split()[1] == b"401"
    assert token(site) not in site.log.read_text()


def test_a_token_of_a_mebibyte_is_refused_without_being_taken_in(site):
    answer = send(site, "tcp", head("GET /v1/status HTTP/1.1", "Authorization: Bearer " + "a" * MIB))
    assert answer == b"" or answer.split()[1] in (b"400", b"401", b"422"), answer[:200]


PATHS = [
    "/v1/jobs/../../etc/passwd", "/v1/jobs/..%2f..%2fetc%2fpasswd/log", "/v1/jobs/%2e%2e/log", "/v1/jobs/1%00/log",
    "/v1/jobs/1%2f..%2f2/log", "//etc/passwd", "/v1/gpus/../../x/drain", "/v1/jobs/-1", "/v1/jobs/1e3",
    "/v1/jobs/%D9%A1",
    "/v1/jobs/" + "9" * 5000, "/v1/jobs/0x1", "/v1/jobs/1;x", "/v1/jobs/1%0d%0aX-Evil:1", "/\x7f", "/v1/jobs?sel=%00",
    "/v1/jobs?user=%00&name=%ff%fe", "/v1/jobs?sel=" + "1," * 5000, "*", "http://evil/v1/status/x",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("path", PATHS)
def test_paths_lead_nowhere_but_to_a_refusal(site, kind, path):
    bearer = [f"Authorization: Bearer {token(site)}"] if kind == "tcp" else []
    answer = send(site, kind, head(f"GET {path} HTTP/1.1", *bearer))
    assert answer.split()[1] in (b"400", b"404", b"422", b"200"), answer[:200]
    assert b"root:" not in answer
    assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]
    if answer.split()[1] == b"200":
        assert path.startswith("/v1/jobs?")


CANCEL = b"POST /v1/jobs/cancel HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = {
    "both lengths": CANCEL + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v1/jobs/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "negative length": b"POST /v1/jobs/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
    "space before the colon": b"GET /v1/status HTTP/1.1\r\nHost : x\r\n\r\n",
    "zero in a header": b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "no version": b"GET /v1/status\r\n\r\n",
    "version 9": b"GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n",
    "a chunk of the wrong size": CANCEL + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "noise": bytes(range(256)) * 4,
    "line feeds": b"GET /v1/status HTTP/1.1\nHost: x\n\n\n",
    "an obsolete fold": b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_is_no_proper_http_is_refused(site, kind, data):
    answer = send(site, kind, data)
    status = answer.split()[1] if answer else b""
    assert status in (b"", b"400", b"401", b"404", b"422") or (kind == "unix" and status == b"200"), answer[:200]
    assert b"Traceback" not in answer


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_body_with_a_get_is_not_taken_for_another_request(site, kind):
    hidden = b"POST /v1/gpus/0/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + b'{"reason":"x"}'
    bearer = f"Authorization: Bearer {token(site)}\r\n".encode() if kind == "tcp" else b""
    asked = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + bearer
    answer = send(site, kind, asked + f"Content-Length: {len(hidden)}\r\n\r\n".encode() + hidden)
    assert answer.split()[1] == b"200"
    assert [gpu["state"] for gpu in site.client.get("/v1/gpus")["gpus"] if gpu["index"] == 0] == ["free"]


def test_over_tcp_each_request_of_a_connection_needs_its_own_token(site):
    good = f"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(site)}\r\n\r\n"
    with door(site, "tcp") as connection:
        connection.sendall(good.encode() + b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"401"]


def test_who_dribbles_makes_nobody_wait(site):
    with contextlib.ExitStack() as stack:
        for connection in [stack.enter_context(door(site, kind)) for kind in ("tcp", "unix") for _ in range(20)]:
            connection.sendall(b"GET /v1/status HTTP/1.1\r\nX-A: ")
        assert site.client.get("/v1/status")["pid"] == site.pid


def test_one_address_cannot_take_all_connections_and_silence_takes_them_from_nobody(site):
    ask = f"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(site)}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(door(site, "tcp")) for _ in range(300)]
        # One that asks is answered only when all that came before it were counted.
        for connection in (held[-1], held[44]):
            connection.sendall(ask)
            assert b" 200 OK" in connection.recv(4096)
        assert [connection.recv(4096) for connection in held[:44]] == [b""] * 44, "the oldest made room"
        assert site.client.get("/v1/status")["pid"] == site.pid

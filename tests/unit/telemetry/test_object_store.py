"""The object store: against a server that checks signatures, and against servers that misbehave."""

import http.server
import json
import random
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lack import missing
from patience import until

from dcdaemon.core.event import EventKind
from dcdaemon.telemetry.object_store import ObjectStoreProbe
from dcdaemon.telemetry.s3 import Bucket, ProbeError
from dcdaemon.telemetry.sigv4 import Key, query_string, signed_headers

ROOT = Path(__file__).parents[3]
SERVER_PYTHON = ROOT / ".venv/s3/bin/python"
#: The key of AWS' published examples (Signature Calculations for the Authorization Header).
EXAMPLE = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
EXAMPLE_HOST, EXAMPLE_AT = "examplebucket.s3.amazonaws.com", 1369353600.0


class Server:
    """tests/s3_server/serve.py, running."""

    def __init__(self) -> None:
        command = [SERVER_PYTHON, ROOT / "tests/s3_server/serve.py"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.facts = self._hear()

    def sign(self, **order: object) -> dict[str, str]:
        """Return the headers that botocore makes for a request."""
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)

    def _hear(self) -> dict[str, str]:
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not SERVER_PYTHON.exists():
        missing("no S3 server: make s3-server")
    running = Server()
    yield running
    running.close()


def secret_file(folder: Path, secret: str) -> Path:
    path = folder / "secret"
    path.touch(0o600)
    path.write_text(secret + "\n")
    return path


@pytest.fixture
def bucket(server: Server, tmp_path: Path) -> Bucket:
    facts = server.facts
    return Bucket(
        facts["endpoint"], "data", facts["region"], facts["access_key"], secret_file(tmp_path, facts["secret"])
    )


@pytest.fixture
def local(tmp_path: Path) -> Bucket:
    """A bucket of a server that each test makes for itself."""
    return Bucket("http://127.0.0.1:1", "data", "us-east-1", "AK", secret_file(tmp_path, "SK"))


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ([("max-keys", "2"), ("prefix", "J")], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ([("lifecycle", "")], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ],
)
def test_a_signature_is_that_of_the_published_example(query, signature):
    headers = signed_headers(EXAMPLE_HOST, "/", query_string(query), EXAMPLE, EXAMPLE_AT)
    assert headers["x-amz-date"] == "20130524T000000Z"
    assert headers["authorization"].endswith(f"Signature={signature}")


def test_the_query_is_signed_in_the_order_of_its_names():
    assert query_string([("a-b", "1"), ("a", "ä /+~")]) == "a=%C3%A4%20%2F%2B~&a-b=1"


def test_a_secret_never_shows():
    assert "wJalr" not in repr(EXAMPLE)


def test_signatures_are_those_of_botocore(server):
    rng = random.Random(4)  # noqa: S311
    for _ in range(40):
        token = "".join(rng.choices("abcXYZ019+/=~-_. ü", k=rng.randint(0, 40)))
        query = query_string(
            [("list-type", "2"), ("max-keys", str(rng.randint(1, 1000))), ("continuation-token", token)]
        )
        host, path, at = (
            f"s3.example.org:{rng.randint(1024, 60000)}",
            f"/bucket-{rng.randint(0, 9)}",
            rng.randint(10**9, 2 * 10**9),
        )
        key = Key("AK" + str(rng.random()), str(rng.random()), rng.choice(["us-east-1", "eu-north-1"]))
        theirs = server.sign(
            method="GET", url=f"http://{host}{path}?{query}", region=key.region, key=[key.access_key, key.secret], at=at
        )
        ours = signed_headers(host, path, query, key, at)
        assert ours["authorization"] == theirs["Authorization"]


def test_a_bucket_is_listed_page_by_page(bucket):
    pages, token = [], None
    while not pages or token:
        pages.append(bucket.page(1000, token))
        token = pages[-1].next_token
    assert [page.objects for page in pages] == [1000, 1000, 501]
    assert sum(page.bytes for page in pages) == sum(range(1, 2502))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"access_key": "AKNOBODY"}, "HTTP 403 InvalidAccessKeyId: "),
        ({"name": "absent"}, "HTTP 404 NoSuchBucket: "),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_store(bucket, changes, error):
    with pytest.raises(ProbeError) as caught:
        replace(bucket, **changes).page(1)
    assert str(caught.value).startswith(error)


def test_a_wrong_secret_is_refused(bucket, tmp_path):
    secret_file(tmp_path, "wrong")
    with pytest.raises(ProbeError, match="SignatureDoesNotMatch"):
        bucket.page(1)


def test_a_secret_that_others_may_read_is_not_used(local):
    local.secret_file.chmod(0o644)
    with pytest.raises(ProbeError, match=r"may be read by others \(mode 0644\): chmod 600"):
        local.page(1)


def test_a_missing_or_empty_secret_is_told(local):
    local.secret_file.write_text("")
    with pytest.raises(ProbeError, match="is empty"):
        local.page(1)
    local.secret_file.unlink()
    with pytest.raises(ProbeError, match="cannot be read: No such file or directory"):
        local.page(1)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers every request with the status and body of its server."""

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answers(local: Bucket) -> Iterator[tuple[http.server.HTTPServer, Bucket]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.status, server.body = 200, b""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server, replace(local, endpoint=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"", "the answer is no XML"),
        (200, b"<html><p>Welcome</html>", "the answer is no XML"),
        (200, b"<html>Welcome</html>", "the answer is no listing of a bucket"),
        (200, b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + LISTING, "DOCTYPE"),
        (200, b"<a><Size>N/A</Size></a>", "invalid literal"),
        (200, b"<a>" + b" " * (9 * 2**20) + b"</a>", "longer than"),
        (200, LISTING.replace(b"false", b"true"), "the listing goes on, but names no next page"),
        (502, b"<html><hr><h1>Bad Gateway</html>", "HTTP 502 Bad Gateway"),
        (503, b"<Error><Code>SlowDown</Code><Message>Please wait</Message></Error>", "HTTP 503 SlowDown: Please wait"),
        (500, b"<a/>", "HTTP 500 Internal Server Error"),
        (301, b"<Error><Code>PermanentRedirect</Code></Error>", "HTTP 301 PermanentRedirect"),
    ],
)
def test_an_answer_that_is_no_listing_is_an_error(answers, status, body, error):
    server, bucket = answers
    server.status, server.body = status, body
    with pytest.raises(ProbeError, match=error):
        bucket.page(1)


def test_a_server_that_is_not_there_is_an_error(local):
    with pytest.raises(ProbeError, match="Connection refused"):
        local.page(1)


def test_a_server_that_talks_nonsense_is_an_error(local):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(ProbeError, match=r"SSH-2\.0"):
            replace(local, endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}").page(1)
        thread.join()


def test_a_certificate_that_is_not_trusted_is_told(local, tmp_path):
    files = [str(tmp_path / name) for name in ("key.pem", "cert.pem")]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run(
        [*command, "-subj", "/CN=localhost", "-keyout", files[0], "-out", files[1]], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    with pytest.raises(ProbeError, match="its certificate is not trusted: self-signed certificate"):
        replace(local, endpoint=f"https://localhost:{server.server_port}").page(1)
    thread.join()
    server.server_close()


class Probing:
    """A probe whose clock is turned by hand, and whose thread is not begun."""

    def __init__(self, bucket: Bucket, **settings: int) -> None:
        self.now_s, self.events = 0.0, []
        self.probe = ObjectStoreProbe(bucket, self.events.append, monotonic=lambda: self.now_s, **settings)
        self.probe._begun = True

    def sample(self, after_s: float = 60.0):
        self.now_s += after_s
        self.probe.probe()
        (sample,) = self.probe.read(0.0)
        return sample

    def count(self) -> int:
        pages = 1
        while self.probe.count_page():
            pages += 1
        return pages

    def told(self) -> list[EventKind]:
        return [event.kind for event in self.events]


def test_a_probe_tells_latency_and_once_counted_what_is_used(bucket):
    probing = Probing(bucket)
    first = probing.sample()
    assert (first.up, first.error, first.probes, first.errors, first.used_bytes) == (True, None, 1, 0, None)
    assert first.latency_s is not None
    assert first.store == f"{bucket.endpoint.removeprefix('http://')}/data"
    assert probing.count() == 3
    second = probing.sample()
    assert (second.objects, second.used_bytes) == (2501, sum(range(1, 2502)))
    assert probing.probe.read(0.0) == ()
    assert probing.count() == 1  # not due: the next count comes in an hour
    probing.now_s += 3600
    assert probing.count() == 3
    assert probing.events == []


def test_an_empty_bucket_holds_nothing_which_is_not_unknown(bucket):
    probing = Probing(replace(bucket, name="empty"))
    probing.sample()
    probing.count()
    assert (probing.sample().objects, probing.sample().used_bytes) == (0, 0)


def test_a_bucket_larger_than_the_bound_stays_uncounted_and_is_told(bucket):
    probing = Probing(bucket, most_pages=2)
    probing.sample()
    assert probing.count() == 2
    assert probing.sample().used_bytes is None
    assert probing.told() == [EventKind.OBJECT_STORE_ERROR]
    assert "holds more than 2,000 objects" in probing.events[0].message


def test_nothing_is_counted_where_nobody_wants_it(bucket):
    probing = Probing(bucket, most_pages=0)
    probing.sample()
    assert not probing.probe.count_page()
    assert probing.sample().used_bytes is None


def test_trouble_is_told_when_it_begins_and_when_it_ends(answers):
    server, bucket = answers
    probing = Probing(bucket)
    server.body = LISTING
    assert probing.sample().up
    server.status = 503
    for _ in range(3):
        sample = probing.sample()
    assert (sample.up, sample.latency_s, sample.errors, sample.probes) == (False, None, 3, 4)
    assert sample.error.startswith("HTTP 503")
    assert not probing.probe.count_page()
    server.status = 200
    assert probing.sample().error is None
    assert probing.told() == [EventKind.OBJECT_STORE_ERROR, EventKind.OBJECT_STORE_ANSWERS]


def test_an_old_count_is_not_told_for_ever(answers):
    server, bucket = answers
    server.body = LISTING
    probing = Probing(bucket)
    probing.sample()
    probing.count()
    assert probing.sample().objects == 0
    server.status = 500
    assert probing.sample(after_s=3 * 3600.0).objects is None


def test_a_fault_of_ours_is_an_error_of_the_probe_and_does_not_end_it(local, caplog):
    probing = Probing(replace(local, clock=lambda: None + 1))
    assert probing.sample().error.startswith("TypeError: ")
    assert "cannot be probed" in caplog.text


def test_a_store_that_hangs_keeps_nobody_waiting(local):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = ObjectStoreProbe(replace(local, endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}"), [].append)
        assert probe.read(0.0) == ()
        connection, _ = listener.accept()
        with connection:
            began_s = time.monotonic()
            assert probe.read(5.0) == ()
            probe.close()
            assert time.monotonic() - began_s < 1


def test_it_probes_on_its_own_until_it_is_closed(answers):
    server, bucket = answers
    server.body = LISTING
    probe, samples = ObjectStoreProbe(bucket, [].append, every_s=0.01), []
    until(lambda: samples.extend(probe.read(0.0)) or len(samples) >= 3)
    probe.close()
    until(lambda: not probe._thread.is_alive())
    assert [sample.probes for sample in samples] == sorted({sample.probes for sample in samples})
    assert samples[-1].objects == 0

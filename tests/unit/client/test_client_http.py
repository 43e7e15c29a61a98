"""The client against a real HTTP server: both transports, every error class, every way to be cut off."""

import socket
import threading
import time

import pytest
from stub_daemon import Answer, error

from dcdaemon.client.address import Address, parse_url
from dcdaemon.client.answer import rebuild
from dcdaemon.client.follow import follow_log, read_log, wait_for_jobs
from dcdaemon.client.http import Client, CutOff
from dcdaemon.core.errors import BadInput, DcdError, Forbidden, NeverFits, NotFound, Refused, Unauthorized, Unreachable


def test_addresses_are_read():
    assert parse_url("unix:///run/x.sock").socket_path == "/run/x.sock"
    assert parse_url("/run/x.sock").url == "unix:///run/x.sock"
    tcp = parse_url("http://node1:99/")
    assert (tcp.host, tcp.port, tcp.socket_path) == ("node1", 99, None)
    assert parse_url("http://node1").port == 7717
    assert parse_url("http://[::1]:99").host == "::1"


@pytest.mark.parametrize("url", ["", "node1:7717", "unix://run/x", "http://", "http://a:b", "ftp://a", "http://a/x"])
def test_other_addresses_are_refused_with_the_forms_that_work(url):
    with pytest.raises(BadInput) as caught:
        parse_url(url)
    assert "unix:///run/dcdaemon/dcd.sock" in caught.value.hint


def test_https_is_an_address_with_tls():
    assert parse_url("https://node1") == Address("https://node1", host="node1", port=7717, tls=True)
    assert parse_url("https://[::1]:99/") == Address("https://[::1]:99", host="::1", port=99, tls=True)


@pytest.mark.parametrize("url", ["http://ada:hunter2@node1", "https://hunter2@node1", "https://node1?token=hunter2"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(url):
    with pytest.raises(BadInput) as caught:
        parse_url(url)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert "--token-file" in caught.value.hint


@pytest.mark.parametrize("url", ["http://node1:7717", "http://10.0.0.3:7717", "http://[2001:db8::1]:7717"])
def test_a_token_does_not_leave_the_machine_in_the_clear(url, monkeypatch):
    with pytest.raises(Refused, match="in the clear") as caught:
        Client(url, "hunter2")
    assert "https://" in caught.value.hint
    Client(url)
    monkeypatch.setenv("DCD_TLS", "off")
    Client(url, "hunter2")


@pytest.mark.parametrize("url", ["http://localhost:7717", "http://127.0.0.1:7717", "http://[::1]:7717", "/run/x"])
def test_a_token_may_go_to_this_machine(url):
    Client(url, "hunter2")


def test_get_sends_repeated_and_leaves_out_unknown_values(daemon):
    daemon.routes["GET /v1/jobs"] = {"schema": 1, "jobs": []}
    assert Client(daemon.url).get("/v1/jobs", {"sel": ["3-7", "@~1"], "user": None, "all": 1}) == {
        "schema": 1,
        "jobs": [],
    }
    assert daemon.asked[0].query == {"sel": ["3-7", "@~1"], "all": ["1"]}


def test_post_sends_json(daemon):
    daemon.routes["POST /v1/jobs/hold"] = {"schema": 1}
    Client(daemon.url).post("/v1/jobs/hold", {"select": ["42"], "name": "ü"})
    assert daemon.asked[0].body == {"select": ["42"], "name": "ü"}
    assert daemon.asked[0].headers["content-type"] == "application/json"


def test_tcp_sends_the_token(start):
    daemon = start("secret")
    daemon.routes["GET /v1/status"] = {"schema": 1}
    assert Client(daemon.url, "secret").get("/v1/status") == {"schema": 1}
    with pytest.raises(Unauthorized) as caught:
        Client(daemon.url, "wrong").get("/v1/status")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", NotFound), (409, "refused", Refused), (403, "forbidden", Forbidden),
        (422, "never_fits", NeverFits), (422, "bad_input", BadInput), (503, "daemon_unreachable", CutOff),
        (404, "a_code_of_tomorrow", NotFound), (500, "a_code_of_tomorrow", DcdError),
    ],
)  # fmt: skip
def test_errors_are_rebuilt_from_their_code(daemon, status, code, kind):
    daemon.routes["GET /v1/gpus"] = error(status, code, "what failed", "what to do")
    with pytest.raises(kind) as caught:
        Client(daemon.url).get("/v1/gpus")
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint) == ("what failed", "what to do")


def test_an_answer_of_the_framework_keeps_its_reason():
    built = rebuild(422, {"detail": [{"loc": ["query", "limit"], "msg": "too small"}]})
    assert isinstance(built, BadInput)
    assert "too small" in built.message


def test_no_daemon_says_how_to_start_one(tmp_path):
    with pytest.raises(Unreachable) as caught:
        Client(f"unix://{tmp_path}/none.sock").get("/v1/status")
    assert not isinstance(caught.value, CutOff)
    assert "no such file or directory" in caught.value.message
    assert "dcd daemon run --demo" in caught.value.hint
    assert "sudo systemctl start dcdaemon" in caught.value.hint


def test_a_refused_tcp_connection_is_unreachable():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="connection refused"):
        Client(f"http://127.0.0.1:{port}").get("/v1/status")


def test_something_else_at_the_address_is_told(daemon):
    daemon.routes["GET /v1/status"] = Answer(raw=b"<html>hello</html>")
    with pytest.raises(DcdError, match="not dcdaemon") as caught:
        Client(daemon.url).get("/v1/status")
    assert "DCD_URL" in caught.value.hint


def test_a_cut_request_says_whether_it_may_have_happened(daemon):
    daemon.routes["POST /v1/jobs"] = Answer(cut=True)
    daemon.routes["GET /v1/jobs"] = Answer(cut=True)
    with pytest.raises(CutOff) as caught:
        Client(daemon.url).post("/v1/jobs", {})
    assert "may or may not" in caught.value.hint
    with pytest.raises(CutOff) as caught:
        Client(daemon.url).get("/v1/jobs")
    assert "may or may not" not in caught.value.hint


def test_a_silent_daemon_is_given_up(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s.sock"))
        silent.listen(1)
        with pytest.raises(Unreachable, match=r"did not answer within 0\.05 s"):
            Client(f"unix://{tmp_path}/s.sock", timeout_s=0.05).get("/v1/status")


def test_a_log_is_read_as_raw_bytes(daemon):
    daemon.routes["GET /v1/jobs/4/log"] = Answer(chunks=iter([b"\xff\x00", b"two\n"]))
    assert b"".join(read_log(Client(daemon.url), 4, 9)) == b"\xff\x00two\n"
    assert daemon.asked[0].query == {"lines": ["9"], "follow": ["0"]}


def test_the_error_of_a_stream_is_raised(daemon):
    with pytest.raises(NotFound):
        list(read_log(Client(daemon.url), 5, 9))


def test_following_takes_up_at_the_byte_where_the_daemon_broke_off(daemon):
    answers = [
        Answer(chunks=iter([b"abc", b"def"]), headers={"X-Dcd-Offset": "100"}, cut=True),
        Answer(chunks=iter([b"ghi"]), headers={"X-Dcd-Offset": "106"}),
    ]
    daemon.routes["GET /v1/jobs/4/log"] = lambda _: answers.pop(0)
    daemon.routes["GET /v1/status"] = {"schema": 1}
    assert b"".join(follow_log(Client(daemon.url), 4, 50)) == b"abcdefghi"
    logs = [asked.query for asked in daemon.asked if asked.path.endswith("/log")]
    assert logs == [{"lines": ["50"], "follow": ["1"]}, {"offset": ["106"], "follow": ["1"]}]


def test_following_gives_up_when_the_daemon_stays_away(start):
    daemon = start()
    daemon.routes["GET /v1/jobs/4/log"] = Answer(chunks=iter([b"abc"]), cut=True)
    daemon.routes["GET /v1/status"] = Answer(cut=True)
    log = follow_log(Client(daemon.url), 4, patience_s=0.05)
    assert next(log) == b"abc"
    with pytest.raises(Unreachable):
        next(log)


def test_waiting_survives_a_restart_of_the_daemon(start):
    first = start()
    asked = threading.Event()

    def die(_):
        asked.set()
        return Answer(cut=True)

    first.routes = {"GET /v1/wait": die, "GET /v1/status": Answer(cut=True)}
    found = []
    waiter = threading.Thread(
        target=lambda: found.append(wait_for_jobs(Client(first.url), ["4"], timeout_s=60, patience_s=9))
    )
    waiter.start()
    assert asked.wait(5)
    first.server.server_close()
    # It must know its routes before it answers: the waiter asks again within a moment.
    second = start(routes={"GET /v1/status": {"schema": 1}, "GET /v1/wait": {"schema": 1, "done": True, "jobs": []}})
    waiter.join(10)
    assert found == [{"schema": 1, "done": True, "jobs": []}]
    query = next(asked.query for asked in second.asked if asked.path == "/v1/wait")
    assert query["sel"] == ["4"]
    assert float(query["timeout_s"][0]) < 60


def test_waiting_for_a_daemon_that_was_never_there_is_told_at_once(tmp_path):
    begin = time.monotonic()
    with pytest.raises(Unreachable):
        wait_for_jobs(Client(f"unix://{tmp_path}/none.sock"), ["4"], timeout_s=60)
    assert time.monotonic() - begin < 5

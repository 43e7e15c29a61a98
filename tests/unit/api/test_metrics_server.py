"""The listener for scrapes: a few pages for anybody, and nothing else."""

import contextlib
import http.client
import socket
import threading

import pytest

from dcdaemon.api.metrics.server import MetricsServer
from dcdaemon.api.server import tcp_socket
from dcdaemon.core.errors import BadConfig

DEADLINE_S = 10.0


def broken() -> bytes:
    raise RuntimeError("no page today")


class Served:
    """A server with three pages, and connections to it."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException]] = []
        self.listener = tcp_socket("127.0.0.1:0")
        self.address = self.listener.getsockname()[:2]
        self.made = 0
        pages = {"/metrics": self._page, "/metrics/broken": broken}
        self.server = MetricsServer(pages, self.listener, lambda part, error: self.failures.append((part, error)))

    def _page(self) -> bytes:
        self.made += 1
        return b"a 1\n" * 50_000

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.read()


@pytest.fixture
def served():
    made = Served()
    made.server.start()
    yield made
    made.server.stop()
    assert made.failures == []
    assert not made.server._thread.is_alive()


def test_anybody_gets_the_page_in_the_text_format(served):
    status, headers, body = served.ask("GET", "/metrics?x=1", **{"Accept-Encoding": "gzip"})
    assert (status, len(body)) == (200, 200_000)
    assert headers == {"content-type": "text/plain; version=0.0.4; charset=utf-8", "content-length": "200000"}


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/dcgm", "/v1/status", "/v1/jobs", "/openapi.json", "/%2e"])
def test_nothing_else_is_there(served, path):
    status, _, body = served.ask("GET", path)
    assert (status, body) == (404, b"there is nothing here but /metrics and /metrics/broken\n")


def test_the_page_can_only_be_read(served):
    for method in ("POST", "PUT", "DELETE"):
        status, headers, _ = served.ask(method, "/metrics")
        assert (status, headers["allow"]) == (405, "GET, HEAD")
    status, headers, body = served.ask("HEAD", "/metrics")
    assert (status, headers["content-length"], body) == (200, "200000", b"")


def test_scrapes_share_a_connection(served):
    with contextlib.closing(served.connection()) as connection:
        for _ in range(3):
            connection.request("GET", "/metrics")
            assert len(connection.getresponse().read()) == 200_000
        assert len(served.server._state.connections) == 1


def test_a_page_that_cannot_be_made_is_told_and_the_next_one_is_answered(served, caplog):
    status, _, body = served.ask("GET", "/metrics/broken")
    assert (status, body) == (500, b"the page could not be made; the log of the daemon tells why\n")
    assert "no page today" in caplog.text
    assert served.ask("GET", "/metrics")[0] == 200


def test_those_who_say_nothing_or_nonsense_keep_nobody_waiting(served):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            silent = stack.enter_context(socket.create_connection(served.address, timeout=DEADLINE_S))
            silent.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        nonsense = stack.enter_context(socket.create_connection(served.address, timeout=DEADLINE_S))
        nonsense.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert nonsense.recv(1000).startswith(b"HTTP/1.1 400")
        assert served.ask("GET", "/metrics")[0] == 200


def test_a_reader_that_does_not_read_keeps_nobody_waiting(served):
    with socket.create_connection(served.address, timeout=DEADLINE_S) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        assert served.ask("GET", "/metrics")[0] == 200


def test_many_scrapes_at_once_are_all_answered(served):
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(served.ask("GET", "/metrics")[0])) for _ in range(20)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert statuses == [200] * 20
    assert served.made == 20


def test_it_stops_although_somebody_is_connected_and_the_port_is_free_again():
    served = Served()
    served.server.start()
    with contextlib.closing(served.connection()) as connection:
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        served.server.stop()
    assert not served.server._thread.is_alive()
    tcp_socket(f"127.0.0.1:{served.address[1]}").close()


def test_it_can_be_stopped_before_it_was_started():
    served = Served()
    served.server.stop()
    assert served.listener.fileno() == -1


def test_a_server_that_ends_by_itself_is_told():
    served = Served()
    served.listener.close()
    served.server.start()
    served.server._thread.join(DEADLINE_S)
    [(part, error)] = served.failures
    assert part == "metrics"
    assert isinstance(error, OSError | ValueError)


def test_an_address_in_use_names_the_setting_to_change():
    with tcp_socket("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadConfig) as caught:
            tcp_socket(f"127.0.0.1:{port}", "[metrics] listen")
    assert f"cannot listen on '127.0.0.1:{port}'" in caught.value.message
    assert caught.value.hint == "write [metrics] listen like 127.0.0.1:7717"

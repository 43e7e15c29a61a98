"""The door itself: who may open it, and that it never falls shut unheard."""

import os
import pwd
import socket
import stat

import pytest
from scene import Scene

from dcdaemon.api.changes import Changes
from dcdaemon.api.server import ApiServer, tcp_socket, unix_socket
from dcdaemon.client.http import Client
from dcdaemon.core.errors import BadConfig, Refused, Unreachable


@pytest.fixture
def opened(tmp_path):
    failures = []
    path = tmp_path / "d.sock"

    def failed(part, error):
        failures.append((part, error))

    server = ApiServer(Scene().desk, Changes(), "0.1.0", [unix_socket(path)], failed)
    server.start()
    yield server, Client(f"unix://{path}"), failures
    server.stop()


def test_a_stop_is_no_failure_and_nobody_answers_any_more(opened):
    server, client, failures = opened
    assert client.get("/v1/status")["version"] == "0.1.0"
    server.stop()
    assert not server.alive
    with pytest.raises(Unreachable):
        client.get("/v1/status")
    assert failures == []


def test_a_server_that_breaks_down_is_told_of_loudly(opened, until):
    server, client, failures = opened
    client.get("/v1/status")

    async def broken(*_):
        raise ZeroDivisionError("a bug")

    server._server.on_tick = broken
    until(lambda: failures)
    [(part, error)] = failures
    assert (part, type(error)) == ("api", ZeroDivisionError)


def test_the_caller_is_who_the_kernel_says(opened):
    _, client, _ = opened
    document = client.get("/v1/status")
    assert document["you"] == pwd.getpwuid(os.geteuid()).pw_name
    assert document["operator"] is (os.geteuid() == 0)


def test_a_socket_is_open_to_local_users_and_its_directory_is_made(tmp_path):
    path = tmp_path / "run" / "dcdaemon" / "d.sock"
    with unix_socket(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "d.sock"
    unix_socket(path).close()
    with unix_socket(path) as listener:
        listener.listen()
        with pytest.raises(Refused) as caught:
            unix_socket(path)
    assert caught.value.message == f"another daemon already answers on {path}"


def test_a_file_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "d.sock"
    path.write_text("precious")
    with pytest.raises(BadConfig) as caught:
        unix_socket(path)
    assert caught.value.message == f"{path} exists and is no socket"
    assert path.read_text() == "precious"


@pytest.mark.parametrize("address", ["7717", "127.0.0.1:http", "nowhere.invalid:1", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_listened_on_is_a_bad_configuration(address):
    with pytest.raises(BadConfig) as caught:
        tcp_socket(address)
    assert caught.value.message.startswith(f"cannot listen on {address!r}: ")
    assert caught.value.hint == "write [daemon] tcp like 127.0.0.1:7717"


def test_ipv6_is_spoken_where_there_is_any():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = tcp_socket("[::1]:0")
    except BadConfig:
        pytest.skip("this machine has no IPv6 address")
    with listener:
        assert listener.family is socket.AF_INET6

"""A real server on a unix socket and on TCP, before a node in virtual time."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import patience
import pytest
from scene import ADA, BOB, ROOT, Scene

from dcdaemon.api.changes import Changes
from dcdaemon.api.server import ApiServer, tcp_socket, unix_socket
from dcdaemon.client.http import Client
from dcdaemon.core.ports import Actor
from dcdaemon.core.samples import GpuReading, GpuSample
from dcdaemon.core.token import Token, TokenRole, hash_token

DEADLINE_S = 10.0
TOKENS = {"ada-token": ADA, "bob-token": BOB, "root-token": ROOT}


def made(secret: str, actor: Actor, role: TokenRole | None = None, expires_at: float | None = None) -> Token:
    """Return what is kept of a token."""
    role = role or (TokenRole.OPERATOR if actor.operator else TokenRole.SUBMITTER)
    kept = hash_token(secret)
    return Token(kept, secret, actor.uid, actor.gid, actor.user, role, 0.0, "root", expires_at)


class Door:
    """The server, the scene behind it, and a client for each kind of caller."""

    def __init__(self, directory: Path) -> None:
        self.failures: list[tuple[str, BaseException]] = []
        self.changes = Changes()
        self.directory = directory
        self.fresh()
        tcp = tcp_socket("127.0.0.1:0")
        url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
        sockets = [unix_socket(directory / "d.sock"), tcp]
        self.server = ApiServer(self.scene.desk, self.changes, "0.1.0", sockets, self._failed)
        self.server.start()
        self.local = Client(f"unix://{directory / 'd.sock'}", timeout_s=DEADLINE_S)
        self.ada, self.bob, self.root, self.stranger, self.nobody = (
            Client(url, token, timeout_s=DEADLINE_S) for token in (*TOKENS, "wrong", None)
        )

    def _failed(self, part: str, error: BaseException) -> None:
        self.failures.append((part, error))

    def fresh(self) -> Scene:
        """Begin with an empty node."""
        logs = self.directory / "logs"
        logs.mkdir(exist_ok=True)
        for log in logs.iterdir():
            log.unlink()
        self.scene = Scene(log_dir=logs)
        self.scene.desk.listeners.append(self.changes)
        for token, actor in TOKENS.items():
            self.scene.store.add_token(made(token, actor), actor)
        if hasattr(self, "server"):
            self.server._server.config.app.state.desk = self.scene.desk
        return self.scene

    def load(self) -> None:
        """Have every GPU tell all it can."""
        now, now_s = self.scene.clock.now(), self.scene.clock.monotonic()
        gpus = self.scene.reading.gpus
        samples = tuple(
            GpuSample(
                now - 0.4, now_s - 0.4, gpu.index, util_ratio=0.5, mem_used_bytes=1 << 30, power_w=300.0,
                power_limit_w=650.0, temp_c=60.0, sm_clock_hz=1_980_000_000, processes=(),
            )
            for gpu in gpus
        )  # fmt: skip
        self.scene.desk.board.gpus = GpuReading(gpus, samples, driver_version="580.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    door = Door(tmp_path_factory.mktemp("api"))
    yield door
    door.server.stop()
    assert not door.server.alive
    assert door.failures == []


@pytest.fixture
def door(server: Door) -> Door:
    server.fresh()
    return server


@pytest.fixture
def scene(door: Door) -> Scene:
    return door.scene


@pytest.fixture
def raw() -> Callable[..., tuple[int, dict[str, str], Any]]:
    """Send anything at all; return status, headers and the JSON document."""

    def send(client: Client, method: str, path: str, body: object = None, data: bytes | None = None):
        sent = json.dumps(body).encode() if body is not None else data
        with client._ask(method, path, None, sent, DEADLINE_S) as response:
            text = response.read()
            return response.status, dict(response.headers), json.loads(text) if text else None

    return send


@pytest.fixture
def aside() -> Iterator[Callable[..., "Aside"]]:
    """Run something beside the test, and look at its result later."""
    started: list[Aside] = []

    def start(work: Callable[[], Any]) -> Aside:
        started.append(Aside(work))
        return started[-1]

    yield start
    for one in started:
        one.thread.join(DEADLINE_S)
        assert not one.thread.is_alive()


class Aside:
    """A thread with a result."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._outcome: list[Any] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:  # noqa: BLE001  told by `result`
            self._error = error

    @property
    def done(self) -> bool:
        return not self.thread.is_alive()

    def result(self) -> Any:
        self.thread.join(DEADLINE_S)
        assert self.done, "it takes too long"
        if self._error is not None:
            raise self._error
        return self._outcome[0]


@pytest.fixture
def until() -> Callable[..., Any]:
    return patience.until


@pytest.fixture
def job_body() -> Callable[..., dict[str, Any]]:
    def body(**fields: Any) -> dict[str, Any]:
        return {"jobs": [{"argv": ["train.py"], "cwd": "/work", "gpus": 1} | fields], "env": {"A": "1"}}

    return body

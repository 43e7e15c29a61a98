"""Serves the application on a unix socket and, where asked, on TCP, from one thread with its own event loop."""

import asyncio
import contextlib
import logging
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from dcdaemon.api.app import make_app
from dcdaemon.api.changes import Changes
from dcdaemon.api.limits import LimitedProtocol
from dcdaemon.api.tls import Tls
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadConfig, DcdError, Refused

log = logging.getLogger(__name__)
_START_WITHIN_S = 15.0
#: How often uvicorn looks after itself: it needs that only for the Date header.
_NAP_S = 5.0
#: Who connects and then says nothing holds a descriptor for so long.
_HANDSHAKE_WITHIN_S = 10.0


class ApiServer:
    """The HTTP door; `start` returns when it answers; `on_failure` is told when it falls shut before `stop`."""

    def __init__(
        self,
        desk: Desk,
        changes: Changes,
        version: str,
        sockets: list[socket.socket],
        on_failure: Callable[[str, BaseException], None],
        tls: Tls | None = None,
    ) -> None:
        self._changes = changes
        self._sockets = sockets
        self._on_failure = on_failure
        config = uvicorn.Config(
            make_app(desk, changes, version), http=LimitedProtocol, loop="asyncio", lifespan="off", ws="none",
            proxy_headers=False, forwarded_allow_ips="", server_header=False, log_config=None, access_log=False,
            timeout_graceful_shutdown=1, backlog=1024,
        )  # fmt: skip
        self._server = _CalmServer(config, tls)
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._failure: BaseException | None = None
        self._ready = threading.Event()

    def start(self) -> None:
        """Begin to answer; raise what kept the server from starting."""
        self._thread.start()
        self._ready.wait(_START_WITHIN_S)
        if self._failure is not None:
            raise self._failure
        if not self._server.started:
            raise DcdError("the API server did not start", "its log tells more")

    def stop(self) -> None:
        """Close the door; streams that are open end."""
        # What still streams is cut off, and its client asks again: no reason for a traceback each.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._changes.close()
        self._server.wake_to_exit()
        self._thread.join(3)

    @property
    def alive(self) -> bool:
        """Whether the server's thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  told to whoever started us, or to whoever stops the daemon
            self._failure = error
        finally:
            for listener in self._sockets:
                listener.close()
            in_service = self._ready.is_set() and not self._server.should_exit
            self._ready.set()
            if in_service:
                self._on_failure("api", self._failure or RuntimeError("the server ended by itself"))

    async def _serve(self) -> None:
        self._changes.bind(asyncio.get_running_loop())
        serving = asyncio.create_task(self._server.serve(self._sockets))
        while not self._server.started and not serving.done():  # noqa: ASYNC110  uvicorn tells nobody
            await asyncio.sleep(0.01)
        self._ready.set()
        await serving


class _CalmServer(uvicorn.Server):
    """uvicorn wakes ten times a second to see whether it should end; this one sleeps until it is told."""

    def __init__(self, config: uvicorn.Config, tls: Tls | None) -> None:
        super().__init__(config)
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen: in the clear on the unix socket, whose peer the kernel names, and with TLS on TCP where it is set."""
        plain = [one for one in sockets or [] if self._tls is None or one.family == socket.AF_UNIX]
        await super().startup(plain)
        for listener in sockets or []:
            if self._tls is not None and listener not in plain:
                self.servers.append(await self._listen(listener, self._tls))

    async def _listen(self, listener: socket.socket, tls: Tls) -> asyncio.Server:
        def protocol() -> asyncio.Protocol:
            state = self.lifespan.state
            return LimitedProtocol(config=self.config, server_state=self.server_state, app_state=state)

        return await asyncio.get_running_loop().create_server(
            protocol, sock=listener, ssl=tls.context, backlog=self.config.backlog,
            ssl_handshake_timeout=_HANDSHAKE_WITHIN_S, ssl_shutdown_timeout=1.0,
        )  # fmt: skip

    def wake_to_exit(self) -> None:
        """Have the server end now, from any thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Look after the server until it should end."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _NAP_S)


def unix_socket(path: Path, mode: int = 0o666) -> socket.socket:
    """Bind the daemon's socket; replaces a dead one, refuses when another daemon answers on it."""
    if path.exists():
        _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise BadConfig(f"cannot listen on {path}: {error.strerror}", "choose another [daemon] socket") from error
    path.chmod(mode)
    return listener


def tcp_socket(address: str, setting: str = "[daemon] tcp") -> socket.socket:
    """Bind HOST:PORT; raise BadConfig, with the setting to change, when that is not possible."""
    host, colon, port = address.rpartition(":")
    try:
        if not colon or not 0 <= int(port) < 65536:
            raise ValueError("no such port")  # noqa: TRY301  one message for every malformed address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host.strip("[]"), int(port)), family=family)
    except (OSError, ValueError) as error:
        raise BadConfig(f"cannot listen on {address!r}: {error}", f"write {setting} like 127.0.0.1:7717") from error
    return listener


def _remove_dead(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise BadConfig(f"{path} exists and is no socket", "remove it or choose another [daemon] socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise Refused(f"{path} does not answer: {error}", "is another daemon hanging there?") from error
    raise Refused(f"another daemon already answers on {path}", "stop it first, or choose another [daemon] socket")

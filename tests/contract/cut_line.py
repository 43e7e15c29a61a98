"""A line to a PostgreSQL server that can be cut at a chosen moment."""

import contextlib
import socket
import threading
from pathlib import Path

import sqlalchemy as sa

COMMIT = b"COMMIT"


class CutLine:
    """Passes bytes on between clients and the server; `cut` says when to stop, once.

    "before": the next COMMIT never reaches the server; "after": it does, and its answer is lost.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._server = sa.make_url(url)
        by_socket = {**self._server.query, "host": str(folder)}
        self.url = self._server._replace(host=None, port=None).set(query=by_socket)
        self.cut: str | None = None
        self.away = False
        self.stays_away = False  # with `cut`: nobody is let in afterwards
        self._open: list[socket.socket] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(folder / ".s.PGSQL.5432"))
        self._door.listen()
        threading.Thread(target=self._let_in, daemon=True).start()

    @property
    def client_url(self) -> str:
        return self.url.render_as_string(hide_password=False)

    def drop_all(self, but: tuple[socket.socket, ...] = ()) -> None:
        """End every connection, as a restart of the server does."""
        _end(*(set(self._open) - set(but)))

    def close(self) -> None:
        self.away = True
        self.drop_all()
        _end(self._door)
        self._door.close()

    def _let_in(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            if self.away:
                client.close()
                continue
            server = self._reach_server()
            self._open += [client, server]
            threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pass_answers, args=(server, client), daemon=True).start()

    def _reach_server(self) -> socket.socket:
        host = self._server.query.get("host") or self._server.host or "localhost"
        port = self._server.port or 5432
        if str(host).startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((str(host), port))

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        while data := _read(client):
            if COMMIT in data and self.cut:
                self._cut(client, server, data)
                return
            with contextlib.suppress(OSError):
                server.sendall(data)
        _end(client, server)

    def _cut(self, client: socket.socket, server: socket.socket, commit: bytes) -> None:
        if self.stays_away:
            self.away = True
            self.drop_all(but=(client, server))
        when, self.cut = self.cut, None
        _end(client)
        if when == "after":
            server.sendall(commit)
            server.shutdown(socket.SHUT_WR)
        else:
            _end(server)

    def _pass_answers(self, server: socket.socket, client: socket.socket) -> None:
        while data := _read(server):
            with contextlib.suppress(OSError):
                client.sendall(data)
        for side in (client, server):
            side.close()


def _read(side: socket.socket) -> bytes:
    try:
        return side.recv(65536)
    except OSError:
        return b""


def _end(*sides: socket.socket) -> None:
    for side in sides:
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)

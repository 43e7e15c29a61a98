"""A real HTTP server on a unix socket or TCP that gives canned answers of the API and remembers what it was asked."""

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import documents


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: dict | None


@dataclass
class Answer:
    document: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    chunks: Iterator[bytes] | None = None
    cut: bool = False


Route = dict | Answer | Callable[[Asked], dict | Answer]


class StubDaemon:
    """Serves `routes` ("GET /v1/jobs" -> answer, or a function of the request) until closed."""

    def __init__(
        self, socket_path: Path | None = None, token: str | None = None, routes: dict[str, Route] | None = None
    ) -> None:
        self.routes: dict[str, Route] = routes or {}
        self.asked: list[Asked] = []
        self.token = token
        handler = type("Handler", (_Handler,), {"stub": self})
        self.server = _unix(socket_path, handler) if socket_path else _Tcp(("127.0.0.1", 0), handler)
        self.url = f"unix://{socket_path}" if socket_path else f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "unauthorized", "the token is not known", "check --token-file")
        route = self.routes.get(f"{asked.method} {asked.path}")
        if route is None:
            return error(404, "not_found", f"there is nothing at {asked.path}", "dcd ps -a lists all jobs")
        found = route(asked) if callable(route) else route
        return found if isinstance(found, Answer) else Answer(found)


def error(status: int, code: str, message: str, hint: str | None = None) -> Answer:
    return Answer({"error": {"code": code, "message": message, "hint": hint}}, status)


class _Quiet(socketserver.ThreadingMixIn):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is part of some tests; anything else is an error of the stub."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Tcp(_Quiet, socketserver.TCPServer):
    allow_reuse_address = True


class _Unix(_Quiet, socketserver.UnixStreamServer):
    pass


def _unix(path: Path, handler: type) -> socketserver.BaseServer:
    path.unlink(missing_ok=True)
    return _Unix(str(path), handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: StubDaemon

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = json.loads(text) if text else None
        answer = self.stub.answer(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
        self.close_connection = True
        if answer.chunks is not None:
            self._stream(answer)
            return
        raw = json.dumps(answer.document).encode() if answer.raw is None else answer.raw
        if answer.cut:
            return
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.end_headers()
        for chunk in answer.chunks or ():
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
        if not answer.cut:
            self.wfile.write(b"0\r\n\r\n")


def accept(asked):
    """Answer a submit as the daemon does."""
    jobs = [
        documents.waiting(number, wish["name"] or "x", "user1", wish["gpus"], 0.0, "queued")
        for number, wish in enumerate(asked.body["jobs"], start=1)
    ]
    return Answer({"schema": 1, "jobs": jobs, "starts": ["now"] * len(jobs)}, 201)

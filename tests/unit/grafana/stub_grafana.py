"""A small HTTP server that answers as Grafana's API does, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_right"  # noqa: S105  the stub's own
POSTGRESQL = {"uid": "pg1", "name": "ledger", "type": "grafana-postgresql-datasource"}
SQLITE = {"uid": "lite1", "name": "local", "type": "frser-sqlite-datasource"}


@dataclass
class StubGrafana:
    """What the server knows, and the requests it got: (method, path, body)."""

    url: str = ""
    datasources: list[dict[str, Any]] = field(default_factory=lambda: [POSTGRESQL, SQLITE])
    folders: list[dict[str, Any]] = field(default_factory=list)
    may_list_datasources: bool = True
    #: Overrides the answer to a (method, path): status, content type, body.
    instead: dict[tuple[str, str], tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        match method, path.removeprefix("/api").split("/")[1:]:
            case "GET", ["datasources"]:
                return (200, self.datasources) if self.may_list_datasources else (403, {"message": "Permission denied"})
            case "GET", ["datasources", "uid", uid]:
                found = [source for source in self.datasources if source["uid"] == uid]
                return (200, found[0]) if found else (404, {"message": "Data source not found"})
            case "GET", ["folders"]:
                return 200, self.folders
            case "POST", ["folders"]:
                folder = {"uid": "made", "title": body["title"]}
                self.folders.append(folder)
                return 200, folder
            case "POST", ["dashboards", "db"]:
                uid = body["dashboard"]["uid"]
                return 200, {"uid": uid, "url": f"/d/{uid}/slug", "status": "success", "version": 1}
        return 404, {"message": "Not found"}

    def uploads(self) -> list[dict[str, Any]]:
        return [body for method, path, body in self.asked if (method, path) == ("POST", "/api/dashboards/db")]


@contextmanager
def running(stub: StubGrafana) -> Iterator[StubGrafana]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(stub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def handler_for(stub: StubGrafana) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            stub.asked.append((self.command, self.path, body))
            instead = stub.instead.get((self.command, self.path))
            if instead is not None:
                self.reply(*instead)
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.reply(401, "application/json", b'{"message": "Invalid API key"}')
            else:
                status, document = stub.answer(self.command, self.path, body)
                self.reply(status, "application/json", json.dumps(document).encode())

        def reply(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

        do_GET = do_POST = do_PUT = serve  # noqa: N815  names given by http.server

    return Handler

"""A real Prometheus (Debian package) for tests, with a data directory and a port of its own."""

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from lack import program

WITHIN_S = 30.0
Sample = tuple[dict[str, str], float]


class Prometheus:
    """A server that scrapes `targets` (name of the job -> host:port/path) every second."""

    def __init__(self, directory: Path, targets: Mapping[str, str]) -> None:
        self._port = free_port()
        self._log = directory / "prometheus.log"
        config = directory / "prometheus.yml"
        config.write_text(json.dumps(_config(targets)))  # JSON is YAML
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn",
                ],
                stdout=log, stderr=log, cwd=directory,
            )  # fmt: skip

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(WITHIN_S)
        finally:
            self._process.kill()

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API; None while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WITHIN_S)
        with contextlib.closing(connection):
            try:
                connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
                answer = json.loads(connection.getresponse().read())
            except (OSError, ValueError, http.client.HTTPException):
                assert self._process.poll() is None, self._log.read_text()
                return None
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[Sample]:
        """Return what an expression gives now."""
        data = self.ask("query", query=expression)
        return [(one["metric"], float(one["value"][1])) for one in data["result"]] if data else []

    def values(self, label: str, metric: str) -> list[str]:
        """Return the values of a label, as Grafana's label_values does."""
        return self.ask(f"label/{label}/values", **{"match[]": metric})

    def awaits(self, expression: str, *, absent: bool = False) -> list[Sample]:
        """Wait until an expression gives something, or nothing with `absent`, and return it."""
        deadline = time.monotonic() + WITHIN_S
        while bool(found := self.query(expression)) is absent:
            told = json.dumps(self.ask("targets"), indent=1)
            assert time.monotonic() < deadline, f"{expression} gives {found}\n{told}"
            time.sleep(0.1)
        return found


def promtool_check(text: str) -> list[str]:
    """Return what `promtool check metrics` finds fault with; an assertion fails where it cannot even read the text."""
    command = [program("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    # 3 is: read, and found fault with names.
    assert done.returncode in {0, 3}, done.stderr
    return (done.stdout + done.stderr).splitlines()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _config(targets: Mapping[str, str]) -> dict[str, Any]:
    jobs = []
    for name, target in targets.items():
        address, _, path = target.partition("/")
        jobs.append({"job_name": name, "metrics_path": f"/{path}", "static_configs": [{"targets": [address]}]})
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}


@pytest.fixture
def new_prometheus(tmp_path: Path) -> Iterator[Any]:
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(**targets: str) -> Prometheus:
            directory = tmp_path / "-".join(targets)
            directory.mkdir()
            server = Prometheus(directory, targets)
            stack.callback(server.close)
            return server

        yield start

"""A stub daemon with canned answers, and ways to call the command line."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))

import documents
from stub_daemon import StubDaemon

from dcdaemon.cli.main import run


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubDaemon]:
    for name in ("NO_COLOR", "FORCE_COLOR", "DCD_TOKEN_FILE", "DCD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    stub = StubDaemon(tmp_path / "d.sock")
    monkeypatch.setenv("DCD_URL", stub.url)
    stub.routes = {
        "GET /v1/jobs": documents.queue(),
        "GET /v1/gpus": documents.gpus(),
        "GET /v1/status": documents.status(),
        "GET /v1/history": documents.history(),
        "GET /v1/energy": documents.energy(),
        "GET /v1/anomalies": documents.anomalies(),
        "GET /v1/events": documents.events(),
    }
    yield stub
    stub.close()


@pytest.fixture
def dcd(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def call(*arguments: str) -> Said:
        code = run(arguments)
        captured = capfd.readouterr()
        return Said(code, captured.out, captured.err)

    return call

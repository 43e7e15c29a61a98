"""Stub daemons on a unix socket and on TCP."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))

from stub_daemon import Route, StubDaemon


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., StubDaemon]]:
    """Start a stub on the test's socket, or on TCP with a token; all are closed at the end."""
    stubs = []

    def start_stub(token: str | None = None, routes: dict[str, Route] | None = None) -> StubDaemon:
        stubs.append(StubDaemon(None if token else tmp_path / "d.sock", token, routes))
        return stubs[-1]

    yield start_stub
    for stub in stubs:
        stub.close()


@pytest.fixture
def daemon(start: Callable[..., StubDaemon]) -> StubDaemon:
    return start()

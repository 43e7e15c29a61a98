"""Patience, and a listener where systemd would be."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import patience
import pytest

DEADLINE_S = 10.0


@pytest.fixture
def until() -> Callable[..., Any]:
    return patience.until


class Systemd:
    """A datagram socket that notes what it is told."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(0)

    def told(self) -> list[str]:
        """Return everything since the last look."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    listener = Systemd(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield listener
    listener.close()

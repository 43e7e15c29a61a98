"""The host's end of the line to the agent in the machine."""

import base64
import contextlib
import itertools
import json
import socket
import time
from pathlib import Path

#: How long the agent has to answer beyond what the command may take.
_SLACK_S = 60.0


class AgentLink:
    """Asks one thing at a time; a reply that comes too late is passed over."""

    def __init__(self, path: Path, within_s: float) -> None:
        self._numbers = itertools.count(1)
        self._rest = b""
        deadline_s = time.monotonic() + within_s
        self._socket = self._connected(path, deadline_s)
        self._wait_for_agent(deadline_s)

    def ask(self, request: dict[str, object], within_s: float) -> tuple[int, str]:
        """Give the exit status and the output of what was asked for."""
        deadline_s = time.monotonic() + within_s + _SLACK_S
        number = self._send(request)
        while (reply := self._reply(deadline_s))["id"] != number:
            pass
        return int(reply["rc"]), base64.b64decode(reply["out"]).decode(errors="replace")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _connected(self, path: Path, deadline_s: float) -> socket.socket:
        while True:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(str(path))
            except OSError:
                line.close()
                assert time.monotonic() < deadline_s, "qemu did not start"
                time.sleep(0.02)
            else:
                return line

    def _wait_for_agent(self, deadline_s: float) -> None:
        """Call until the agent answers: what is said before it listens is lost."""
        while True:
            assert time.monotonic() < deadline_s, "the machine did not come up"
            self._send({"op": "hello"})
            with contextlib.suppress(TimeoutError):
                self._reply(min(deadline_s, time.monotonic() + 1))
                return

    def _send(self, request: dict[str, object]) -> int:
        number = next(self._numbers)
        line = json.dumps({"id": number, **request}, default=lambda data: base64.b64encode(data).decode())
        self._socket.settimeout(_SLACK_S)
        self._socket.sendall(line.encode() + b"\n")
        return number

    def _reply(self, deadline_s: float) -> dict[str, str]:
        while b"\n" not in self._rest:
            self._socket.settimeout(max(deadline_s - time.monotonic(), 0.01))
            chunk = self._socket.recv(1 << 16)
            assert chunk, "the machine went down"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        reply: dict[str, str] = json.loads(line)
        return reply

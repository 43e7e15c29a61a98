"""A real agent of net-snmp on a port of loopback, with nothing of the machine's own configuration."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lack import program


@dataclass
class Snmpd:
    """An agent of our own on a port of loopback; `start` and `stop` it as often as needed."""

    program: str
    folder: Path
    port: int
    config: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        """Where it keeps its users' keys, its engine and how often it was started."""
        return self.folder / "state"

    def start(self) -> None:
        config = self.folder / "agent.conf"
        config.write_text(f"agentAddress udp:127.0.0.1:{self.port}\n{self.config}")
        log = self.folder / "log"
        # Nothing of the machine's own configuration, no MIB files, and its state in a folder of the test's.
        env = {**os.environ, "MIBS": "", "SNMPCONFPATH": str(self.state), "SNMP_PERSISTENT_DIR": str(self.state)}
        self.process = subprocess.Popen(
            [self.program, "-f", "-r", "-c", str(config), "-Lf", str(log), "-p", str(self.folder / "pid")],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._wait_until_it_listens(log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def _wait_until_it_listens(self, log: Path) -> None:
        local = f"0100007F:{self.port:04X}"
        for _ in range(200):
            if local in Path("/proc/net/udp").read_text():
                return
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(log.read_text())


@contextmanager
def running_snmpd(folder: Path, config: str) -> Iterator[Snmpd]:
    """Start an agent; where none is installed the test is skipped, and fails in CI."""
    path = program("snmpd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = Snmpd(path, folder, port, config)
    try:
        agent.start()
        yield agent
    finally:
        agent.stop()

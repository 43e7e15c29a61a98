"""The daemon's end of the fork-server: asks it for shims, and starts another when it is gone."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dcdaemon.core.errors import StartFailed
from dcdaemon.runner.records import LaunchSpec

FORK_SERVER = Path(__file__).with_name("forkserver.py")
ANSWER_WITHIN_S = 10.0
ANSWER_MAX_BYTES = 65536


class FateUnknownError(Exception):
    """Who was asked went away with the request in its hands: a shim may have been started, or not."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A shim that was forked; `shim_start_ticks` is None when it had ended before anyone looked."""

    shim_pid: int
    shim_start_ticks: int | None


class NoSpawner:
    """Stands where this daemon may start nothing: every launch is refused with the reasons."""

    pid: int | None = None
    tries = 1

    def __init__(self, reasons: Sequence[str]) -> None:
        """Keep what stands in the way."""
        self._reasons = tuple(reasons)

    def start(self) -> None:
        """Do nothing: jobs of an earlier daemon are still watched."""

    def close(self) -> None:
        """Do nothing."""

    def spawn(self, directory: Path, launch: int, spec: LaunchSpec) -> Launched:  # noqa: ARG002  refused unseen
        """Raise StartFailed."""
        raise StartFailed(
            f"cannot start job {spec.job_id}: this daemon's unit is sandboxed, its jobs would be, too, "
            f"and units of their own are not possible: {'; '.join(self._reasons)}",
            "dcd doctor tells what is missing; docs/isolation.md tells what may be left out of the daemon's unit",
        )


class ShimSpawner(Protocol):
    """Starts shims: the fork-server, or systemd; one whose fate is unknown is tried `tries` times in all."""

    tries: int

    @property
    def pid(self) -> int | None:
        """The pid of the process that serves, None when there is none."""
        ...

    def start(self) -> None:
        """Be ready; raises StartFailed."""
        ...

    def spawn(self, directory: Path, launch: int, spec: LaunchSpec) -> Launched:
        """Start a shim; raises StartFailed when none was, FateUnknownError when one may have been."""
        ...

    def close(self) -> None:
        """Let go; shims live on."""
        ...


class Spawner:
    """One fork-server at a time; not thread-safe, its caller takes turns."""

    #: A machine that kills processes kills many, and a job that could not be started has failed.
    tries = 4

    def __init__(self) -> None:
        """Prepare; the fork-server starts with `start` or with the first request."""
        self._server: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._asked = 0

    def start(self) -> None:
        """Start a fork-server unless one runs; raises StartFailed."""
        if self._server is not None and self._server.poll() is None:
            return
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(ANSWER_WITHIN_S)
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(FORK_SERVER), str(theirs.fileno())]
        try:
            with theirs:
                self._server = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_bare_environment(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise StartFailed(
                f"cannot start the fork-server with {sys.executable}: {error.strerror}",
                "reinstall dcdaemon, or free memory and processes on this machine",
            ) from error
        self._link = ours

    def spawn(self, directory: Path, launch: int, spec: LaunchSpec) -> Launched:  # noqa: ARG002  units need it
        """Have a shim forked, as `fork` does."""
        return self.fork(directory, launch)

    def fork(self, directory: Path, launch: int) -> Launched:
        """Have a shim forked; raises StartFailed when none was, FateUnknownError when one may have been."""
        self.start()
        self._asked += 1
        request = {"id": self._asked, "dir": str(directory), "launch": launch}
        answer = self._ask(json.dumps(request).encode("ascii"))
        if answer.get("id") != self._asked:
            self.close()
            raise FateUnknownError("the fork-server answered another request")
        if "error" in answer:
            raise StartFailed(
                f"cannot start a process for {directory}: {answer['error']}",
                "raise the limits on processes and memory of the daemon (systemd: TasksMax=, MemoryMax=)",
            )
        return Launched(answer["shim_pid"], answer["shim_start_ticks"])

    def _ask(self, request: bytes) -> dict[str, int]:
        link = self._link
        if link is None:
            raise FateUnknownError("the fork-server is closed")
        try:
            link.send(request)
            answer = link.recv(ANSWER_MAX_BYTES)
        except OSError as error:
            self.close()
            raise FateUnknownError(f"the fork-server does not answer: {error}") from error
        if not answer:
            self.close()
            raise FateUnknownError("the fork-server ended")
        document: dict[str, int] = json.loads(answer)
        return document

    @property
    def pid(self) -> int | None:
        """The fork-server's pid, for the daemon's own accounts; None when there is none."""
        return self._server.pid if self._server else None

    def close(self) -> None:
        """End the fork-server; its shims live on."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._server is not None:
            self._server.kill()  # it holds nothing: there is nothing to wait for
            self._server.wait()
            self._server = None


def _bare_environment() -> dict[str, str]:
    """Keep what the interpreter needs to start; the daemon's secrets have no place beside a job."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}

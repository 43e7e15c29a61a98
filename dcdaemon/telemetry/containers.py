"""Which container a process is in, read from its control group, its environment, and the runtime where it answers.

The spellings are those of docker, podman (libpod), containerd (nerdctl, Kubernetes) and CRI-O, by cgroupfs and by
systemd, under control groups v1 and v2 (cgroups(7)). Nothing is asked of a runtime that needs a membership of a group:
its socket is read where the daemon may, and else the image stays unknown.
"""

import os
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dcdaemon.core.container import Container
from dcdaemon.telemetry.container_runtime import Runtimes, job_named
from dcdaemon.telemetry.processes import start_ticks

_PROC = Path("/proc")
#: Some part of the path is the container's: `docker-ID.scope`, or the bare id below a parent that tells the runtime.
_PART = re.compile(
    r"(?:(docker|libpod-payload|libpod|nerdctl|cri-containerd|containerd|crio)[-:])?([0-9a-f]{64})(?:\.scope)?"
)
_RUNTIME = {
    "docker": "docker", "libpod": "podman", "libpod-payload": "podman", "nerdctl": "nerdctl",
    "cri-containerd": "containerd", "containerd": "containerd", "crio": "cri-o",
}  # fmt: skip
_PARENT = {"docker": "docker", "libpod_parent": "podman", "kubepods": "kubernetes", "default": "containerd"}
#: Below here a user manages control groups himself, and may give them any name.
_OF_USER = re.compile(r"/user-(\d+)\.slice/|/user@(\d+)\.service/")
_REMEMBERED = 1024
_ASK_AGAIN_S = 60.0


class Containers:
    """Remembers the container of each process under its pid and start."""

    def __init__(self, proc: Path = _PROC, runtimes: Runtimes | None = None) -> None:
        self._proc = proc
        self._runtimes = runtimes or Runtimes()
        self._known: dict[tuple[int, int], tuple[Container, float]] = {}
        # A daemon in a container sees the name of its own one on every process beside it.
        self._own = container_of(_cgroups(proc / "self"))

    def of(self, pids: Iterable[int]) -> dict[int, Container]:
        """Return the container of each process that is in one."""
        found = ((pid, self._of(pid)) for pid in pids)
        return {pid: container for pid, container in found if container is not None}

    def _of(self, pid: int) -> Container | None:
        ticks = start_ticks(pid, self._proc)
        if ticks is None:
            return None
        now_s = time.monotonic()
        container, asked_s = self._known.get((pid, ticks), (None, 0.0))
        if container is not None and (container.image is not None or now_s - asked_s < _ASK_AGAIN_S):
            return container
        met = self._meet(pid)
        if met is None:
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[pid, ticks] = met, now_s
        return met

    def _meet(self, pid: int) -> Container | None:
        entry = self._proc / str(pid)
        container = container_of(_cgroups(entry))
        if container is None or (self._own is not None and container.id == self._own.id):
            return None
        named = _names_job(entry)
        told = self._runtimes.inspect(container)
        return replace(container, image=told.image, names_job=told.names_job if named is None else named)


def container_of(cgroups: str) -> Container | None:
    """Return the container that the lines of /proc/PID/cgroup name, None when they name none."""
    for line in cgroups.splitlines():
        path = line.split(":", 2)[-1]
        # The innermost one: a container may run in a container.
        parts = path.split("/")
        for place in range(len(parts) - 1, 0, -1):
            match = _PART.fullmatch(parts[place])
            if match is not None:
                return Container(_runtime(match[1], parts[:place]), match[2], _owner(path))
    return None


def _runtime(prefix: str | None, parents: list[str]) -> str:
    if prefix is not None:
        return _RUNTIME[prefix]
    near = (_PARENT.get(parent.partition("-")[0].removesuffix(".slice")) for parent in reversed(parents))
    return next(filter(None, near), "container")


def _owner(path: str) -> int:
    match = _OF_USER.search(path)
    return 0 if match is None else int(match[1] or match[2])


def _cgroups(entry: Path) -> str:
    try:
        return (entry / "cgroup").read_text("utf-8", "replace")
    except OSError:
        return ""


def _names_job(entry: Path) -> int | None:
    """Return the job that a process's environment names; None where it names none or may not be read."""
    try:
        words = (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return job_named([os.fsdecode(word) for word in words])

"""Which fence jobs can get on this machine, and why no better one: asked once, before the first job."""

import logging
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dcdaemon.core.errors import BadConfig

AUTO, UNIT, SHIM, NONE = "auto", "unit", "shim", "none"
Manager = Literal["system", "user"]
#: The first systemd with all that a job's unit is given: OOMPolicy= came last, in 243.
OLDEST_SYSTEMD = 243
ANSWER_WITHIN_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Isolation:
    """How jobs are fenced: `unit`, `shim`, or `none` where this daemon must not start any.

    `reasons` say why there are no units; `cgroup` is the path of the manager's own control group, "" for the system's.
    """

    name: str
    manager: Manager | None = None
    cgroup: str = ""
    reasons: tuple[str, ...] = ()
    sandboxed: bool = False

    @property
    def devices_fenced(self) -> bool:
        """Whether the kernel keeps a job from GPUs that are not its own; a user's manager may not ask for that."""
        return self.name == UNIT and self.manager == "system"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a service manager said of itself."""

    version: int
    cgroup: str


def ask_manager(manager: Manager) -> Asked | str:
    """Ask systemd for its version and control group; a text says why there is no answer."""
    command = ["systemctl", f"--{manager}", "show", "--property=Version", "--property=ControlGroup"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
            env=manager_environment(os.environ),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the {manager} manager cannot be asked: {error}"
    said = dict(line.partition("=")[::2] for line in answer.stdout.splitlines())
    version = re.match(r"\d+", said.get("Version", ""))
    if answer.returncode != 0 or version is None:
        return f"the {manager} manager does not answer: {answer.stderr.strip() or 'it names no version'}"
    return Asked(int(version[0]), said.get("ControlGroup", "").rstrip("/"))


def manager_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return what systemd's own tools need of the environment, and messages in English."""
    kept = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "HOME")
    return {"LC_ALL": "C", **{name: env[name] for name in kept if name in env}}


@dataclass(frozen=True, slots=True)
class Host:
    """The machine as the choice sees it; `root` is where its files are."""

    root: Path = Path("/")
    uid: int = field(default_factory=os.geteuid)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    ask: Callable[[Manager], Asked | str] = ask_manager

    def text(self, path: str) -> str:
        """Read a file; what cannot be read is empty."""
        try:
            return (self.root / path).read_text("ascii", "replace")
        except OSError:
            return ""

    def link(self, path: str) -> str | None:
        """Return where a link of /proc leads; None for one that this user may not follow."""
        try:
            return str((self.root / path).readlink())
        except OSError:
            return None


def isolation_here(host: Host | None = None) -> Isolation:
    """Tell the best fence that jobs can get here: a unit each, else the shim alone; starts and changes nothing."""
    host = host or Host()
    manager: Manager = "system" if host.uid == 0 else "user"
    reasons = _missing(host, manager)
    sandboxed = _sandboxed(host)
    asked = host.ask(manager) if not reasons else None
    if isinstance(asked, str):
        reasons.append(asked)
    if isinstance(asked, Asked) and asked.version < OLDEST_SYSTEMD:
        reasons.append(f"systemd {asked.version} is older than {OLDEST_SYSTEMD}")
    if isinstance(asked, Asked) and not reasons:
        return Isolation(UNIT, manager, asked.cgroup, sandboxed=sandboxed)
    return Isolation(NONE if sandboxed else SHIM, reasons=tuple(reasons), sandboxed=sandboxed)


def choose_isolation(wanted: str, here: Isolation | None = None) -> Isolation:
    """Return the fence for a setting of `[jobs] isolation`; raise BadConfig where it cannot be had."""
    here = here or isolation_here()
    if wanted == SHIM and here.sandboxed:
        raise BadConfig(
            "jobs.isolation = shim cannot be used here: this daemon's unit is sandboxed, and its jobs would be, too",
            "set it to auto, or take the sandbox (NoNewPrivileges=, CapabilityBoundingSet=, ...) out of its unit",
        )
    if wanted == SHIM:
        return Isolation(SHIM, reasons=("jobs.isolation = shim",))
    if wanted == UNIT and here.name != UNIT:
        raise BadConfig(
            f"jobs.isolation = unit cannot be used here: {'; '.join(here.reasons)}",
            "set it to auto for the best that this machine has (docs/isolation.md)",
        )
    return here


def _missing(host: Host, manager: Manager) -> list[str]:
    """Return what stands in the way of units, before anybody is asked."""
    reasons = []
    # Also the name of process 1: a container may have the host's /run, and its jobs do not belong to the host.
    if not (host.root / "run/systemd/system").is_dir() or host.text("proc/1/comm").strip() not in ("systemd", ""):
        reasons.append("systemd does not run this machine")
    if not (host.root / "sys/fs/cgroup/cgroup.controllers").exists():
        reasons.append("the kernel's control groups are not version 2 alone")
    if shutil.which("systemd-run", path=host.env.get("PATH", os.defpath)) is None:
        reasons.append("systemd-run is not installed")
    if manager == "user" and not (host.root / "var/lib/systemd/linger" / _login(host.uid)).exists():
        reasons.append("this user's units end when the user logs out (loginctl enable-linger)")
    return reasons


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _sandboxed(host: Host) -> bool:
    """Tell whether systemd took something from this daemon that its jobs would miss: children inherit a sandbox."""
    if "INVOCATION_ID" not in host.env:  # not started by systemd
        return False
    own, first = _rights(host.text("proc/self/status")), _rights(host.text("proc/1/status"))
    if not first:  # hidden: from root only by a sandbox, from others on machines where users see but their own
        return host.uid == 0 or "NoNewPrivs:\t1" in own
    own_files, files = host.link("proc/self/ns/mnt"), host.link("proc/1/ns/mnt")
    # What process 1 has not is not taken from the daemon: so it is in containers.
    return own != first or (files is not None and own_files != files)


def _rights(status: str) -> tuple[str, ...]:
    """Return the lines of proc(5) that only ever lose rights."""
    names = ("NoNewPrivs:", "Seccomp:", "CapBnd:")
    return tuple(line for line in status.splitlines() if line.startswith(names))

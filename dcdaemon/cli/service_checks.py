"""The checks of `dcd doctor` on the service: under which profile it runs, and what is lost with it."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from dcdaemon.cli.check import FAIL, OK, WARN, Check
from dcdaemon.cli.show.words import count
from dcdaemon.client.answer import Document

_HERE = Path("/")
_INSTALL = "sudo dcd service install, or dcd service install --user for yourself alone"
_UNIT = re.compile(r"/dcdaemon\.service$", re.MULTILINE)
_REMOVE_IPC = re.compile(r"^\s*RemoveIPC\s*=\s*(\S+)", re.MULTILINE)
_OFF = frozenset({"no", "false", "off", "0"})
_LOGIND = ("usr/lib/systemd/logind.conf.d", "run/systemd/logind.conf.d", "etc/systemd/logind.conf.d")
_SECRET_FILES = ("etc/dcdaemon/dcdaemon.toml", "etc/dcdaemon/conf.d/*.toml", "etc/default/dcdaemon")
_DROP_INS = "etc/systemd/system/dcdaemon.service.d"


def service_checks(status: Document, root: Path = _HERE) -> Iterator[Check]:
    """Judge how the daemon is run and its jobs are fenced; `root` is where this machine's files are."""
    systemd = (root / "run/systemd/system").is_dir()
    unit = _unit_of(status["pid"], root)
    yield _profile(status, unit)
    isolation = status.get("isolation") or {}
    if isolation.get("name"):
        yield _fence(isolation, simulated=bool(status["simulated"]), systemd=systemd)
    if systemd and not (root / "sys/fs/cgroup/cgroup.controllers").exists():
        fix = "boot with systemd.unified_cgroup_hierarchy=1"
        yield Check("cgroup", WARN, "the kernel's control groups are version 1: jobs cannot be fenced by units", fix)
    if systemd and not status["uid"]:
        yield from _remove_ipc(root)
        yield from _own_paths(root)
    if not status["uid"]:
        yield from _code(status)
    yield from _secrets(root)
    if status["driver_version"] and not status["simulated"]:
        yield from _device_files(status["gpus"]["total"], root)
    elif status.get("driver_error") and unit is not None and _nvidia_nodes(root):
        message = f"/dev has {count(_nvidia_nodes(root), 'GPU')}, and the service may use none of them"
        yield Check(
            "devices", WARN, message, "the driver came after the service: systemctl restart dcdaemon (jobs go on)"
        )


def _unit_of(pid: int, root: Path) -> str | None:
    """Return whose unit the daemon is: system, user, or None when no service manager started it."""
    try:
        groups = (root / f"proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return None
    if not _UNIT.search(groups):
        return None
    return "user" if "/user@" in groups else "system"


def _profile(status: Document, unit: str | None) -> Check:
    if unit == "system":
        return Check("service", OK, "the node's service: systemd starts it at boot, and again when it fails")
    if unit == "user":
        return Check("service", OK, "a user's service: jobs run as that user alone")
    if status["simulated"]:
        return Check("service", OK, "a demonstration, started by hand")
    message = "the daemon was started by hand: nothing starts it again when it fails, or after a reboot"
    return Check("service", OK, message, _INSTALL)


def _fence(isolation: Document, *, simulated: bool, systemd: bool) -> Check:
    name, reasons = isolation["name"], "; ".join(isolation.get("reasons", ())) or "it is configured so"
    if name == "unit" and isolation.get("manager") == "system":
        return Check("isolation", OK, "each job runs in a systemd unit: the kernel fences its GPUs, memory and time")
    if name == "unit":
        message = "each job runs in a systemd unit: the kernel fences its memory and time, but no GPU"
        return Check("isolation", OK, message, "the service of the node fences GPUs, too: sudo dcd service install")
    if name == "none":
        return Check("isolation", FAIL, f"no job can be started: {reasons}", "docs/isolation.md tells what is needed")
    message = f"jobs run under the shim alone ({reasons}): memory is watched, GPUs are named; neither is a fence"
    # Where systemd is not to be had, nothing is amiss; it only is as it is.
    return Check(
        "isolation", WARN if systemd and not simulated else OK, message, "docs/isolation.md tells what is lost"
    )


def _remove_ipc(root: Path) -> Iterator[Check]:
    """Shared memory of a data loader must survive its user's logout (logind.conf(5): RemoveIPC=yes by default)."""
    if not (root / "etc/systemd/logind.conf").exists() and not (root / "usr/lib/systemd/systemd-logind").exists():
        return
    said = [_text(root / "etc/systemd/logind.conf")]
    drop_ins = {path.name: path for folder in _LOGIND for path in (root / folder).glob("*.conf")}
    said += [_text(drop_ins[name]) for name in sorted(drop_ins)]
    values = [value.lower() for text in said for value in _REMOVE_IPC.findall(text)]
    if values and values[-1] in _OFF:
        yield Check("logout", OK, "shared memory of jobs survives their users' logout")
        return
    yield Check(
        "logout", WARN,
        "logind removes a user's shared memory at his last logout, also that of his running jobs (data loaders)",
        "RemoveIPC=no in /etc/systemd/logind.conf.d/dcdaemon.conf below [Login], then systemctl restart systemd-logind",
    )  # fmt: skip


def _own_paths(root: Path) -> Iterator[Check]:
    """Compare where the service may write with the configuration, which may have moved since the installation."""
    from dcdaemon.admin.layout import outside
    from dcdaemon.admin.service import settings_of_service
    from dcdaemon.core.errors import BadConfig

    try:
        wanted = outside(settings_of_service(root))
    except BadConfig:
        return  # the daemon says itself what is wrong with it
    allowed = "".join(_text(path) for path in sorted((root / _DROP_INS).glob("*.conf")))
    missing = [str(path) for path in wanted if str(path) not in allowed]
    if missing:
        message = f"the service may not write to {', '.join(missing)}, which its configuration names"
        yield Check("paths", FAIL, message, "sudo dcd service install lets it; then it is started anew")


def _code(status: Document) -> Iterator[Check]:
    """Whoever may change the code of root's daemon is root."""
    from dcdaemon import __version__
    from dcdaemon.admin.environment import this_environment, weaknesses

    if status["version"] != __version__:
        message = f"the daemon is version {status['version']}, this program {__version__}"
        yield Check("version", WARN, message, "sudo dcd service install starts the daemon anew; jobs go on")
        return
    weakness = next(weaknesses(this_environment(), deep=False), None)
    if weakness is not None:
        message = f"the daemon runs as root, and {weakness.path} {weakness.why}: whoever may write there can be root"
        yield Check("code", WARN, message, "install it in /opt, by root: docs/service.md")


def _secrets(root: Path) -> Iterator[Check]:
    from dcdaemon.core.secrecy import mask_text

    for pattern in _SECRET_FILES:
        for path in sorted(root.glob(pattern)):
            text = _text(path)
            told = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
            if told and mask_text(told) != told and path.stat().st_mode & stat.S_IROTH:
                shown = f"/{path.relative_to(root)}"
                yield Check("secrets", WARN, f"every user can read the password in {shown}", f"chmod 600 {shown}")


def _device_files(total: int, root: Path) -> Iterator[Check]:
    nodes = _nvidia_nodes(root)
    if nodes < total:
        message = f"the driver has {count(total, 'GPU')}, /dev only {nodes}: jobs cannot open the others"
        yield Check("devices", WARN, message, "nvidia-modprobe -u -c 0, or start nvidia-persistenced at boot")


def _nvidia_nodes(root: Path) -> int:
    return sum(path.name[6:].isdecimal() for path in (root / "dev").glob("nvidia*"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

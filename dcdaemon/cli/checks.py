"""The checks of `dcd doctor`: each looks at one thing and says how to mend it."""

import ctypes
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from dcdaemon.cli.check import FAIL, OK, WARN, Check
from dcdaemon.cli.collector_checks import collector_checks
from dcdaemon.cli.gpu_checks import gpu_checks
from dcdaemon.cli.queue_checks import queue_checks
from dcdaemon.cli.service_checks import service_checks
from dcdaemon.cli.show.words import count, memory
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError, Unreachable

_COMPUTE = "compute"
_PERSISTENCED = Path("/run/nvidia-persistenced/socket")
_ENOUGH_DISK_BYTES = 2**30
_SCARCE_DISK_BYTES = 100 * 2**20
_WRONG_PYNVML_UP_TO = 11
_CLOCK_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES = 512  # more than sizeof(struct timex) anywhere


def local_checks() -> Iterator[Check]:
    """Look at this machine: Python, the NVML bindings, systemd, the clock."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Check("python", OK, f"Python {version}")
    yield _bindings()
    yield _systemd()
    yield _clock()


def daemon_checks(client: Client) -> Iterator[Check]:
    """Look at the daemon and at what it says about itself; one failed check when it does not answer."""
    try:
        status = client.get("/v1/status")
    except Unreachable as error:
        yield Check("daemon", FAIL, error.message, error.hint)
        return
    except DcdError as error:
        yield Check("daemon", FAIL, error.message, error.hint)
        return
    yield Check("daemon", OK, f"dcdaemon {status['version']} answers at {client.address.url} (pid {status['pid']})")
    yield from status_checks(status)
    yield from service_checks(status)
    yield from queue_checks(client)
    yield from gpu_checks(client)


def status_checks(status: Document) -> Iterator[Check]:
    """Judge the daemon's status document."""
    yield _duties(status)
    yield _driver(status)
    if status["driver_version"] and not status["simulated"]:
        yield _persistence()
    yield from collector_checks(status)
    yield _database(status["database"])
    yield from _disk(status["database"])
    yield from (
        Check("config", WARN, warning, "dcd config show --origin tells where each value comes from")
        for warning in status["config_warnings"]
    )
    if _is_user_service(status):
        yield _linger()


def _duties(status: Document) -> Check:
    late = [duty for duty in status["duties"] if not duty["ok"]]
    if not late:
        return Check("duties", OK, f"all {len(status['duties'])} duties tick on time")
    words = "; ".join(f"{duty['name']}: {duty['error'] or 'late'}" for duty in late)
    return Check("duties", FAIL, f"not on time: {words}", "dcd status shows each; journalctl -u dcdaemon tells why")


def _driver(status: Document) -> Check:
    total, roles = status["gpus"]["total"], status.get("roles", [_COMPUTE])
    if status["simulated"]:
        return Check("driver", OK, f"{total} simulated GPUs, no driver needed")
    if _COMPUTE not in roles:
        return Check("driver", OK, f"GPUs are not read: node.roles has {', '.join(roles)}, not {_COMPUTE}")
    if status.get("driver_error") or not status["driver_version"]:
        why = status.get("driver_error") or "none was found"
        if total:
            return Check("driver", WARN, f"{why}: nothing is known of {count(total, 'GPU')} now", "see nvidia-smi")
        return Check("driver", WARN, f"no NVIDIA driver ({why}): 0 GPUs, the host alone is watched", "see nvidia-smi")
    return Check("driver", OK, f"driver {status['driver_version']}, {total} GPUs seen")


def _persistence() -> Check:
    if _PERSISTENCED.exists():
        return Check("persistence", OK, "nvidia-persistenced keeps the driver loaded")
    # Asking the driver itself would take seconds, and hang with it; and while the daemon runs, it stays loaded.
    message = "nvidia-persistenced does not run: counters of GPUs may begin anew when nothing uses the driver"
    return Check("persistence", OK, message, "systemctl enable --now nvidia-persistenced, or nvidia-smi -pm 1")


def _database(base: Document) -> Check:
    if base.get("error"):
        return Check(
            "database", FAIL, base["error"], "jobs that run go on; what has to wait is written when it is back"
        )
    words = f"{base['url']}, {memory(base['size_bytes'])}, schema {base['schema']}"
    if base["samples_dropped"]:
        fix = "the disk is too slow or full: dcd doctor, df -h"
        return Check("database", WARN, f"{words}, {base['samples_dropped']} samples dropped", fix)
    return Check("database", OK, words)


def _disk(base: Document) -> Iterator[Check]:
    place = Path((base["url"] or "").removeprefix("sqlite:///")).parent
    if base["dialect"] != "sqlite" or not place.is_dir():
        return
    stat = os.statvfs(place)
    free = stat.f_bavail * stat.f_frsize
    level = OK if free >= _ENOUGH_DISK_BYTES else WARN if free >= _SCARCE_DISK_BYTES else FAIL
    fix = None if level == OK else "make room there, or move daemon.state_dir"
    yield Check("disk", level, f"{memory(free)} free in {place}", fix)


def _bindings() -> Check:
    try:
        version = metadata.version("pynvml")
    except metadata.PackageNotFoundError:
        return Check("nvml", OK, "NVIDIA's own NVML bindings are in use")
    if int(version.partition(".")[0]) <= _WRONG_PYNVML_UP_TO:
        fix = f"{sys.executable} -m pip uninstall pynvml, then: pip install --force-reinstall nvidia-ml-py"
        return Check("nvml", FAIL, f"the outdated package pynvml {version} hides NVIDIA's bindings", fix)
    return Check("nvml", OK, f"pynvml {version} is only a wrapper of NVIDIA's bindings")


def _systemd() -> Check:
    if Path("/run/systemd/system").is_dir():
        return Check("systemd", OK, "systemd runs this machine")
    return Check("systemd", OK, "no systemd here: jobs run under the shim alone")


def _clock() -> Check:
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is not None and adjtimex(timex) == _CLOCK_UNSYNCHRONISED:
        fix = "timedatectl set-ntp true, or run chrony"
        return Check("clock", WARN, "the clock is not synchronised: recorded times may be off", fix)
    return Check("clock", OK, "the clock is synchronised")


def _is_user_service(status: Document) -> bool:
    return bool(status["uid"]) and Path("/run/systemd/system").is_dir()


def _linger() -> Check:
    import pwd

    user = pwd.getpwuid(os.getuid()).pw_name
    if Path("/var/lib/systemd/linger", user).exists():
        return Check("linger", OK, f"{user}'s services outlive the last logout")
    fix = f"loginctl enable-linger {user}"
    return Check("linger", WARN, f"{user}'s daemon and its jobs end at the last logout", fix)

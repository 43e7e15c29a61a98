"""systemd's own programs, run as a person would; in a machine's image only what needs no running systemd."""

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dcdaemon.core.errors import StartFailed
from dcdaemon.runner import cgroup

RUNNING = Path("/run/systemd/system")
_HERE = Path("/")
#: Longer than a start may take (TimeoutStartSec=10min: a long history may have to be migrated).
_WITHIN_S = 660.0
_JOBS = "dcd-job-*.service"
#: What every job has in its environment.
_MARK = b"DCD_JOB_ID="


class Systemd:
    """The system's manager, the user's, or the units of an image at `root`, which nothing runs."""

    def __init__(self, *, user: bool = False, root: Path = _HERE) -> None:
        self._scope = ("--user",) if user else ()
        self._root = () if root == _HERE else (f"--root={root}",)

    @property
    def live(self) -> bool:
        """Whether units can be started, and not only enabled for the next boot."""
        return not self._root

    def answers(self) -> bool:
        """Tell whether the manager can be asked; who came by `su` has no way to their own."""
        return not self.live or self._ask("show", "--property=Version").returncode == 0

    def is_enabled(self, unit: str) -> bool:
        """Tell whether a unit is started at boot."""
        return self._ask("is-enabled", unit).returncode == 0

    def is_active(self, unit: str) -> bool:
        """Tell whether a unit runs."""
        return self.live and self._ask("is-active", unit).returncode == 0

    def jobs(self) -> list[str]:
        """Return the units of jobs that are there now."""
        if not self.live:
            return []
        printed = self._ask("list-units", "--plain", "--no-legend", "--full", _JOBS).stdout
        return [line.split()[0] for line in printed.splitlines() if line.strip()]

    def jobs_within(self, unit: str, procfs: Path = Path("/proc"), cgroups: Path = cgroup.ROOT) -> set[str]:
        """Return the ids of jobs that are children of a unit, as earlier versions started them; needs root."""
        group = self._ask("show", "--property=ControlGroup", "--value", unit).stdout.strip() if self.live else ""
        found: set[str] = set()
        # With control groups of version 1 the manager's own are one level further down.
        places = [cgroups / group.lstrip("/"), cgroups / "systemd" / group.lstrip("/")] if group else []
        for pid in (pid for place in places for pid in cgroup.pids_in(place)):
            with contextlib.suppress(OSError):
                entries = (procfs / str(pid) / "environ").read_bytes().split(b"\0")
                found |= {entry[len(_MARK) :].decode() for entry in entries if entry.startswith(_MARK)}
        return found

    def enable(self, unit: str) -> None:
        """Have a unit started at boot."""
        self._do("enable", unit)

    def disable(self, unit: str) -> None:
        """Stop a unit, and have it started no more; one that is not there is well."""
        self._ask("disable", *(("--now",) if self.live else ()), unit)

    def start(self, unit: str, verb: str = "start") -> None:
        """Start or restart a unit and wait until it says that it is ready; raise StartFailed."""
        self._ask("reset-failed", unit)
        self._do(verb, unit)

    def reread(self) -> None:
        """Read all units again."""
        self._do("daemon-reload")

    def make(self, sysusers: Path | None, tmpfiles: Path | None) -> None:
        """Create the accounts and directories that these files name."""
        if sysusers is not None:
            _run(["systemd-sysusers", *self._root, str(sysusers)])
        if tmpfiles is not None:
            _run(["systemd-tmpfiles", *self._root, "--create", str(tmpfiles)])

    def _do(self, *arguments: str) -> None:
        _run(["systemctl", *self._scope, *self._root, *arguments])

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _called(["systemctl", *self._scope, *self._root, *arguments])


def _run(command: Sequence[str]) -> None:
    done = _called(command)
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise StartFailed(
            f"{' '.join(command)} failed: {said}", "journalctl -u dcdaemon -n 50 tells why; run the install again after"
        )


def _called(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except FileNotFoundError as error:
        raise StartFailed(f"{command[0]} is not here", "dcd service needs systemd; dcd daemon run does not") from error
    except subprocess.TimeoutExpired as error:
        raise StartFailed(f"{' '.join(command)} did not end", "systemctl status dcdaemon tells what it does") from error

"""Has systemd start the shims, each in a unit of its own; a launch of unknown fate is for the caller to void."""

import logging
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dcdaemon.core.errors import StartFailed
from dcdaemon.runner import cgroup
from dcdaemon.runner.devices import job_devices, uvm_missing
from dcdaemon.runner.isolation import Isolation, manager_environment
from dcdaemon.runner.processes import Identity, identify, parent_of
from dcdaemon.runner.records import LaunchSpec
from dcdaemon.runner.spawner import FateUnknownError, Launched
from dcdaemon.runner.units import run_command, unit_name, unit_path

ANSWER_WITHIN_S = 20.0
#: How long a unit of an attempt that is over may take to go: its processes are gone by then.
NAME_FREE_WITHIN_S = 5.0
LOOK_AGAIN_S = 0.02
_NAME_TAKEN = "was already loaded or has a fragment file"

log = logging.getLogger(__name__)


class UnitSpawner:
    """Starts shims by systemd-run; holds no process of its own."""

    pid: int | None = None
    #: Each may take as long as systemd-run is waited for.
    tries = 2

    def __init__(self, isolation: Isolation, more_devices: Sequence[str] = ()) -> None:
        """Prepare; nothing has to be started."""
        self._isolation = isolation
        self._more_devices = tuple(more_devices)
        self._told_of_uvm = False

    def start(self) -> None:
        """Do nothing: systemd runs."""

    def close(self) -> None:
        """Do nothing: units belong to systemd, and go on."""

    def spawn(self, directory: Path, launch: int, spec: LaunchSpec) -> Launched:
        """Start the shim in the job's unit; raise StartFailed when none was, FateUnknownError when one may be."""
        if spec.gpu_minors and uvm_missing():
            self._make_uvm()
        devices = job_devices(spec.gpu_minors, instance=spec.gpu_instance, more=self._more_devices)
        self._ask(run_command(spec, directory, launch, self._isolation, devices), spec.job_id)
        shim = shim_in(cgroup.ROOT / unit_path(self._isolation, spec.job_id).lstrip("/"))
        if shim is None:
            raise FateUnknownError("its unit ended before anyone looked")
        return Launched(shim.pid, shim.start_ticks)

    def _ask(self, command: Sequence[str], job_id: int) -> None:
        """Run it until the unit of an earlier attempt has let go of the name."""
        deadline = time.monotonic() + NAME_FREE_WITHIN_S
        while (refusal := _run(command)) is not None:
            if _NAME_TAKEN not in refusal:
                raise FateUnknownError(refusal)
            if time.monotonic() >= deadline:
                raise StartFailed(
                    f"cannot start job {job_id}: there is a unit {unit_name(job_id)} already",
                    f"systemctl status {unit_name(job_id)} tells whose it is; another daemon may run on this machine",
                )
            time.sleep(LOOK_AGAIN_S)

    def _make_uvm(self) -> None:
        """Have the driver make CUDA's memory device: inside a fence nobody can, and CUDA fails without it."""
        command = ("systemd-run", "--quiet", "--collect", "--service-type=oneshot", "nvidia-modprobe", "-u", "-c=0")
        refusal = _run(command) if self._isolation.devices_fenced else None
        if refusal is not None and not self._told_of_uvm:
            self._told_of_uvm = True  # once: it would be said at each start of a job with GPUs
            log.warning("CUDA's memory device is missing: %s", refusal, extra={"action": "uvm_missing"})


def _run(command: Sequence[str]) -> str | None:
    """Run a tool of systemd; return why it failed, None when it did not."""
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
            env=manager_environment(os.environ),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if answer.returncode == 0:
        return None
    return answer.stderr.strip() or f"{command[0]} ended with {answer.returncode}"


def shim_in(directory: Path) -> Identity | None:
    """Return the process of a new unit that the others in it come from; None when there is none any more."""
    pids = set(cgroup.pids_in(directory))
    return next((found for pid in pids if parent_of(pid) not in pids and (found := identify(pid)) is not None), None)

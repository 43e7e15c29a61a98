"""A job's transient unit as systemd-run is asked for it: its name, its properties and the reason for each."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from dcdaemon.runner.isolation import Isolation
from dcdaemon.runner.records import LaunchSpec

SHIM = Path(__file__).with_name("shim.py")
SLICE = "dcdaemon-jobs.slice"
#: A dash in a slice's name is a step down (systemd.slice(5)).
SLICE_PATH = "dcdaemon.slice/dcdaemon-jobs.slice"
WEIGHT_PER_CPU, WEIGHT_MOST = 10, 10_000
#: How much later than the shim's own deadlines systemd steps in, where the shim has failed.
BACKSTOP_S, STOP_MARGIN_S = 60, 10


def unit_name(job_id: int) -> str:
    """Return the name of a job's unit, one for all its attempts: systemd refuses a second unit of the same name."""
    return f"dcd-job-{job_id}.service"


def unit_path(isolation: Isolation, job_id: int) -> str:
    """Return the path of a job's control group, from the root of the hierarchy."""
    return f"{isolation.cgroup}/{SLICE_PATH}/{unit_name(job_id)}"


def run_command(
    spec: LaunchSpec, directory: Path, launch: int, isolation: Isolation, devices: Sequence[str]
) -> list[str]:
    """Return the command that has systemd start the shim of this launch in the job's unit."""
    asked = properties(spec, launch) + (device_fence(devices) if isolation.devices_fenced else [])
    shim = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(SHIM), str(directory), str(launch)]
    return [
        "systemd-run", f"--{isolation.manager}", "--quiet", "--no-ask-password", "--collect", "--service-type=exec",
        f"--unit={unit_name(spec.job_id)}", f"--slice={SLICE}", *(f"--property={line}" for line in asked), "--",
        # systemd expands variables in the arguments of a unit (systemd.service(5)).
        *(word.replace("$", "$$") for word in shim),
    ]  # fmt: skip


def properties(spec: LaunchSpec, launch: int) -> list[str]:
    """Return what the unit is given beside its devices; docs/isolation.md has the reason for each line."""
    return [
        f"Description=dcdaemon job {spec.job_id}, attempt {spec.attempt}, launch {launch}",
        # The shim alone is told to end, and ends its job as the job wished; what is left of it then is killed.
        "KillMode=mixed",
        f"TimeoutStopSec={math.ceil(spec.grace_s + STOP_MARGIN_S)}",
        *_time(spec),
        # One process of a job killed for its memory is the job's to notice; the shim sees it, and must live on.
        "OOMPolicy=continue",
        "OOMScoreAdjust=-900",
        *_memory(spec),
        f"CPUWeight={min(WEIGHT_PER_CPU * max(spec.cpus, 1), WEIGHT_MOST)}",
        "TasksMax=infinity",
        "LimitMEMLOCK=infinity",
        "LimitNOFILE=1048576",
        "CPUAccounting=yes",
        "MemoryAccounting=yes",
        "IOAccounting=yes",
        "TasksAccounting=yes",
    ]


def device_fence(devices: Sequence[str]) -> list[str]:
    """Return the lines that close all devices but these and the harmless ones of systemd.resource-control(5)."""
    return ["DevicePolicy=closed", *(f"DeviceAllow={device} rw" for device in devices)]


def _time(spec: LaunchSpec) -> list[str]:
    # Whole seconds: systemd refuses 1.2e+06, and nothing is lost by a backstop that comes a moment later.
    return [] if spec.limit_s is None else [f"RuntimeMaxSec={math.ceil(spec.limit_s + spec.grace_s + BACKSTOP_S)}"]


def _memory(spec: LaunchSpec) -> list[str]:
    # Without the second line the kernel would swap the job out for hours before it ends.
    return [f"MemoryMax={spec.mem_bytes}", "MemorySwapMax=0"] if spec.mem_bytes else []

"""The SLURM_ variables that are known when a job is submitted; the daemon adds those that tell where it runs."""

import os
from collections.abc import Mapping

from dcdaemon.cli.sbatch.request import Request
from dcdaemon.cli.sbatch.resources import Resources
from dcdaemon.cli.sbatch.values import Gpus
from dcdaemon.core.array import Array

#: Asks the daemon for the SLURM_ variables of each job with this environment.
MARK = "DCD_SBATCH"
_MIB = 1024 * 1024
_NOT_INHERITED = ("SLURM_", "SLURMD_", "SBATCH_")


def slurm_environment(
    env: Mapping[str, str], request: Request, resources: Resources, array: Array | None, submit_dir: str
) -> dict[str, str]:
    """Return the environment without what another Slurm job left in it, and with what this script was given."""
    kept = {key: value for key, value in env.items() if not key.startswith(_NOT_INHERITED)}
    told = {
        "SLURM_SUBMIT_DIR": submit_dir,
        "SLURM_SUBMIT_HOST": os.uname().nodename,
        "SLURM_NTASKS": resources.ntasks,
        "SLURM_NPROCS": resources.ntasks,
        "SLURM_TASKS_PER_NODE": resources.ntasks or 1,
        "SLURM_NTASKS_PER_NODE": request.ntasks_per_node,
        "SLURM_CPUS_PER_TASK": request.cpus_per_task,
        "SLURM_CPUS_PER_GPU": request.cpus_per_gpu,
        "SLURM_GPUS": _number(request.gpus),
        "SLURM_GPUS_PER_NODE": _number(request.gpus_per_node),
        "SLURM_GPUS_PER_TASK": _number(request.gpus_per_task),
        "SLURM_MEM_PER_NODE": _mib(request.mem_bytes),
        "SLURM_MEM_PER_CPU": _mib(request.mem_per_cpu_bytes),
        "SLURM_MEM_PER_GPU": _mib(request.mem_per_gpu_bytes),
        **(_of_array(array) if array else {}),
    }
    return {**kept, MARK: "1", **{key: str(value) for key, value in told.items() if value is not None}}


def _of_array(array: Array) -> dict[str, int]:
    first, second = array.indices[0], array.indices[1:2]
    return {
        "SLURM_ARRAY_TASK_COUNT": len(array.indices),
        "SLURM_ARRAY_TASK_MIN": first,
        "SLURM_ARRAY_TASK_MAX": array.indices[-1],
        "SLURM_ARRAY_TASK_STEP": second[0] - first if second else 1,
    }


def _number(gpus: Gpus | None) -> int | None:
    return None if gpus is None else gpus.number


def _mib(size_bytes: int | None) -> int | None:
    """Return whole mebibytes, as Slurm counts memory; None where nothing is reserved."""
    return -(-size_bytes // _MIB) if size_bytes else None

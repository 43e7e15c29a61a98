"""The SLURM_ variables that tell a job which one it is and where, for scripts that were written for Slurm."""

from collections.abc import Mapping

from dcdaemon.core.job import Job

#: The variable by which an environment asks for them; `dcd submit --sbatch` sets it.
MARK = "DCD_SBATCH"


def slurm_environment(job: Job) -> Mapping[str, str]:
    """Return the variables that sbatch sets; what was asked for (tasks, CPUs a task ...) is known to the submit."""
    return {**_identity(job), **_place(job), **_gpus(job), **_array(job), **_restarts(job)}


def _identity(job: Job) -> dict[str, str]:
    spec = job.spec
    return {
        "SLURM_JOB_ID": str(job.id), "SLURM_JOBID": str(job.id), "SLURM_JOB_NAME": spec.name,
        "SLURM_JOB_USER": spec.user, "SLURM_JOB_UID": str(spec.uid), "SLURM_JOB_GID": str(spec.gid),
        **({"SLURM_JOB_PARTITION": spec.queue} if spec.queue else {}),
        **({"SLURM_JOB_ACCOUNT": spec.account} if spec.account else {}),
    }  # fmt: skip


def _place(job: Job) -> dict[str, str]:
    """Return the one node, and that the script is its first and only task."""
    cpus = str(job.spec.cpus)
    return {
        "SLURM_JOB_NODELIST": job.node, "SLURM_NODELIST": job.node, "SLURMD_NODENAME": job.node,
        "SLURM_JOB_NUM_NODES": "1", "SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0", "SLURM_CPUS_ON_NODE": cpus, "SLURM_JOB_CPUS_PER_NODE": cpus,
    }  # fmt: skip


def _gpus(job: Job) -> dict[str, str]:
    if not job.gpus:
        return {}
    return {"SLURM_GPUS_ON_NODE": str(len(job.gpus)), "SLURM_JOB_GPUS": ",".join(map(str, job.gpus))}


def _array(job: Job) -> dict[str, str]:
    spec = job.spec
    if spec.array_id is None:
        return {}
    return {"SLURM_ARRAY_JOB_ID": str(spec.array_id), "SLURM_ARRAY_TASK_ID": str(spec.array_index)}


def _restarts(job: Job) -> dict[str, str]:
    """Return how often it ran before; not set for a first attempt, as in Slurm."""
    return {"SLURM_RESTART_COUNT": str(job.attempt - 1)} if job.attempt > 1 else {}

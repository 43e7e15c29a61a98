"""`srun` inside a batch script: starts the tasks of one command on this node, which the job has already.

It knows one node and no MPI: each task is told its rank by SLURM_PROCID, as torch.distributed and the like read it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from dcdaemon.cli.sbatch.step import Step, read_step, task_environment
from dcdaemon.core.errors import DcdError
from dcdaemon.core.log_path import replaced

_CANNOT = 1
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
Task = subprocess.Popen[bytes]


def main(arguments: Sequence[str]) -> int:
    """Run one step; return the highest exit code of its tasks, 128 and the number for a signal; 1 if it cannot be."""
    try:
        step = read_step(arguments, os.environ)
        if step.ntasks > 1:
            sys.stderr.write(f"srun: {step.ntasks} tasks on this node; ranks are in SLURM_PROCID, MPI is not set up\n")
        return _run(step, os.environ)
    except DcdError as error:
        sys.stderr.write(f"srun: error: {error.message}\nsrun: hint: {error.hint}\n")
    except OSError as error:
        sys.stderr.write(f"srun: error: {error.filename or 'cannot start'}: {error.strerror}\n")
    return _CANNOT


def _run(step: Step, env: Mapping[str, str]) -> int:
    tasks: list[Task] = []

    def forward(number: int, _: FrameType | None) -> None:
        _signal(tasks, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    try:
        for rank in range(step.ntasks):
            tasks.append(_start(step, rank, env))  # noqa: PERF401  a signal must reach those that run already
    except OSError:
        _signal(tasks, signal.SIGTERM)
        raise
    return max(_codes(tasks, kill_others=step.kill_others))


def _start(step: Step, rank: int, env: Mapping[str, str]) -> Task:
    own = task_environment(step, rank, env)
    out = None if step.output is None else _open(step.output, own)
    err = _open(step.error, own) if step.error is not None else None if out is None else subprocess.STDOUT
    task = subprocess.Popen(step.argv, env=own, cwd=step.chdir, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
    for descriptor in (out, err):
        if descriptor is not None and descriptor >= 0:
            os.close(descriptor)
    return task


def _open(pattern: str, env: Mapping[str, str]) -> int:
    job, index = env.get("SLURM_JOB_ID", "0"), env.get("SLURM_ARRAY_TASK_ID", "0")
    meanings = {
        "A": env.get("SLURM_ARRAY_JOB_ID", job), "a": index, "b": index[-1:], "j": job, "J": f"{job}.0",
        "N": env.get("SLURMD_NODENAME", "").partition(".")[0], "n": "0", "s": "0", "t": env["SLURM_PROCID"],
        "u": env.get("SLURM_JOB_USER", ""), "x": env.get("SLURM_JOB_NAME", "").replace("/", "_"),
    }  # fmt: skip
    return os.open(replaced(pattern, meanings), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _codes(tasks: Sequence[Task], *, kill_others: bool) -> list[int]:
    """Return how each task ended, in the order in which they did."""
    codes: list[int] = []
    while len(codes) < len(tasks):
        # Left unreaped here: only the task's own `wait` may take its status.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        task = next(task for task in tasks if ended is not None and task.pid == ended.si_pid)
        code = task.wait()
        codes.append(code if code >= 0 else 128 - code)
        if code and kill_others:
            _signal(tasks, signal.SIGTERM)
    return codes


def _signal(tasks: Sequence[Task], number: int) -> None:
    """Signal the tasks that have not been reaped; their pids are still theirs."""
    for task in tasks:
        if task.returncode is None:
            os.kill(task.pid, number)

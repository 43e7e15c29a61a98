"""Read one call of `srun`: how many tasks of which command, and what each of them is told."""

import getopt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcdaemon.cli.sbatch.export import exported
from dcdaemon.cli.sbatch.options import ALIASES, OPTIONS, SHORT, Takes
from dcdaemon.cli.sbatch.values import count, gpus_of, one_node
from dcdaemon.core.errors import BadInput

#: What srun knows and sbatch does not; a `=` marks those with a value.
_OWN_LONG = (
    "accel-bind=", "cpu-bind=", "cpu_bind=", "mem_bind=", "label", "unbuffered", "kill-on-bad-exit", "mpi=", "overlap",
    "exact", "relative=", "wait=", "pty", "multi-prog", "het-group=", "jobid=", "preserve-env", "no-allocate",
    "task-epilog=", "task-prolog=", "msg-timeout=",
)  # fmt: skip
_OWN_SHORT = {
    "l": "label", "u": "unbuffered", "K": "kill-on-bad-exit", "r": "relative", "W": "wait", "E": "preserve-env",
}  # fmt: skip
_REFUSED = {
    "pty": "a job has no terminal",
    "multi-prog": "start each program with an srun of its own, & behind it, and wait at the end",
    "het-group": "a job has one part",
    "input": "write < FILE behind the command",
    **dict.fromkeys(("container", "container-image", "image"), "start the container by its own command"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One call of srun; what is None is as the job has it."""

    argv: tuple[str, ...]
    ntasks: int = 1
    gpus_per_task: int | None = None
    output: str | None = None
    error: str | None = None
    chdir: str | None = None
    export: str | None = None
    kill_others: bool = False


def read_step(arguments: Sequence[str], env: Mapping[str, str]) -> Step:
    """Read srun's options; what is not among them comes from the job. Raise BadInput for what cannot be met."""
    given, argv = _parse(arguments)
    if not argv:
        raise BadInput("no command is given", "write it behind the options: srun -n 2 python train.py")
    for name, hint in _REFUSED.items():
        if name in given:
            raise BadInput(f"--{name} cannot be met here", hint)
    one_node(given.get("nodes", "1"))
    ntasks = count(given.get("ntasks") or given.get("ntasks-per-node") or _of_job(env), "tasks")
    if ntasks > 1 and given.get("mpi", "none") != "none":
        raise BadInput("MPI is not set up for tasks", "start the program with mpirun instead of srun")
    gpus = given.get("gpus-per-task") or env.get("SLURM_GPUS_PER_TASK")
    each = None if gpus is None else gpus_of(gpus).number
    _refuse_too_few(ntasks, each or 0, env)
    return Step(
        tuple(argv), ntasks, each, given.get("output"), given.get("error"),
        given.get("chdir"), given.get("export"), "kill-on-bad-exit" in given,
    )  # fmt: skip


def task_environment(step: Step, rank: int, env: Mapping[str, str]) -> dict[str, str]:
    """Return what one task is told: its rank, and the GPUs that are its own where each task has some."""
    slurm = {name: value for name, value in env.items() if name.startswith("SLURM")}
    number = str(step.ntasks)
    told = {
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0", "SLURM_STEP_ID": "0",
        "SLURM_STEPID": "0", "SLURM_NTASKS": number, "SLURM_NPROCS": number, "SLURM_STEP_NUM_TASKS": number,
        "SLURM_TASKS_PER_NODE": number, "SLURM_STEP_TASKS_PER_NODE": number, "SLURM_STEP_NUM_NODES": "1",
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
    }  # fmt: skip
    own = {**exported(step.export, env), **slurm, **told}
    visible = env.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        own["CUDA_VISIBLE_DEVICES"] = _share(visible, rank, step.gpus_per_task)
    return own


def _share(visible: str, rank: int, each: int | None) -> str:
    if each is None:
        return visible
    return ",".join(visible.split(",")[rank * each :][:each])


def _refuse_too_few(ntasks: int, each: int, env: Mapping[str, str]) -> None:
    """Raise BadInput where some task would have to go without its GPUs; outside of a job nobody knows how many."""
    visible = env.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not each:
        return
    has = len([gpu for gpu in visible.split(",") if gpu])
    if ntasks * each > has:
        tasks = "1 task needs" if ntasks == 1 else f"{ntasks} tasks need"
        raise BadInput(
            f"{tasks} {ntasks * each} GPUs with --gpus-per-task={each}, and the job has {has}",
            "run fewer tasks, or ask for more GPUs in the script: #SBATCH --gpus=N",
        )


def _of_job(env: Mapping[str, str]) -> str:
    return env.get("SLURM_NTASKS") or env.get("SLURM_NTASKS_PER_NODE") or "1"


def _parse(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return options by long name, and the command; the table is sbatch's, and a few more."""
    takes_value = {name for name, option in OPTIONS.items() if option.takes is Takes.VALUE}
    takes_value |= {name.removesuffix("=") for name in _OWN_LONG if name.endswith("=")}
    letters = {**SHORT, **_OWN_SHORT}
    short = "".join(letter + ":" * (name in takes_value) for letter, name in letters.items())
    long = [name + "=" * (ALIASES.get(name, name) in takes_value) for name in (*OPTIONS, *ALIASES) if name != "wait"]
    try:
        found, argv = getopt.getopt([_alone(argument) for argument in arguments], short, [*long, *_OWN_LONG])
    except getopt.GetoptError as error:
        raise BadInput(error.msg, "docs/slurm.md tells what srun can do inside a job") from None
    given: dict[str, str] = {}
    for option, value in found:
        name = option.removeprefix("--") if option.startswith("--") else letters[option[1]]
        given[ALIASES.get(name, name)] = value
    return given, argv


def _alone(argument: str) -> str:
    """Take the value off an option that may have one, or none: `--exclusive=user`, `--kill-on-bad-exit=1`."""
    name = argument.removeprefix("--").partition("=")[0]
    maybe = name == "kill-on-bad-exit" or (name in OPTIONS and OPTIONS[name].takes is Takes.MAYBE)
    return f"--{name}" if argument.startswith("--") and maybe else argument

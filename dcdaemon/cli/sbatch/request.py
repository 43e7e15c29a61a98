"""What the lines of a batch script ask for: one plain value, read and checked, not yet counted together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dcdaemon.cli.sbatch.dependency import Dependency, dependency_of
from dcdaemon.cli.sbatch.lines import read_directives
from dcdaemon.cli.sbatch.parse import Given, sort_options
from dcdaemon.cli.sbatch.values import (
    Checkpoint,
    Gpus,
    checkpoint_of,
    count,
    gpus_of,
    gpus_of_gres,
    memory_bytes,
    one_node,
    time_limit_s,
)
from dcdaemon.core.errors import BadInput

_MOST_NICE = 2_147_483_645


@dataclass(frozen=True, slots=True)
class Request:
    """One batch script's wishes; None is what it does not say. `notes` tell what is not carried out, and why."""

    job_name: str | None = None
    output: str | None = None
    error: str | None = None
    time_limit_s: float | None = None
    partition: str | None = None
    account: str | None = None
    chdir: str | None = None
    export: str | None = None
    begin: str | None = None
    deadline: str | None = None
    array: str | None = None
    dependency: Dependency = field(default_factory=Dependency)
    requeue: bool | None = None
    hold: bool = False
    nice: int = 0
    gpus: Gpus | None = None
    gres: Gpus | None = None
    gpus_per_node: Gpus | None = None
    gpus_per_task: Gpus | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    ntasks_per_gpu: int | None = None
    cpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    mincpus: int | None = None
    mem_bytes: int | None = None
    mem_per_cpu_bytes: int | None = None
    mem_per_gpu_bytes: int | None = None
    nodelist: str | None = None
    exclude: str | None = None
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()


def read_request(text: str, source: str) -> Request:
    """Return what a script asks for; raise BadInput, with the line, for what is not understood or cannot be met."""
    directives = read_directives(text, source)
    options = sort_options(directives.words, source)
    values: dict[str, Any] = {}
    notes = [*directives.overlooked, *options.ignored]
    for name, given in options.wanted.items():
        try:
            values |= _READERS[name](given.value or "")
        except BadInput as error:
            raise _at(error, source, given) from error
    notes += _said_of(values)
    return Request(**{key: value for key, value in values.items() if not key.startswith("_")}, notes=tuple(notes))


def _at(error: BadInput, source: str, given: Given) -> BadInput:
    return BadInput(f"{source}, line {given.line}: {error.message}", error.hint)


def _said_of(values: dict[str, Any]) -> list[str]:
    """Return notes on what is understood, but carried out only in part."""
    notes = []
    error = values.get("error")
    if error is not None and error != values.get("output"):
        notes.append(f"--error={error} is ignored: errors go where the output goes")
    if values.get("mem_bytes") == 0:
        notes.append("--mem=0 reserves no memory: say how much the job needs")
    if values.get("deadline") is not None:
        notes.append("--deadline removes no job: one that comes too late goes behind those that do not")
    checkpoint = values.get("checkpoint")
    if checkpoint is not None and not checkpoint.to_script:
        del values["checkpoint"]
        notes.append("--signal without B: is ignored: no step gets a signal of its own; write B: and trap it")
    if not values.get("_open_mode", "append").startswith("a"):
        notes.append("--open-mode=truncate is ignored: output is added to the end of its file")
    return notes


Reader = Callable[[str], dict[str, Any]]


def _as(key: str, read: Callable[[str], Any] = str) -> Reader:
    return lambda text: {key: read(text)}


def _counted(key: str, what: str) -> Reader:
    return lambda text: {key: count(text, what)}


def _partition(text: str) -> dict[str, Any]:
    if "," in text:
        raise BadInput(f"a job waits in one queue, and {text!r} names several", "keep one of them")
    return {"partition": text}


def _input(text: str) -> dict[str, Any]:
    if text not in ("none", "/dev/null"):
        raise BadInput(f"a job's standard input is empty, not {text}", f"write < {text} behind the command")
    return {}


def _nodes(text: str) -> dict[str, Any]:
    one_node(text)
    return {}


def _nice(text: str) -> dict[str, Any]:
    number = text or "100"
    if not number.removeprefix("-").isdecimal() or abs(int(number)) > _MOST_NICE:
        raise BadInput(f"--nice={text} is no number", "write it like --nice=100")
    return {"nice": int(number)}


_READERS: dict[str, Reader] = {
    "account": _as("account"),
    "array": _as("array"),
    "begin": _as("begin"),
    "chdir": _as("chdir"),
    "cpus-per-gpu": _counted("cpus_per_gpu", "CPUs"),
    "cpus-per-task": _counted("cpus_per_task", "CPUs"),
    "deadline": _as("deadline"),
    "dependency": _as("dependency", dependency_of),
    "error": _as("error"),
    "exclude": _as("exclude"),
    "export": _as("export"),
    "gpus": _as("gpus", gpus_of),
    "gpus-per-node": _as("gpus_per_node", gpus_of),
    "gpus-per-task": _as("gpus_per_task", gpus_of),
    "gres": _as("gres", gpus_of_gres),
    "hold": lambda _: {"hold": True},
    "input": _input,
    "job-name": _as("job_name"),
    "mem": _as("mem_bytes", memory_bytes),
    "mem-per-cpu": _as("mem_per_cpu_bytes", memory_bytes),
    "mem-per-gpu": _as("mem_per_gpu_bytes", memory_bytes),
    "mincpus": _counted("mincpus", "CPUs"),
    "nice": _nice,
    "no-requeue": lambda _: {"requeue": False},
    "nodelist": _as("nodelist"),
    "nodes": _nodes,
    "ntasks": _counted("ntasks", "tasks"),
    "ntasks-per-gpu": _counted("ntasks_per_gpu", "tasks"),
    "ntasks-per-node": _counted("ntasks_per_node", "tasks"),
    "open-mode": _as("_open_mode"),
    "output": _as("output"),
    "partition": _partition,
    "requeue": lambda _: {"requeue": True},
    "signal": _as("checkpoint", checkpoint_of),
    "time": _as("time_limit_s", time_limit_s),
}

"""Make one job of the API of a batch script: its lines first, the options of the command line on top."""

import os
import pwd
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dcdaemon.cli.sbatch.begin import begin_at
from dcdaemon.cli.sbatch.environment import slurm_environment
from dcdaemon.cli.sbatch.export import exported
from dcdaemon.cli.sbatch.node import check_node
from dcdaemon.cli.sbatch.request import Request, read_request
from dcdaemon.cli.sbatch.resources import Resources, count_together, overruled
from dcdaemon.cli.sbatch.script import keep_copy, read_script
from dcdaemon.cli.sbatch.sharing import without_choices
from dcdaemon.cli.sbatch.tools import keep_tools
from dcdaemon.client.http import Client, Query
from dcdaemon.core.array import Array, parse_array
from dcdaemon.core.errors import BadInput

_USUAL_PRIORITY = 50
_NICE_PER_STEP = 10
_MOST_PRIORITY = 100
_AT_MOST = 1000
#: One of these on the command line replaces the whole --dependency of the script.
_DEPENDENCIES = frozenset({"after", "after_any", "after_not_ok"})


@dataclass(frozen=True, slots=True)
class Line:
    """The command line: the job it describes, which of its fields were written there, its --env, the arguments."""

    wish: Mapping[str, Any]
    written: AbstractSet[str]
    env: Mapping[str, str]
    pairs: Sequence[str]
    arguments: Sequence[str]

    def given(self, key: str) -> Any:
        """Return a field's value if it was written on the command line, else None."""
        return self.wish.get(key) if key in self.written else None


@dataclass(frozen=True, slots=True)
class Made:
    """The job and its environment as the API takes them, and what to tell about the lines."""

    job: dict[str, Any]
    env: dict[str, str]
    notes: tuple[str, ...]


def make_job(client: Client, file: str, line: Line, *, keep: bool) -> Made:
    """Return the job of a batch script; raise BadInput or Refused for what cannot be met. `keep` writes the copy."""
    script = read_script(file)
    request = read_request(script.text, script.source)
    request = overruled(request, line.given("gpus"), line.given("cpus"), line.given("mem_bytes"))
    request = without_choices(client, request, line.written)
    resources = count_together(request)
    indices = line.given("array") or request.array
    array = None if indices is None else parse_array(indices)
    check_node(client, request, resources.gpu_kinds)
    name = line.given("name") or request.job_name or script.name
    waiting = {} if line.written & _DEPENDENCIES else _waiting(client, request, name)
    said = _fields(request, resources, array) | waiting | {"name": name}
    job = {**line.wish, **{key: value for key, value in said.items() if key not in line.written}}
    env = _environment(request, resources, array, line)
    path = script.source
    if keep:
        path = str(keep_copy(script))
        env["PATH"] = _path_with(str(keep_tools()), env.get("PATH", os.defpath))
    return Made({**job, "argv": [path, *line.arguments]}, env, request.notes)


def _fields(request: Request, resources: Resources, array: Array | None) -> dict[str, Any]:
    """Return what the lines say, under the names of the API."""
    cwd = Path.cwd() / (request.chdir or "")
    fields = {
        "cwd": str(cwd),
        "gpus": resources.gpus,
        "gpu_mem_bytes": resources.gpu_mem_bytes,
        "cpus": resources.cpus,
        "mem_bytes": resources.mem_bytes,
        "limit_s": request.time_limit_s,
        "queue": request.partition,
        "account": request.account,
        "requeue": request.requeue,
        "held": request.hold or None,
        "priority": _priority(request.nice),
        "array": request.array,
        "begin_at": None if request.begin is None else begin_at(request.begin, _now()),
        "deadline_at": None if request.deadline is None else begin_at(request.deadline, _now(), "--deadline"),
        "log_path": _log_path(request, cwd, array),
        "checkpoint_signal": None if request.checkpoint is None else request.checkpoint.signal,
        "checkpoint_s": None if request.checkpoint is None else request.checkpoint.ahead_s,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _now() -> datetime:
    # Without a zone on purpose: the times of a script are those of the wall clock, also across summer time.
    return datetime.now()  # noqa: DTZ005


def _priority(nice: int) -> int | None:
    """Return the priority: 10 of Slurm's niceness are one step below the usual."""
    steps = -(-abs(nice) // _NICE_PER_STEP) * (1 if nice > 0 else -1)
    return min(max(_USUAL_PRIORITY - steps, 0), _MOST_PRIORITY) if nice else None


def _log_path(request: Request, cwd: Path, array: Array | None) -> str:
    usual = "slurm-%j.out" if array is None else "slurm-%A_%a.out"
    output = request.output or usual
    return "/dev/null" if output.lower() == "none" else str(cwd / output)


def _waiting(client: Client, request: Request, name: str) -> dict[str, list[str]]:
    """Return the fields that tell what the job waits for; an id of an array means all of it, as in Slurm."""
    dependency = request.dependency
    if dependency.singleton and request.array:
        raise BadInput("--dependency=singleton and --array exclude each other", "write --array=...%1 instead")
    fields = {
        "after": list(dependency.after),
        "after_any": list(dependency.after_any),
        "after_not_ok": list(dependency.after_not_ok),
    }
    whole = _arrays(client, [job for jobs in fields.values() for job in jobs if job.isdecimal()])
    fields = {field: [whole.get(job, job) for job in jobs] for field, jobs in fields.items()}
    if dependency.singleton:
        user = pwd.getpwuid(os.getuid()).pw_name
        same: Query = {"name": name, "user": user, "limit": _AT_MOST}
        fields["after_any"] += [str(job["id"]) for job in client.get("/v1/jobs", same)["jobs"]]
    return {field: jobs for field, jobs in fields.items() if jobs}


def _arrays(client: Client, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        return {}
    jobs = client.get("/v1/jobs", {"sel": list(ids)})["jobs"]
    return {str(job["id"]): f"{job['id']}_*" for job in jobs if job.get("array_id") == job["id"]}


def _path_with(directory: str, path: str) -> str:
    """Return the PATH with the directory first, once: scripts submit scripts."""
    return ":".join([directory, *(other for other in path.split(":") if other != directory)])


def _environment(request: Request, resources: Resources, array: Array | None, line: Line) -> dict[str, str]:
    names = {pair.partition("=")[0] for pair in line.pairs}
    env = exported(request.export, line.env) | {name: line.env[name] for name in names if name in line.env}
    return slurm_environment(env, request, resources, array, str(Path.cwd()))

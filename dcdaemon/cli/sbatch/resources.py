"""Count together what a request asks for: GPUs, CPUs and memory of the one node a job runs on."""

from dataclasses import dataclass, replace

from dcdaemon.cli.sbatch.request import Request
from dcdaemon.cli.sbatch.values import Gpus, instance_bytes, same_or_one
from dcdaemon.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Resources:
    """What the whole job needs; None is what was not said."""

    gpus: int | None
    gpu_kinds: tuple[str, ...]
    gpu_mem_bytes: int | None
    ntasks: int | None
    cpus: int | None
    mem_bytes: int | None


def overruled(request: Request, gpus: int | None, cpus: int | None, mem_bytes: int | None) -> Request:
    """Return the request with what the command line says instead; None there leaves it as it is."""
    if gpus is not None:
        request = replace(request, gpus=Gpus(gpus), gres=None, gpus_per_node=None, gpus_per_task=None)
    if cpus is not None:
        each = cpus // (_ntasks(request) or 1) or None
        request = replace(request, cpus_per_task=each, cpus_per_gpu=None, mincpus=cpus)
    if mem_bytes is not None:
        request = replace(request, mem_bytes=mem_bytes, mem_per_cpu_bytes=None, mem_per_gpu_bytes=None)
    return request


def count_together(request: Request) -> Resources:
    """Return the sums; raise BadInput on contradictions."""
    ntasks = _ntasks(request)
    gpus = _gpus(request, ntasks)
    ntasks = ntasks or _times(request.ntasks_per_gpu, gpus)
    cpus = _cpus(request, ntasks, gpus)
    number, kinds = gpus if gpus is not None else (None, ())
    instance = _instance_bytes(number, kinds)
    return Resources(number, () if instance else kinds, instance, ntasks, cpus, _memory(request, gpus, cpus))


def _instance_bytes(number: int | None, kinds: tuple[str, ...]) -> int | None:
    """Return the memory of the MIG instance that is asked for; raise BadInput for several, None without one."""
    sizes = [size for size in map(instance_bytes, kinds) if size is not None]
    if sizes and (number != 1 or len(kinds) > 1):
        raise BadInput(f"{' and '.join(kinds)}: a job has one MIG instance", "write --gres=gpu:1g.10gb:1")
    return sizes[0] if sizes else None


def _ntasks(request: Request) -> int | None:
    """Return the number of tasks; --ntasks-per-node is the most of them where both are given."""
    if request.ntasks is not None and request.ntasks_per_node is not None and request.ntasks > request.ntasks_per_node:
        raise BadInput(
            f"--ntasks={request.ntasks} with --ntasks-per-node={request.ntasks_per_node} needs more than one node",
            "jobs run on one node: make both the same",
        )
    return request.ntasks or request.ntasks_per_node


def _gpus(request: Request, ntasks: int | None) -> Gpus | None:
    per_task = request.gpus_per_task
    asked = {
        "gpus": request.gpus,
        "gpus-per-node": request.gpus_per_node,
        "gres": request.gres,
        "gpus-per-task": per_task and Gpus(per_task.number * (ntasks or 1), per_task.kinds),
    }
    given = {name: gpus for name, gpus in asked.items() if gpus is not None}
    total = same_or_one({name: gpus.number for name, gpus in given.items()}, "GPUs")
    kinds = dict.fromkeys(kind for gpus in given.values() for kind in gpus.kinds)
    return None if total is None else Gpus(total, tuple(kinds))


def _times(each: int | None, gpus: Gpus | None) -> int | None:
    return None if each is None or gpus is None else each * gpus.number


def _cpus(request: Request, ntasks: int | None, gpus: Gpus | None) -> int | None:
    for_tasks = None
    if ntasks is not None or request.cpus_per_task is not None:
        for_tasks = (ntasks or 1) * (request.cpus_per_task or 1)
    for_gpus = _times(request.cpus_per_gpu, gpus)
    return max((cpus for cpus in (for_tasks, for_gpus, request.mincpus) if cpus), default=None)


def _memory(request: Request, gpus: Gpus | None, cpus: int | None) -> int | None:
    asked = {
        "mem": request.mem_bytes,
        "mem-per-cpu": request.mem_per_cpu_bytes,
        "mem-per-gpu": request.mem_per_gpu_bytes,
    }
    given = [name for name, size in asked.items() if size is not None]
    if len(given) > 1:
        raise BadInput(f"--{' and --'.join(given)} exclude each other", "keep one of them")
    if request.mem_per_cpu_bytes is not None:
        return request.mem_per_cpu_bytes * (cpus or 1)
    if request.mem_per_gpu_bytes is not None:
        if gpus is None or not gpus.number:
            raise BadInput("--mem-per-gpu is given, and no GPU is asked for", "ask for one: --gpus=1")
        return request.mem_per_gpu_bytes * gpus.number
    return request.mem_bytes

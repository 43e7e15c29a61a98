"""Why a share of a GPU has to wait, or can never be had: the facts and their words."""

from dcdaemon.core.reasons import Facts
from dcdaemon.core.units import format_bytes, format_duration
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.shares import capacity_bytes
from dcdaemon.scheduler.space import NodeSpace


def share_facts(shape: Shape, node: NodeSpace, now: float, holdoff_s: float) -> Facts:
    """Return what the node has for a share; nothing for whole GPUs."""
    if shape.gpu_mem_bytes is None:
        return Facts()
    shared = node.shared
    rooms = [shared.opening(gpu).room_bytes for gpu in shared.on] + [
        capacity_bytes(shared.slots.get(gpu)) for gpu in node.free
    ]
    rooms += [node.instances[number] for number in node.free_instances]
    facts = Facts(gpu_mem_needed_bytes=shape.gpu_mem_bytes, gpu_mem_free_bytes=max(rooms, default=0))
    loading = {gpu: shared.loads_until(gpu, now, holdoff_s) for gpu in node.open_shares(shape)}
    if loading and not any(shared.holds(gpu, shape.gpu_mem_bytes) for gpu in node.free):
        gpu = min(loading, key=lambda gpu: (loading[gpu], gpu))
        if loading[gpu] > now:
            facts["loading_gpu"], facts["loading_s"] = gpu, loading[gpu] - now
    return facts


def never_shares(job: str, facts: Facts) -> str:
    """Return why no GPU is large enough for the share, empty where one is."""
    wanted_bytes, most_bytes = facts.get("gpu_mem_needed_bytes", 0), facts.get("gpu_mem_total_bytes", 0)
    if wanted_bytes <= most_bytes:
        return ""
    wanted = format_bytes(wanted_bytes)
    if not most_bytes:
        return f"{job} asks for {wanted} of a GPU, but how much memory the GPUs have is not known: ask for whole ones."
    return f"{job} asks for {wanted} of a GPU, of the largest one {format_bytes(most_bytes)} can be shared."


def still_loading(job: str, facts: Facts) -> str:
    """Return why a share does not start although it has room."""
    left = format_duration(facts["loading_s"])
    return f"{job} has room on GPU {facts['loading_gpu']}, where the newest job may still be loading, for {left} more."


def share_wanted(facts: Facts) -> str:
    """Return what a share needs."""
    return a_share(facts["gpu_mem_needed_bytes"])


def a_share(gpu_mem_bytes: int) -> str:
    """Return `30 GiB of a GPU`."""
    return f"{format_bytes(gpu_mem_bytes)} of a GPU"


def share_there(facts: Facts) -> str:
    """Return what is free for it."""
    return f"at most {format_bytes(facts['gpu_mem_free_bytes'])} of one is free"

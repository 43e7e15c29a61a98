"""MIG instances as the scheduler counts them: each is one more GPU, by a number above those of all GPUs.

An instance is given to one job that asks for so much of a GPU's memory, and to no job that asks for whole ones.
"""

from collections.abc import Container

from dcdaemon.core.view import NodeView

#: GPU instances and compute instances are numbered from 0; there are at most 15 and 8 of them (NVIDIA's MIG guide).
_EACH = 64
#: All of a GPU's instances have numbers within one such stretch; the first one is that of the GPUs themselves.
_STRETCH = _EACH**2


def number_of(gpu: int, name: str) -> int:
    """Return the number of an instance like `9/0`; raise ValueError for what is no name of one."""
    gpu_instance, _, compute_instance = name.partition("/")
    return (gpu + 1) * _STRETCH + int(gpu_instance) * _EACH + int(compute_instance or 0)


def gpu_of(number: int) -> int:
    """Return the GPU that an instance is part of; a GPU's own number stays."""
    return number if number < _STRETCH else number // _STRETCH - 1


def name_of(number: int) -> str | None:
    """Return the name of an instance, None for a GPU."""
    if number < _STRETCH:
        return None
    return "/".join(map(str, divmod(number % _STRETCH, _EACH)))


def within(number: int, gpus: Container[int]) -> bool:
    """Say whether it is one of these GPUs, or an instance of one."""
    return number in gpus or gpu_of(number) in gpus


def open_instances(node: NodeView) -> dict[int, int]:
    """Return the memory of each instance that takes work, in bytes."""
    return {
        number_of(slot.index, one.name): one.mem_total_bytes or 0
        for slot in node.gpus
        if slot.blocked is None
        for one in slot.instances or ()
        if one.blocked is None
    }

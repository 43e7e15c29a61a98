"""Where the GPUs of a node sit beside each other: on which NUMA node, and in which NVLink domain of it."""

from collections.abc import Mapping, Sequence

from dcdaemon.core.gpu import GpuInfo

#: Stands for a NUMA node that is not known.
_UNKNOWN = -1


def neighbourhoods(gpus: Sequence[GpuInfo]) -> Mapping[int, tuple[int, ...]]:
    """Return each GPU's neighbourhood, from wide to narrow, by its index; empty where nothing is known of any.

    An NVLink domain is named by its first GPU.
    """
    by_numa = any(gpu.numa_node is not None for gpu in gpus)
    domains = _domains(gpus) if any(gpu.nvlink_ends for gpu in gpus) else {}
    return {gpu.index: (_numa(gpu),) * by_numa + ((domains[gpu.index],) if domains else ()) for gpu in gpus}


def _numa(gpu: GpuInfo) -> int:
    return _UNKNOWN if gpu.numa_node is None else gpu.numa_node


def _domains(gpus: Sequence[GpuInfo]) -> dict[int, int]:
    """Return the first GPU of all that are joined by links, directly, over others or over a switch."""
    domains: list[tuple[set[str], set[int]]] = []
    for gpu in gpus:
        ends, members = {end.lower() for end in gpu.nvlink_ends}, {gpu.index}
        if gpu.pci_bus_id is not None:
            ends.add(gpu.pci_bus_id.lower())
        joined = [domain for domain in domains if not ends.isdisjoint(domain[0])]
        domains = [domain for domain in domains if domain not in joined]
        domains.append((ends.union(*(one for one, _ in joined)), members.union(*(one for _, one in joined))))
    return {index: min(members) for _, members in domains for index in members}

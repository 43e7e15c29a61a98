"""The machine a recording is played on: equal nodes with equal GPUs."""

from dataclasses import dataclass

from dcdaemon.core.errors import BadInput
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView

#: What a node has when nothing is said.
USUAL_GPUS_PER_NODE = 8


@dataclass(frozen=True, slots=True)
class Cluster:
    """So many nodes with so many GPUs each; CPUs and memory are not what its jobs wait for."""

    nodes: int
    gpus_per_node: int

    @property
    def gpus(self) -> int:
        """All GPUs."""
        return self.nodes * self.gpus_per_node

    def view(self) -> ClusterView:
        """Return the cluster with nothing on it."""
        slots = tuple(GpuSlot(index) for index in range(self.gpus_per_node))
        return ClusterView(tuple(NodeView(f"n{number}", 0, 0, slots) for number in range(1, self.nodes + 1)))


def sized(nodes: int | None, gpus: int | None, gpus_per_node: int | None) -> Cluster:
    """Return the cluster that the options name, by its nodes or by all its GPUs; raises BadInput."""
    if nodes is not None and gpus is not None:
        raise BadInput("--nodes and --gpus both say how large the machine is", "leave one of them out")
    if gpus is None:
        if nodes is None:
            raise BadInput("nothing says how large the machine is", "add --nodes 4, or --gpus 32")
        return Cluster(nodes, gpus_per_node or USUAL_GPUS_PER_NODE)
    per_node = gpus_per_node or min(gpus, USUAL_GPUS_PER_NODE)
    if gpus % per_node:
        raise BadInput(f"{gpus} GPUs do not make whole nodes of {per_node}", "say how many a node has: --gpus-per-node")
    return Cluster(gpus // per_node, per_node)

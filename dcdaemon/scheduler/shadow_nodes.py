"""The shadow's nodes: how many GPUs are free on each, and nothing else."""

from collections.abc import Sequence


class ShadowNodes:
    """Counts of free GPUs; a job of more than a node has takes whole nodes."""

    def __init__(self, gpus: Sequence[int]) -> None:
        """Begin with all of them free."""
        self._sizes = list(gpus)
        self._free = list(gpus)
        self.total = sum(gpus)
        self._largest = max(gpus, default=0)

    @property
    def empty(self) -> bool:
        """Whether nothing runs."""
        return self._free == self._sizes

    @property
    def busy_ratio(self) -> float:
        """The part of all GPUs that is taken, 0 to 1."""
        return 1 - sum(self._free) / self.total

    def width(self, gpus: int) -> int:
        """Return how many GPUs a job of so many takes from others."""
        return gpus if gpus <= self._largest else -(-gpus // self._largest) * self._largest

    def take(self, gpus: int) -> list[int] | None:
        """Take the fullest node that has room, or the first whole nodes that have it between them; None for none."""
        nodes = self._one(gpus) if gpus <= self._largest else self._whole(gpus)
        for node in nodes or ():
            self._free[node] -= gpus if gpus <= self._largest else self._sizes[node]
        return nodes

    def give_back(self, gpus: int, nodes: Sequence[int]) -> None:
        """Free what a job of so many GPUs has on these nodes."""
        for node in nodes:
            self._free[node] += gpus if gpus <= self._largest else self._sizes[node]

    def _one(self, gpus: int) -> list[int] | None:
        best: int | None = None
        for node, free in enumerate(self._free):
            if free >= gpus and (best is None or free < self._free[best]):
                best = node
        return None if best is None else [best]

    def _whole(self, gpus: int) -> list[int] | None:
        nodes: list[int] = []
        for node, free in enumerate(self._free):
            if free == self._sizes[node]:
                nodes.append(node)
                gpus -= free
                if gpus <= 0:
                    return nodes
        return None

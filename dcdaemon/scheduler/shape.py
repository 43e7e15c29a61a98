"""What a job asks of a node: jobs of one demand are interchangeable to the placement."""

import math
from typing import NamedTuple, Protocol, Self

from dcdaemon.core.view import QueuedJob

#: GPUs, CPUs, memory, and what is wanted of a single GPU.
Demand = tuple[int, int, int, int | None]


class Asking(Protocol):
    """Anything that asks for resources: a job as submitted, or a job in the queue."""

    @property
    def gpus(self) -> int:
        """Whole GPUs, all on one node."""

    @property
    def cpus(self) -> int:
        """CPUs; 0 asks for none and takes none."""

    @property
    def mem_bytes(self) -> int:
        """Host memory; 0 asks for none and takes none."""

    @property
    def gpu_mem_bytes(self) -> int | None:
        """So much of one GPU's memory; None for whole GPUs."""

    @property
    def limit_s(self) -> float | None:
        """The longest run, None when endless."""


class Lack(NamedTuple):
    """What is missing on a node; compares by GPUs, then CPUs, then memory."""

    gpus: int
    cpus: int
    mem_bytes: int


class Shape(NamedTuple):
    """Demand and time together: the enforced limit, and the prediction where there is one."""

    gpus: int
    cpus: int
    mem_bytes: int
    limit_s: float | None
    predicted_s: float | None = None
    gpu_mem_bytes: int | None = None

    @classmethod
    def of(cls, asking: Asking) -> Self:
        """Return the shape of a job."""
        predicted_s = asking.predicted_s if isinstance(asking, QueuedJob) else None
        return cls(asking.gpus, asking.cpus, asking.mem_bytes, asking.limit_s, predicted_s, asking.gpu_mem_bytes)

    @classmethod
    def endless(cls, demand: Demand) -> Self:
        """Return the shape of a job that asks for this and runs without end."""
        gpus, cpus, mem_bytes, gpu_mem_bytes = demand
        return cls(gpus, cpus, mem_bytes, None, None, gpu_mem_bytes)

    @property
    def demand(self) -> Demand:
        """The resources without the time."""
        return (self.gpus, self.cpus, self.mem_bytes, self.gpu_mem_bytes)

    @property
    def longest_s(self) -> float:
        """The limit, infinity when endless."""
        return math.inf if self.limit_s is None else self.limit_s


def missing(shape: Shape, gpus: int, cpus: int, mem_bytes: int) -> Lack:
    """Return how much of the shape is not there; what was not asked for is never missing."""
    return Lack(
        max(0, shape.gpus - gpus),
        max(0, shape.cpus - cpus) if shape.cpus else 0,
        max(0, shape.mem_bytes - mem_bytes) if shape.mem_bytes else 0,
    )


#: Nothing is missing: the shape fits.
NOTHING = Lack(0, 0, 0)

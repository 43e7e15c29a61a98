"""A GPU as the scheduler and the operator see it."""

from dataclasses import dataclass
from enum import StrEnum

from dcdaemon.core.container import Container


class GpuHealth(StrEnum):
    """Whether new work may go to a GPU, as far as its own signals tell."""

    OK = "ok"
    STALE = "stale"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """What does not change while the driver is loaded; `index` is the PCI order, as CUDA_DEVICE_ORDER=PCI_BUS_ID.

    `nvlink_ends` are the PCI bus ids that its NVLinks lead to: other GPUs, or switches.
    """

    index: int
    uuid: str
    name: str
    mem_total_bytes: int | None
    pci_bus_id: str | None = None
    minor: int | None = None
    power_limit_w: float | None = None
    numa_node: int | None = None
    simulated: bool = False
    nvlink_ends: tuple[str, ...] = ()


def gpu_instance(name: str) -> str:
    """Return the GPU instance that a MIG instance like `9/0` is, or is a compute instance of."""
    return name.partition("/")[0]


#: From this utilisation on a GPU counts as busy where its speed is judged.
BUSY_RATIO = 0.5


@dataclass(frozen=True, slots=True)
class GpuSpeed:
    """The mean clock of a GPU's SMs over the minutes in which it was busy all the time."""

    gpu: int
    busy_minutes: int
    sm_clock_hz: float


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds a GPU; `job_id` is None for a foreign one.

    A process in a container that was given to a job says by what in `job_by`: `mark`, its environment names the job, or
    `gpu`, the job holds this GPU alone. A `stray` one is a job's, on a GPU that was not given to that job.
    `sm_util_ratio` is its share of the SMs' time since the list before, `instance` the MIG instance it is in.
    """

    pid: int
    mem_used_bytes: int | None
    user: str | None = None
    command: str | None = None
    age_s: float | None = None
    job_id: int | None = None
    sm_util_ratio: float | None = None
    instance: str | None = None
    container: Container | None = None
    job_by: str | None = None
    stray: bool = False

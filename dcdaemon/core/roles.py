"""What a node is for, and which collectors run on it: the one table that the daemon and its page are made from."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a node is for; one node can be several things."""

    COMPUTE = "compute"
    STORAGE = "storage"
    NETWORK = "network"
    MANAGEMENT = "management"


#: Seconds between two sweeps of the host's collectors.
SWEEP_S = 5.0
#: A GPU node with disks and a network.
USUAL_ROLES = (Role.COMPUTE, Role.STORAGE, Role.NETWORK)


@dataclass(frozen=True, slots=True)
class CollectorPlan:
    """One collector: what it reads, how often, and on which nodes; no role means on all.

    `apart` when a read may block (firmware, a bus, a lock of the kernel): it then has a thread of its own. `paced` when
    it keeps its own pace, and gives at each sweep what is new.
    """

    name: str
    reads: str
    every_s: float
    roles: tuple[Role, ...] = ()
    apart: bool = False
    paced: bool = False

    @property
    def each_sweep(self) -> bool:
        """Whether it is read at every sweep, however early or late that comes."""
        return self.paced or self.every_s <= SWEEP_S

    def runs_on(self, roles: Collection[str]) -> bool:
        """Tell whether it runs on a node with these roles."""
        return not self.roles or any(role in roles for role in self.roles)


GPUS = CollectorPlan("gpus", "GPUs through NVML, XIDs", 1.0, (Role.COMPUTE,))

# fmt: off
#: In the order in which a sweep reads them.
HOST_COLLECTORS = (
    CollectorPlan("cpu", "CPU utilisation, load", 5.0),
    CollectorPlan("memory", "memory, swap", 5.0),
    CollectorPlan("pressure", "stalls for CPU, memory and I/O (PSI)", 5.0),
    CollectorPlan("tcp", "TCP retransmits, timeouts, refused connections", 5.0),
    CollectorPlan("edac", "memory errors (EDAC)", 5.0),
    CollectorPlan("rapl", "energy of CPUs and their memory (RAPL)", 5.0),
    CollectorPlan("sensors", "temperatures and fans (hwmon)", 60.0, apart=True),
    CollectorPlan("disks", "bytes, operations, latency and busy time of disks", 5.0),
    CollectorPlan("filesystems", "space and files left, days until full", 10.0),
    CollectorPlan("interfaces", "bytes, errors, drops and speed of network interfaces", 5.0, apart=True),
    CollectorPlan("nfs", "client counters of NFS mounts", 5.0, (Role.STORAGE,)),
    CollectorPlan("drives", "wear and health of drives (SMART)", 600.0, (Role.STORAGE,), paced=True),
    CollectorPlan("infiniband", "InfiniBand and RoCE ports", 5.0, (Role.NETWORK,), apart=True),
    CollectorPlan(
        "snmp", "switches, firewalls and other devices by SNMP", 60.0, (Role.NETWORK, Role.MANAGEMENT),
        apart=True, paced=True,
    ),
    CollectorPlan("object_store", "an S3-compatible object store", 60.0, (Role.STORAGE, Role.MANAGEMENT), paced=True),
    CollectorPlan("bmc", "power of the whole node, air temperature (IPMI)", 60.0, (Role.MANAGEMENT,), paced=True),
)
# fmt: on


def table() -> Iterator[str]:
    """Yield the lines of the table of collectors and roles, in Markdown."""
    yield "| collector | reads | every | " + " | ".join(Role) + " |"
    yield "|---|---|---|" + "---|" * len(Role)
    for plan in (GPUS, *HOST_COLLECTORS):
        marks = ("yes" if plan.runs_on((role,)) else "" for role in Role)
        yield f"| `{plan.name}` | {plan.reads} | {plan.every_s:g} s | " + " | ".join(marks) + " |"

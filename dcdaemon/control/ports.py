"""Ports: where the ranks of each distributed job find each other."""

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dcdaemon.core.errors import StartFailed

#: Below what the kernel hands out by itself (ip_local_port_range(5)): nobody gets one of these by chance.
FIRST_PORT, PORTS = 20_000, 10_000


@dataclass(slots=True)
class Ports:
    """The port of each running job with a launcher: no two have the same, and nobody listens on a fresh one."""

    is_free: Callable[[int], bool] = field(default_factory=lambda: is_free)
    _of_job: dict[int, int] = field(default_factory=dict)

    def take(self, job_id: int, running: Collection[int]) -> int:
        """Return a port for a job that starts; raise StartFailed when none is free.

        The search begins at a place of the job's own, so that a daemon that forgot who has which meets no other job.
        """
        self._of_job = {job: port for job, port in self._of_job.items() if job in running and job != job_id}
        taken = set(self._of_job.values())
        for step in range(PORTS):
            port = FIRST_PORT + (job_id + step) % PORTS
            if port not in taken and self.is_free(port):
                self._of_job[job_id] = port
                return port
        raise StartFailed(f"no port of {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free", "see who listens: ss -tlnp")


def is_free(port: int) -> bool:
    """Tell whether nobody uses this port on any address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the rendezvous does: what an ended job left in TIME_WAIT keeps nobody away.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True

"""MemoryStore: the Store of core.ports in plain dictionaries, for tests and the simulator."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dcdaemon.core.backup import PLAIN, BackupMade, BackupWish
from dcdaemon.core.energy import Metered
from dcdaemon.core.errors import Refused
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import Usage
from dcdaemon.core.ports import EnergyRow, MeterState, StoreFacts, UsageDelta
from dcdaemon.fakes.memory_access import MemoryAccess
from dcdaemon.fakes.memory_gpus import MemoryGpus
from dcdaemon.fakes.memory_jobs import MemoryJobs
from dcdaemon.fakes.memory_records import MemoryRecords
from dcdaemon.fakes.memory_samples import MemorySamples

_SAMPLES_KEPT_S = 48 * 3600
_EVENTS_KEPT_S = 365 * 86400
_HOURS_KEPT_S = 2 * 365 * 86400


class MemoryStore(MemoryJobs, MemoryGpus, MemorySamples, MemoryRecords, MemoryAccess):
    """Forgets everything at the end of the process; otherwise behaves as the store on a database does.

    Each part answers for its own subject; here they are joined by the ledger, and by what concerns them all.
    """

    def __init__(self, node: str = "node") -> None:
        super().__init__(node)

    def book(self, metered: Sequence[Metered], usage: Sequence[UsageDelta]) -> None:
        """Add measured energy and usage to the ledger; raise ValueError for parts that do not add up."""
        with self._lock:
            self._ledger.book(metered, usage, self._gpus)

    def meters(self) -> list[MeterState]:
        """Return where each meter of this node stood."""
        with self._lock:
            return self._ledger.meters(self.node)

    def usage(self, job_ids: Iterable[int]) -> dict[int, Usage]:
        """Return the usage of each job that has any."""
        with self._lock:
            return {job_id: self._ledger.usage[job_id] for job_id in job_ids if job_id in self._ledger.usage}

    def energy(self, by: str, since: float | None) -> list[EnergyRow]:
        """Sum booked energy by user, job, gpu or day, largest first; raise BadInput for anything else."""
        with self._lock:
            users = {job.id: job.spec.user for job in self._jobs.values()}
            return self._ledger.energy(self.node, users, by, since)

    def gpu_time(self, since: float, step_s: int) -> list[GpuTime]:
        """Return what each account and user used of this node's GPUs since then, summed up in steps of time."""
        with self._lock:
            return self._gpu_time.used_since(self.node, since, step_s)

    def roll_up(self, now: float) -> int:  # noqa: ARG002  nothing here is read by minute or hour
        """Fold nothing."""
        return 0

    def prune(self, now: float) -> int:
        """Forget samples older than two days, events of a year ago, GPU time of two; return how many those were."""
        with self._lock:
            expired = [key for key in self._samples if key[1] < now - _SAMPLES_KEPT_S]
            for key in expired:
                del self._samples[key]
            past = [number for number, event in self._events.items() if event.at < now - _EVENTS_KEPT_S]
            for number in past:
                del self._events[number]
            return len(expired) + len(past) + self._gpu_time.forget(now - _HOURS_KEPT_S)

    def backup(self, path: Path, wish: BackupWish = PLAIN) -> BackupMade:  # noqa: ARG002  the port's signature
        """Refuse: there is nothing to copy."""
        msg = f"a store in memory is not backed up to {path}"
        raise Refused(msg, "use a database")

    def facts(self) -> StoreFacts:
        """Describe the store."""
        return StoreFacts("memory", "memory", None, None, len(self._jobs), 0)

    def close(self) -> None:
        """Make the last samples readable."""
        self.flush_samples()

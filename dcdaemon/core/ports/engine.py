"""Where jobs run, and where their environments are kept."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from dcdaemon.core.job import Job
from dcdaemon.core.ports.attempt import Held, Outcome, Report, Started, StartOrder
from dcdaemon.core.vitals import Vitals


class Engine(Protocol):
    """Where jobs run; `on_end(job_id, attempt)` is called, from any thread, when an attempt may be over."""

    def check_space(self) -> None:
        """Raise StoreUnavailable while no attempt can be started, as on a full disk: jobs wait until that is over."""
        ...

    def start(self, order: StartOrder) -> Started:
        """Run the attempt; raise StartFailed when it cannot even be tried, StoreUnavailable when it cannot now."""
        ...

    def stop(self, job: Job, signal: str | None, grace_s: float, cause: str) -> None:
        """Ask the attempt to end: signal, grace, then KILL; without a signal, in the way it was submitted for."""
        ...

    def outcome(self, job: Job) -> Outcome:
        """Tell what became of the attempt."""
        ...

    def adopt(self, job: Job) -> Outcome:
        """Take over an attempt that an earlier daemon started; void it when it was never claimed."""
        ...

    def pids(self, job: Job) -> tuple[int, ...]:
        """List the processes that belong to the attempt now."""
        ...

    def held(self, job: Job, worth_bytes: float) -> Held | None:
        """Return the memory that the attempt holds, None when unknown; exact from `worth_bytes` on."""
        ...

    def vitals(self, job: Job) -> Vitals:
        """Tell how much the attempt has written so far, and what its processes do."""
        ...

    def owners(self, pids: Iterable[int], jobs: Iterable[Job]) -> dict[int, int]:
        """Map each of these processes that belongs to one of these jobs to the job's id."""
        ...

    def reports(self, job: Job, offset: int) -> tuple[list[Report], int]:
        """Return what the attempt reported past `offset` of its report file, and the new offset."""
        ...

    def open_log(self, job: Job, attempt: int) -> int | None:
        """Open the attempt's log for reading; None while there is none yet; the caller closes the descriptor."""
        ...


class EnvKeeper(Protocol):
    """Keeps environments in 0600 files outside the database."""

    def keep(self, uid: int, env: Mapping[str, str]) -> str:
        """Store an environment durably and return its reference; equal environments share one."""
        ...

    def load(self, ref: str) -> dict[str, str]:
        """Return a kept environment; raise StartFailed when it is gone."""
        ...

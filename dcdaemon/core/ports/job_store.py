"""The part of the store that keeps jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dcdaemon.core.job import Fate, Job, JobSpec, JobState
from dcdaemon.core.ports.actor import Actor
from dcdaemon.core.prediction import PastPeak, PastRun, Prediction


@dataclass(frozen=True, slots=True)
class JobChange:
    """Replace `before` by `after` if the stored version is still `before.version`; `action` goes to the audit table."""

    before: Job
    after: Job
    at: float
    actor: Actor | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs; an empty filter means no restriction; newest first unless `oldest_first`."""

    ids: tuple[int, ...] = ()
    states: frozenset[JobState] = frozenset()
    uid: int | None = None
    user: str | None = None
    name: str | None = None
    array_id: int | None = None
    submitted_since: float | None = None
    ended_since: float | None = None
    limit: int | None = None
    oldest_first: bool = False


class JobStore(Protocol):
    """Jobs: submitted, changed under a version check, looked up."""

    def submit(
        self, specs: Sequence[JobSpec], at: float, actor: Actor, predictions: Sequence[Prediction] = ()
    ) -> list[Job]:
        """Store new waiting jobs in one transaction and return them with their ids, in order.

        They may name each other by their places (core.job.placed). `predictions` has one for each of them, or none.
        """
        ...

    def save(self, changes: Sequence[JobChange]) -> list[Job | None]:
        """Apply each change by itself, in one durable commit; None where its version moved or a GPU was taken."""
        ...

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        ...

    def jobs(self, query: JobQuery) -> list[Job]:
        """Return the jobs that match."""
        ...

    def fates(self, job_ids: Iterable[int]) -> dict[int, Fate]:
        """Return where each known id stands."""
        ...

    def past_runs(self, most: int) -> list[PastRun]:
        """Return the last runs of all nodes of which the time is known, the oldest first."""
        ...

    def past_peaks(self, user: str, most: int) -> list[PastPeak]:
        """Return what a user's runs on one GPU held that ended well, the newest first; of the last `most` jobs."""
        ...

    def env_refs(self, ended_since: float) -> set[str]:
        """Return the environments of all jobs that are unfinished or ended since then."""
        ...

    def reserve_job_ids(self, up_to: int) -> None:
        """Give no new job an id up to this one: something on disk has it, whatever the store remembers."""
        ...

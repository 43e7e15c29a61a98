"""One verb on one job or on thousands: in few commits, and those that wait before those that hold anything."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dcdaemon.control.desk import Desk, no_such_job
from dcdaemon.core.errors import DcdError, Refused
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.ports import Actor, JobChange

#: So many jobs share a commit: a hundred commits a second is what a disk does, and others want to write, too.
SLICE = 500
_TRIES = 20


class Changed(NamedTuple):
    """The new values of the jobs that were changed, and why others were not."""

    jobs: list[Job]
    refused: list[tuple[int, DcdError]]

    def only(self) -> Job:
        """Return the one job that was asked for; raise what stood in its way."""
        for _, error in self.refused:
            raise error
        return self.jobs[0]


def change_all(desk: Desk, actor: Actor, job_ids: Sequence[int], verb: str, change: Callable[[Job], Job]) -> Changed:
    """Apply `change` to the newest value of each job; try those again where someone else was faster.

    One refusal does not stop the others. Waiting jobs come first: else a scheduler that acts in between would start
    the last ones of an array in place of the first ones, only to have them ended as well.
    """
    done, refused = Changed([], []), dict[int, DcdError]()
    left = list(job_ids)
    for _ in range(_TRIES):
        changes = sorted(_changes(desk, actor, left, verb, change, refused), key=_waits_last)
        left = []
        for first in range(0, len(changes), SLICE):
            left += _save(desk, changes[first : first + SLICE], done.jobs, refused)
        if not left:
            break
        for job_id in left:
            refresh(desk, job_id)
    refused |= {job_id: Refused(f"job {job_id} changes too quickly to {verb} it", "try again") for job_id in left}
    place = {job_id: index for index, job_id in enumerate(job_ids)}
    return Changed(
        sorted(done.jobs, key=lambda job: place[job.id]), sorted(refused.items(), key=lambda one: place[one[0]])
    )


def _changes(
    desk: Desk,
    actor: Actor,
    job_ids: Sequence[int],
    verb: str,
    change: Callable[[Job], Job],
    refused: dict[int, DcdError],
) -> Iterator[JobChange]:
    for job_id in job_ids:
        try:
            before = find(desk, job_id)
            desk.check_rights(actor, before, verb)
            yield JobChange(before, change(before), desk.clock.now(), actor, verb)
        except DcdError as error:
            refused[job_id] = error


def _waits_last(change: JobChange) -> bool:
    return change.before.state is not JobState.WAITING


def _save(desk: Desk, changes: Sequence[JobChange], done: list[Job], refused: dict[int, DcdError]) -> list[int]:
    """Save what can be saved in one commit; return the ids of those that somebody else has changed meanwhile."""
    try:
        results = desk.store.save(changes)
    except DcdError as error:
        refused |= {change.before.id: error for change in changes}
        return []
    saved = [job for job in results if job is not None]
    if saved:
        desk.settle(saved)
    done += saved
    return [change.before.id for change, job in zip(changes, results, strict=True) if job is None]


def find(desk: Desk, job_id: int) -> Job:
    """Return a job from memory or the store; raise NotFound."""
    known_to_databases = 0 < job_id < 2**63
    job = desk.book.get(job_id) or (desk.store.job(job_id) if known_to_databases else None)
    if job is None:
        raise no_such_job(job_id)
    return job


def refresh(desk: Desk, job_id: int) -> Job | None:
    """Take the stored value of a job into the book."""
    stored = desk.store.job(job_id)
    if stored is not None:
        desk.take([stored])
    return stored

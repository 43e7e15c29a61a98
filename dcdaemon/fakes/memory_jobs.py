"""The jobs of MemoryStore, and the GPUs they hold."""

from collections.abc import Iterable, Sequence

from dcdaemon.core.audit import job_change, submission
from dcdaemon.core.job import ENDED, UNFINISHED, Fate, Job, JobSpec, JobState, Slot, Usage, placed
from dcdaemon.core.new_job import new_job
from dcdaemon.core.ports import DAEMON, Actor, JobChange, JobQuery
from dcdaemon.core.prediction import PastPeak, PastRun, Prediction
from dcdaemon.fakes.memory import Memory


class MemoryJobs(Memory):
    """Jobs: submitted, changed under a version check, looked up."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self._last_id = 0
        self._allocation: dict[Slot, int] = {}
        #: The jobs on shared GPUs; the one in the allocation is one of them.
        self._shares: dict[Slot, set[int]] = {}

    def submit(
        self, specs: Sequence[JobSpec], at: float, actor: Actor, predictions: Sequence[Prediction] = ()
    ) -> list[Job]:
        """Store new waiting jobs and return them with their ids, in order."""
        with self._lock:
            ids = range(self._last_id + 1, self._last_id + 1 + len(specs))
            expected: Sequence[Prediction | None] = predictions or [None] * len(specs)
            jobs = [
                new_job(job_id, placed(spec, ids), self.node, at, known)
                for job_id, spec, known in zip(ids, specs, expected, strict=True)
            ]
            self._last_id += len(specs)
            self._jobs.update({job.id: job for job in jobs})
            for job in jobs:
                self._note(at, actor, submission(job.id, job.spec))
            return jobs

    def save(self, changes: Sequence[JobChange]) -> list[Job | None]:
        """Apply each change on its own; None where it came too late."""
        with self._lock:
            return [self._apply(change) for change in changes]

    def _apply(self, change: JobChange) -> Job | None:
        before, after = change.before, change.after
        gained, lost = after.slots - before.slots, before.slots - after.slots
        stored = self._jobs.get(before.id)
        if stored is None or stored.version != before.version or not self._may_take(after, gained):
            return None
        self._jobs[after.id] = after
        for slot in gained:
            self._allocation.setdefault(slot, after.id)
            if after.spec.gpu_mem_bytes is not None:
                self._shares.setdefault(slot, set()).add(after.id)
        for slot in lost:
            self._free(slot, after.id)
        self._gpu_time.charge(before, after, self._gpus)
        if change.action is not None:
            self._note(change.at, change.actor or DAEMON, job_change(change.action, before, after))
        return after

    def _may_take(self, job: Job, slots: set[Slot]) -> bool:
        taken = slots & self._allocation.keys()
        if not taken:
            return True
        if job.spec.gpu_mem_bytes is None or not taken <= self._shares.keys():
            return False
        beside = {self._jobs[other].gpu_instance for slot in taken for other in self._shares[slot]}
        return job.gpu_instance is None or job.gpu_instance not in beside

    def _free(self, slot: Slot, job_id: int) -> None:
        left = self._shares.get(slot, set())
        left.discard(job_id)
        if left:
            self._allocation[slot] = min(left)
        else:
            self._allocation.pop(slot, None)
            self._shares.pop(slot, None)

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        return self._jobs.get(job_id)

    def jobs(self, query: JobQuery) -> list[Job]:
        """Return the jobs that match."""
        with self._lock:
            found = [job for job in self._jobs.values() if _matches(job, query)]
        found.sort(key=lambda job: job.id, reverse=not query.oldest_first)
        return found[: query.limit]

    def fates(self, job_ids: Iterable[int]) -> dict[int, Fate]:
        """Return where each known id stands."""
        known = (self._jobs[job_id] for job_id in job_ids if job_id in self._jobs)
        return {job.id: Fate(job.state, job.ended_at) for job in known}

    def past_runs(self, most: int) -> list[PastRun]:
        """Return the last runs, the oldest first."""
        ended = (job for job in self._jobs.values() if job.state in ENDED and job.ended_at is not None)
        by_end = sorted(ended, key=lambda job: (job.ended_at, job.id))
        runs = [
            PastRun(
                job.spec.user, job.spec.argv, job.spec.gpus, job.spec.limit_s, job.state, job.run_s,
                job.predicted_s, job.predicted_by,
            )
            for job in by_end
            if job.run_s is not None
        ]  # fmt: skip
        return runs[-most:]

    def past_peaks(self, user: str, most: int) -> list[PastPeak]:
        """Return what a user's runs on one GPU held that ended well, the newest first; of the last `most` jobs."""
        last = sorted((job for job in self._jobs.values() if job.spec.user == user), key=lambda job: -job.id)[:most]
        well = [job for job in last if job.state is JobState.SUCCEEDED and job.spec.gpus == 1]
        well.sort(key=lambda job: (job.ended_at or 0.0, job.id), reverse=True)
        peaks = ((job, self._ledger.usage.get(job.id, Usage(job.id)).mem_peak_bytes) for job in well)
        return [PastPeak(job.spec.argv, peak) for job, peak in peaks if peak is not None]

    def env_refs(self, ended_since: float) -> set[str]:
        """Return the environments of all jobs that are unfinished or ended since then."""
        with self._lock:
            return {
                job.spec.env_ref
                for job in self._jobs.values()
                if job.state in UNFINISHED or (job.ended_at is not None and job.ended_at >= ended_since)
            }

    def reserve_job_ids(self, up_to: int) -> None:
        """Give no new job an id up to this one."""
        with self._lock:
            self._last_id = max(self._last_id, up_to)


def _matches(job: Job, query: JobQuery) -> bool:
    return (
        (not query.ids or job.id in query.ids)
        and (not query.states or job.state in query.states)
        and query.uid in (None, job.spec.uid)
        and query.user in (None, job.spec.user)
        and query.name in (None, job.spec.name)
        and query.array_id in (None, job.spec.array_id)
        and (query.submitted_since is None or job.submitted_at >= query.submitted_since)
        and (query.ended_since is None or (job.ended_at is not None and job.ended_at >= query.ended_since))
    )

"""Every few seconds: warn of jobs near the memory they asked for, and end those above it that no kernel holds."""

from dcdaemon.control import change
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import NotFound, Refused
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.units import format_bytes

WARN_RATIO = 0.9


class MemoryDuty:
    """Looks after running jobs that asked for memory; costs nothing for others.

    Where a job has a unit of its own the kernel holds it to its limit. Elsewhere this is a watch, no fence: between
    two looks a job may take all the memory there is.
    """

    name = "memory"

    def __init__(self, desk: Desk, every_s: float = 5.0) -> None:
        self.every_s = every_s
        self._desk = desk
        self._warned: set[tuple[int, int]] = set()

    def tick(self) -> None:
        """Look once."""
        asked = [job for job in self._desk.book.active() if job.spec.mem_bytes and job.state is JobState.RUNNING]
        self._warned &= {(job.id, job.attempt) for job in asked}
        for job in asked:
            self._look(job, job.spec.mem_bytes)

    def _look(self, job: Job, limit_bytes: int) -> None:
        held = self._desk.engine.held(job, WARN_RATIO * limit_bytes)
        if held is None or held.bytes < WARN_RATIO * limit_bytes:
            return
        if held.bytes > limit_bytes and not held.fenced:
            self._end(job, held.bytes)
        elif (job.id, job.attempt) not in self._warned:
            self._warned.add((job.id, job.attempt))
            self._tell(job, EventKind.MEMORY_HIGH, held.bytes, "nearly all")

    def _end(self, job: Job, held_bytes: int) -> None:
        try:
            change.starve(self._desk, job.id)
        except (Refused, NotFound):
            return  # it has ended, or is ending, by itself
        self._tell(job, EventKind.MEMORY_EXCEEDED, held_bytes, "more than")

    def _tell(self, job: Job, kind: EventKind, held_bytes: int, how_much: str) -> None:
        asked = job.spec.mem_bytes
        held = f"job {job.id} holds {format_bytes(held_bytes)} of memory"
        message = f"{held}, {how_much} the {format_bytes(asked)} it asked for"
        evidence: dict[str, object] = {"held_bytes": held_bytes, "asked_bytes": asked, "attempt": job.attempt}
        now = self._desk.clock.now()
        self._desk.board.events.tell(Event(now, kind, f"job {job.id}", message, evidence, job_id=job.id))

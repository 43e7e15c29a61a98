"""The job: what was asked for, where it stands, and the only moves it may make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, Self

from dcdaemon.core.errors import Refused


class JobState(StrEnum):
    """Where a job stands; held is a flag of waiting, not a state."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    PREEMPTED = "preempted"
    INTERRUPTED = "interrupted"
    LOST = "lost"


ACTIVE = frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING})
UNFINISHED = ACTIVE | {JobState.WAITING}
ENDED = frozenset(JobState) - UNFINISHED

Slot = tuple[str, int]  # node, GPU


class Fate(NamedTuple):
    """Where a job stands, and when it ended, None while it has not."""

    state: JobState
    ended_at: float | None = None


#: The state machine: from each state, the states a job may move to. docs/job-lifecycle.md is generated from it.
MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.STARTING, JobState.CANCELLED}),
    JobState.STARTING: ENDED | {JobState.RUNNING, JobState.STOPPING, JobState.WAITING},
    JobState.RUNNING: ENDED | {JobState.STOPPING, JobState.WAITING},
    JobState.STOPPING: ENDED,
    **{state: frozenset({JobState.WAITING}) for state in ENDED},
}

#: Slurm's codes, accepted wherever a state is asked for.
SLURM_CODES = {
    "PD": JobState.WAITING, "CF": JobState.STARTING, "R": JobState.RUNNING, "CG": JobState.STOPPING,
    "CD": JobState.SUCCEEDED, "F": JobState.FAILED, "CA": JobState.CANCELLED, "TO": JobState.TIMED_OUT,
    "OOM": JobState.OUT_OF_MEMORY, "NF": JobState.INTERRUPTED, "PR": JobState.PREEMPTED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a user asks for; the environment is kept elsewhere, in a 0600 file named by `env_ref`.

    `gpu_mem_bytes` asks for that much of one GPU instead of whole ones; of how many earlier runs that was learned is
    `gpu_mem_runs`, None where it was said. By `deadline_at` it is wanted to be done. It is asked to save its work by
    `checkpoint_signal`, and `checkpoint_s` before its limit. A `launcher` starts its command once for each of `ranks`,
    None for one a GPU; silent and idle for `hang_after_s` it is ended. Jobs of one request may name each other before
    they have ids: see `placed`.
    """

    argv: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    user: str
    name: str
    env_ref: str
    gpus: int = 0
    cpus: int = 1
    mem_bytes: int = 0
    limit_s: float | None = None
    grace_s: float = 30.0
    priority: int = 50
    after: tuple[int, ...] = ()
    log_path: str | None = None
    requeue: bool = False
    held: bool = False
    queue: str = ""
    account: str = ""
    begin_at: float | None = None
    deadline_at: float | None = None
    array_id: int | None = None
    array_index: int | None = None
    array_limit: int | None = None
    after_any: tuple[int, ...] = ()
    after_not_ok: tuple[int, ...] = ()
    gpu_mem_bytes: int | None = None
    gpu_mem_runs: int | None = None
    preemptible: bool = False
    checkpoint_signal: str | None = None
    checkpoint_s: float | None = None
    launcher: str | None = None
    ranks: int | None = None
    hang_after_s: float | None = None

    @property
    def dependencies(self) -> tuple[int, ...]:
        """All jobs it waits for, whatever end of theirs it wants."""
        return self.after + self.after_any + self.after_not_ok


def placed(spec: JobSpec, ids: Sequence[int]) -> JobSpec:
    """Return a spec whose references to jobs of its own request are ids.

    Before the request is stored those jobs have none, and are named by their place: -1 the first, -2 the second.
    """
    array_id = None if spec.array_id is None else _id_at(spec.array_id, ids)
    if array_id == spec.array_id and all(other > 0 for other in spec.dependencies):
        return spec
    return replace(
        spec, array_id=array_id, after=_ids_at(spec.after, ids), after_any=_ids_at(spec.after_any, ids),
        after_not_ok=_ids_at(spec.after_not_ok, ids),
    )  # fmt: skip


def _ids_at(places: Iterable[int], ids: Sequence[int]) -> tuple[int, ...]:
    return tuple(_id_at(place, ids) for place in places)


def _id_at(place: int, ids: Sequence[int]) -> int:
    return place if place > 0 else ids[-place - 1]


@dataclass(frozen=True, slots=True)
class Job:
    """One job as stored; every change makes a new value with the next `version`.

    `predicted_s` is how long it was expected to run when it was queued, by `limit`, `history` or `prior`; `forecast_*`
    are the start that was promised then, with the interval that holds it in four cases of five. `preempted` counts the
    attempts that gave way to others, `lost_s` is the time whose work was lost with them. With `gpu_instance` it has
    that MIG instance of its GPU, named like `9/0`.
    """

    id: int
    node: str
    spec: JobSpec
    state: JobState
    submitted_at: float
    version: int = 1
    held: bool = False
    priority: int = 50
    attempt: int = 0
    gpus: tuple[int, ...] = ()
    queued_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    run_s: float | None = None
    pid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    simulated: bool = False
    reported: dict[str, float | int | str | None] = field(default_factory=dict)
    predicted_s: float | None = None
    predicted_by: str | None = None
    forecast_at: float | None = None
    forecast_low_at: float | None = None
    forecast_high_at: float | None = None
    preempted: int = 0
    lost_s: float = 0.0
    gpu_instance: str | None = None

    @property
    def label(self) -> str:
        """What a person calls it: its id, or the array it belongs to and its index there."""
        return str(self.id) if self.spec.array_id is None else f"{self.spec.array_id}_{self.spec.array_index}"

    @property
    def is_sharing(self) -> bool:
        """Whether others may have the rest of its GPU's memory: an instance is nobody else's."""
        return self.spec.gpu_mem_bytes is not None and self.gpu_instance is None

    @property
    def slots(self) -> set[Slot]:
        """The GPUs that it holds, whole or in part."""
        return {(self.node, gpu) for gpu in self.gpus} if self.state in ACTIVE else set()

    def _to(self, state: JobState, **changes: object) -> Self:
        if state not in MOVES[self.state]:
            msg = f"job {self.id} is {self.state} and cannot become {state}"
            raise Refused(msg, f"dcd show {self.id} tells its whole story")
        return replace(self, state=state, version=self.version + 1, **changes)  # type: ignore[arg-type]

    def mark_starting(
        self, node: str, gpus: tuple[int, ...], *, simulated: bool, gpu_instance: str | None = None
    ) -> Self:
        """Give the job its GPUs, or an instance of one; clears what an earlier attempt left."""
        return self._to(
            JobState.STARTING, node=node, gpus=gpus, gpu_instance=gpu_instance, simulated=simulated,
            attempt=self.attempt + 1,
            started_at=None, ended_at=None, run_s=None, pid=None, exit_code=None, signal=None, cause=None, reported={},
        )  # fmt: skip

    def mark_running(self, pid: int | None, started_at: float) -> Self:
        """Record that the job's process exists."""
        return self._to(JobState.RUNNING, pid=pid, started_at=started_at)

    def mark_unstarted(self) -> Self:
        """Put a job whose launch is proven never to have happened back in the queue; the attempt does not count."""
        return self._to(
            JobState.WAITING, gpus=(), gpu_instance=None, attempt=self.attempt - 1, started_at=None, pid=None
        )

    def mark_stopping(self) -> Self:
        """Record that the job was asked to end."""
        return self._to(JobState.STOPPING)

    def mark_ended(  # noqa: PLR0913  one end has this many facts
        self,
        state: JobState,
        ended_at: float,
        *,
        started_at: float | None = None,
        run_s: float | None = None,
        exit_code: int | None = None,
        signal: int | None = None,
        cause: str | None = None,
    ) -> Self:
        """Close the attempt with its true end; its GPUs are free from here on, `gpus` stays as history."""
        started = started_at if started_at is not None else self.started_at
        return self._to(
            state, ended_at=ended_at, started_at=started, run_s=run_s,
            exit_code=exit_code, signal=signal, cause=cause, held=False,
        )  # fmt: skip

    def mark_requeued(self, queued_at: float) -> Self:
        """Send an ended job back to the queue; the next attempt starts from a clean slate."""
        return self._to(
            JobState.WAITING, queued_at=queued_at, gpus=(), gpu_instance=None, held=False, started_at=None,
            ended_at=None, run_s=None, pid=None, exit_code=None, signal=None, cause=None,
        )  # fmt: skip

    def with_loss(self, lost_s: float) -> Self:
        """Count an attempt that was stopped to make room, and the work that was lost with it, in seconds."""
        return replace(self, preempted=self.preempted + 1, lost_s=self.lost_s + lost_s)

    @property
    def checkpoint_at(self) -> float | None:
        """When the job last told that its work is safe on disk, epoch seconds."""
        told = self.reported.get("checkpoint_at")
        return float(told) if isinstance(told, int | float) else None

    def with_hold(self, held: bool) -> Self:  # noqa: FBT001  a setter of one flag
        """Hold a waiting job back, or let it go."""
        if self.state is not JobState.WAITING:
            stands = "is" if self.state in UNFINISHED else "has ended:"
            msg = f"job {self.id} {stands} {self.state}; only a waiting job can be held or released"
            stops, reruns = f"dcd cancel {self.id} stops it", f"dcd requeue {self.id} runs it again"
            raise Refused(msg, stops if self.state in UNFINISHED else reruns)
        return replace(self, held=held, version=self.version + 1)

    def with_report(self, values: dict[str, float | int | str | None]) -> Self:
        """Remember the last value of each quantity that the job reported; the newest come first."""
        older = {name: value for name, value in self.reported.items() if name not in values}
        return replace(self, reported={**values, **older}, version=self.version + 1)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one job has used so far, all attempts together; sums kept by the ledger."""

    job_id: int
    energy_mj: int = 0
    gpu_s: float = 0.0
    util_s: float = 0.0
    sampled_s: float = 0.0
    mem_peak_bytes: int | None = None
    uncertainty_pct: float | None = None
    method: str | None = None

    @property
    def gpu_util_ratio(self) -> float | None:
        """Mean GPU utilisation over the sampled GPU time, 0 to 1; None when nothing was sampled."""
        return self.util_s / self.sampled_s if self.sampled_s > 0 else None

"""How far jobs have come that may be stopped and started again: what is saved, what would be lost, what is left."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.order import lasting_s
from dcdaemon.scheduler.policy import SwapCosts
from dcdaemon.scheduler.space import Hold

#: Nothing is thought to be nearer to its end.
_LEAST_S = 1.0
#: What starts again is thought to take a minute for that, and a minute of work at least.
_AGAIN_S = 60.0


@dataclass(slots=True)
class Progress:
    """One job from its submit to its end; times in seconds, moments on the scheduler's clock.

    `saved_s` is its work in checkpoints, `known_s` the most it ever reached: it is known to last longer than that.
    `started_at` is None while it waits, since `queued_at`; it works from `works_from` on.
    """

    predicted_s: float
    checkpoint_s: float
    queued_at: float
    saved_s: float = 0.0
    known_s: float = 0.0
    waited_before_s: float = 0.0
    preempted: int = 0
    started_at: float | None = None
    works_from: float = 0.0

    def ran_s(self, now: float) -> float:
        """Return how long it has worked since it started last."""
        return 0.0 if self.started_at is None else max(0.0, now - self.works_from)

    def done_s(self, now: float) -> float:
        """Return the work it has behind it, saved or not."""
        return self.saved_s + self.ran_s(now)

    def reached_s(self, now: float) -> float:
        """Return the most work it ever had behind it."""
        return max(self.known_s, self.done_s(now))

    def unsaved_s(self, now: float) -> float:
        """Return the work since its last checkpoint: what is lost when it is stopped now."""
        return self.ran_s(now) % self.checkpoint_s

    def waited_s(self, now: float) -> float:
        """Return how long it has waited in all."""
        return self.waited_before_s + (now - self.queued_at if self.started_at is None else 0.0)

    def start(self, at: float, restart_s: float) -> None:
        """Note that it starts; the first time at once, later it takes so long to come back."""
        self.waited_before_s += at - self.queued_at
        self.started_at = at
        self.works_from = at + (restart_s if self.preempted else 0.0)

    def stop(self, now: float) -> float:
        """Note that it is stopped; returns the work that is lost."""
        lost_s = self.unsaved_s(now)
        self.known_s = self.reached_s(now)
        self.saved_s = self.done_s(now) - lost_s
        self.preempted += 1
        self.started_at, self.queued_at = None, now
        return lost_s


@dataclass(slots=True)
class Ledger:
    """The progress of all jobs that have not ended, and how long they are thought to run.

    `expected_s` tells the mean run of jobs of a prediction that have run for so long, as the calibration does.
    """

    costs: SwapCosts
    expected_s: Callable[[float, float], float]
    jobs: dict[int, Progress] = field(default_factory=dict)

    def queued(self, job: QueuedJob) -> None:
        """Note a job that has come."""
        self.jobs[job.id] = Progress(lasting_s(job), self.costs.checkpoint_s, job.queued_at)

    def left_s(self, progress: Progress, now: float) -> float:
        """Return how much longer the job is thought to work."""
        expected_s = self.expected_s(progress.predicted_s, progress.reached_s(now))
        return max(_LEAST_S, expected_s - progress.done_s(now))

    def rest_s(self, progress: Progress, now: float) -> float:
        """Return what stands for the prediction of a job that waits again: its part that is left, and the restart."""
        part = self.left_s(progress, now) / self.expected_s(progress.predicted_s, 0.0)
        return _AGAIN_S + max(_AGAIN_S, progress.predicted_s * part)

    def hold(self, job: QueuedJob, gpus: tuple[int, ...], at: float, expect: Callable[[float], float] | None) -> Hold:
        """Return what the job holds on a node when it starts then: as if all that is saved had been run just before."""
        progress = self.jobs[job.id]
        predicted_s, ends_at = progress.predicted_s, math.inf if job.limit_s is None else at + job.limit_s
        begun = at + (self.costs.restart_s if progress.preempted else 0.0) - progress.saved_s
        expected_s = predicted_s if expect is None else expect(predicted_s)
        return Resumed(job.id, gpus, 0, 0, ends_at, begun, predicted_s, None, expected_s, progress.known_s)


@dataclass(slots=True)
class Resumed(Hold):
    """What a job holds that had come farther once: it lasts longer than it is known to have worked."""

    known_s: float = 0.0

    def expected_end(self, now: float) -> float:
        """Return when the job is thought to end: past the mean after twice the most work it ever had behind it."""
        if self.expected_s is None or self.started_at is None or self.known_s < self.expected_s:
            return Hold.expected_end(self, now)
        reached_s = max(self.known_s, now - self.started_at)
        return min(self.ends_at, self.started_at + 2 * reached_s)

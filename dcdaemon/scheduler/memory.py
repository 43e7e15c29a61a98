"""What a scheduler remembers: what it keeps for whom, and what first in, first out would have done."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dcdaemon.core.plan import Plan, Reservation
from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.calibrate import Calibration
from dcdaemon.scheduler.order import USUAL_S, lasting_s
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.shadow import Shadow
from dcdaemon.scheduler.start_time import StartTimes

PLAIN = Policy()


class Past(NamedTuple):
    """A job of the past: when it came, and what became of it; `run_s` is None while it runs."""

    queued_at: float
    job_id: int
    gpus: int
    started_at: float | None
    run_s: float | None
    predicted_s: float | None


class Memory:
    """Told of every job that comes, starts and ends, it gives each plan the standing to decide from."""

    def __init__(self, node_gpus: Sequence[int] = (), policy: Policy = PLAIN) -> None:
        """Begin with nothing promised, on nodes of so many GPUs each."""
        orders = {policy.order, *(policy.order_in(name) for name in policy.queues)}
        self._calibration = Calibration()
        self._shadow = None if orders == {Order.FIFO} else Shadow(node_gpus, self._calibration.expected_s)
        self._kept: tuple[Reservation, ...] = ()
        #: What was predicted of the jobs that have not ended.
        self._predicted: dict[int, float] = {}
        #: Foretells when jobs start, where that is wanted, and what the last plan keeps for those that wait.
        self.starts: StartTimes | None = None
        self.reserved: tuple[Reservation, ...] = ()

    def expected_s(self, predicted_s: float) -> float:
        """Return how long jobs of this prediction ran in the mean."""
        return self._calibration.means(predicted_s)

    def given_s(self, predicted_s: float, ran_s: float) -> float:
        """Return the same of jobs that have run for `ran_s` already."""
        return self._calibration.expected_s(predicted_s, ran_s)

    def queued(self, job: QueuedJob, now: float) -> None:
        """Note a job that is ready to start."""
        if self.starts is not None:
            self.starts.queued(job)
        if self._shadow is not None:
            self._predicted[job.id] = lasting_s(job)
            self._shadow.submit(job.id, job.gpus, lasting_s(job), now)

    def recall(self, past: Past) -> None:
        """Note a job that came before this memory began; earlier ones first."""
        if self._shadow is None:
            return
        predicted_s = USUAL_S if past.predicted_s is None else past.predicted_s
        if past.run_s is not None:
            self._calibration.learn(predicted_s, past.run_s)
            self._shadow.submit(past.job_id, past.gpus, past.run_s, past.queued_at)
            self._shadow.ended(past.job_id, past.run_s, past.queued_at)
            return
        self._predicted[past.job_id] = predicted_s
        self._shadow.submit(past.job_id, past.gpus, predicted_s, past.queued_at)
        if past.started_at is not None:
            self._shadow.started(past.job_id, past.started_at)

    def started(self, job_id: int, at: float) -> None:
        """Note a job that runs."""
        if self.starts is not None:
            self.starts.started(job_id, at)
        if self._shadow is not None:
            self._shadow.started(job_id, at)

    def stopped(self, job_id: int, reached_s: float) -> None:
        """Note a job that was stopped and waits again, having run for so long at most."""
        if self._shadow is not None:
            self._shadow.stopped(job_id, reached_s)

    def ended(self, job_id: int, run_s: float, now: float) -> None:
        """Note a job that ran so long."""
        if self.starts is not None:
            self.starts.left(job_id)
        if self._shadow is not None:
            predicted_s = self._predicted.pop(job_id, None)
            if predicted_s is not None:
                self._calibration.learn(predicted_s, run_s)
            self._shadow.ended(job_id, run_s, now)

    def left(self, job_id: int, now: float) -> None:
        """Note a job that was taken out of the queue before it ran."""
        if self.starts is not None:
            self.starts.left(job_id)
        if self._shadow is not None:
            self._predicted.pop(job_id, None)
            self._shadow.left(job_id, now)

    def keep(self, plan: Plan) -> None:
        """Note what a plan keeps for jobs that wait."""
        self._kept, self.reserved = plan.sticky, plan.reservations

    def standing(self, now: float, shares_used: Mapping[tuple[str, str], float] | None = None) -> Standing:
        """Return what the past says to a decision made now."""
        longest_s = None if self._shadow is None else self._shadow.longest_wait_s(now)
        expect = None if self._shadow is None else self._calibration.means
        return Standing(self._kept, longest_s, shares_used or {}, expect)

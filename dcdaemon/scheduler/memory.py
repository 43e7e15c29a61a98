"""What a scheduler remembers from plan to plan: its promises, and what first in, first out would have done."""

from collections.abc import Mapping, Sequence

from dcdaemon.core.plan import Plan, Reservation
from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.order import lasting_s
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.shadow import Shadow


class Memory:
    """Told of every job that comes, starts and ends, it gives each plan the standing to decide from."""

    def __init__(self, node_gpus: Sequence[int], policy: Policy) -> None:
        """Begin with nothing promised, on nodes of so many GPUs each."""
        orders = {policy.order, *(policy.order_in(name) for name in policy.queues)}
        self._shadow = None if orders == {Order.FIFO} else Shadow(node_gpus)
        self._promises: tuple[Reservation, ...] = ()

    def queued(self, job: QueuedJob, now: float) -> None:
        """Note a job that is ready to start."""
        if self._shadow is not None:
            self._shadow.submit(job.id, job.gpus, lasting_s(job), now)

    def started(self, job_id: int, now: float) -> None:
        """Note a job that runs."""
        if self._shadow is not None:
            self._shadow.started(job_id, now)

    def ended(self, job_id: int, run_s: float, now: float) -> None:
        """Note a job that ran so long."""
        if self._shadow is not None:
            self._shadow.ended(job_id, run_s, now)

    def left(self, job_id: int, now: float) -> None:
        """Note a job that was taken out of the queue before it ran."""
        if self._shadow is not None:
            self._shadow.left(job_id, now)

    def keep(self, plan: Plan) -> None:
        """Note what a plan promised."""
        self._promises = plan.promises

    def standing(self, now: float, shares_used: Mapping[tuple[str, str], float] | None = None) -> Standing:
        """Return what the past says to a decision made now."""
        longest_s = None if self._shadow is None else self._shadow.longest_wait_s(now)
        return Standing(self._promises, longest_s, shares_used or {})

"""The policies that can be compared, by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from typing import Self

from dcdaemon.core.errors import BadInput
from dcdaemon.scheduler.policy import Order, Policy, SwapCosts
from dcdaemon.simulator.workload import RecordedJob


class Knows(Enum):
    """What the scheduler is told about how long a job will run."""

    ESTIMATE = "the estimate"
    LIMIT = "the user's limit"
    PREDICTION = "a prediction"


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy under its name, and what it is told of each job's length."""

    name: str
    policy: Policy
    knows: Knows

    def with_patience(self, patience: float | None) -> Self:
        """Return the policy with this patience; itself for None, and where patience does not matter."""
        if patience is None or self.policy.order is not Order.SHORTEST:
            return self
        return replace(self, policy=replace(self.policy, patience=patience))

    def limit_of(self, job: RecordedJob, estimate_s: float) -> float | None:
        """Return the time limit that plan() sees, None for none."""
        return estimate_s if self.knows is Knows.ESTIMATE else job.limit_s

    def prediction_of(self, estimate_s: float) -> float | None:
        """Return the prediction that plan() sees, None for none."""
        return estimate_s if self.knows is Knows.PREDICTION else None


#: In the order in which they are compared when nothing else is said.
CHOICES = {
    choice.name: choice
    for choice in (
        # First in, first out: nobody passes the first one that does not fit.
        Choice("fifo", Policy(backfill=False, gangs=True), Knows.LIMIT),
        # EASY: the first one has a reservation, and others pass it where they cannot delay it.
        Choice("easy", Policy(gangs=True), Knows.ESTIMATE),
        # What the daemon does: predicted shortest service first, and nobody waits much longer than under FIFO.
        Choice("default", Policy(order=Order.SHORTEST, gangs=True), Knows.PREDICTION),
    )
}
#: And those that are compared only where they are named.
ALL = CHOICES | {
    choice.name: choice
    for choice in (
        # The default, and any running job is stopped and started again later where that pays, or one is overdue.
        Choice(
            "preempt",
            Policy(order=Order.SHORTEST, gangs=True, patience=0.8, swaps=SwapCosts()),
            Knows.PREDICTION,
        ),
    )
}


def chosen(names: Sequence[str]) -> list[Choice]:
    """Return the policies of these names, each once; raises BadInput with the nearest name for a wrong one."""
    for name in names:
        if name not in ALL:
            near = get_close_matches(name, ALL, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"there is no policy {name!r}{meant}", f"choose from {', '.join(ALL)}")
    return [ALL[name] for name in dict.fromkeys(names)]

"""The choices an operator has about scheduling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Order(StrEnum):
    """Who goes first among waiting jobs of one priority."""

    SHORTEST = "shortest"
    FIFO = "fifo"
    FAIR_SHARE = "fair-share"


@dataclass(frozen=True, slots=True)
class QueueRule:
    """What is special about one queue: of two tiers the higher one goes first."""

    order: Order | None = None
    tier: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """How the queue is served; `backfill_depth` is how many shapes behind the head may be tried in vain.

    `patience` says after how much of the longest wait of first in, first out a job is overdue; `safety` by how much
    a prediction is multiplied before a job may pass the head by it, None for never. `gangs` lets a job that is wider
    than any node take several whole ones.
    """

    order: Order = Order.FIFO
    backfill: bool = True
    backfill_depth: int = 1000
    default_limit_s: float | None = None
    gangs: bool = False
    patience: float = 1.0
    safety: float | None = 4.0
    queues: Mapping[str, QueueRule] = field(default_factory=dict)

    def limit_for(self, asked_s: float | None) -> float | None:
        """Return the limit a job gets at submit, in seconds; plan() counts on it, so it must be enforced."""
        return self.default_limit_s if asked_s is None else asked_s

    def order_in(self, queue: str) -> Order:
        """Return the order of a queue."""
        rule = self.queues.get(queue)
        return self.order if rule is None or rule.order is None else rule.order

    def tier_of(self, queue: str) -> int:
        """Return the tier of a queue."""
        rule = self.queues.get(queue)
        return 0 if rule is None else rule.tier

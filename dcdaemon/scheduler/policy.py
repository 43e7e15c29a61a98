"""The choices an operator has about scheduling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Order(StrEnum):
    """Who goes first among waiting jobs of one priority."""

    SHORTEST = "shortest"
    FIFO = "fifo"
    FAIR_SHARE = "fair-share"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class QueueRule:
    """What is special about one queue: of two tiers the higher one goes first; `gpus` are its GPUs of each node.

    Jobs of an `urgent` queue may preempt those of a `preemptible` one, once these have run for `min_run_s`.
    """

    order: Order | None = None
    tier: int = 0
    gpus: frozenset[int] | None = None
    urgent: bool = False
    preemptible: bool = False
    min_run_s: float = 0.0


PLAIN_QUEUE = QueueRule()


@dataclass(frozen=True, slots=True)
class Weights:
    """What accounts weigh beside each other in fair-share, and users within theirs; 1 unless it is said here."""

    accounts: Mapping[str, float] = field(default_factory=dict)
    users: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SwapCosts:
    """What it takes to stop a running job and start it again, in seconds; its work is saved every `checkpoint_s`."""

    stop_s: float = 30.0
    restart_s: float = 60.0
    checkpoint_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How the queue is served; `backfill_depth` is how many shapes behind the head may be tried in vain.

    `patience` says after how much of the longest wait of first in, first out a job is overdue; `safety` by how much
    a prediction is multiplied before a job may pass the head by it, None for never. `gangs` lets a job that is wider
    than any node take several whole ones. With `recall` a job within its quota gets GPUs back that are lent to others,
    from jobs that have run for `recall_after_s`. A shared GPU takes no further job before its newest one has run for
    `share_holdoff_s`: it may still be loading. With `swaps` any running job may be stopped at that cost to make room
    for another; only the simulator does so.
    """

    order: Order = Order.FIFO
    backfill: bool = True
    backfill_depth: int = 1000
    gangs: bool = False
    patience: float = 0.9
    safety: float | None = 4.0
    queues: Mapping[str, QueueRule] = field(default_factory=dict)
    weights: Weights = field(default_factory=Weights)
    recall: bool = True
    recall_after_s: float = 600.0
    share_holdoff_s: float = 60.0
    swaps: SwapCosts | None = None

    def order_in(self, queue: str) -> Order:
        """Return the order of a queue."""
        rule = self.queues.get(queue)
        return self.order if rule is None or rule.order is None else rule.order

    def rule_of(self, queue: str) -> QueueRule:
        """Return what is special about a queue."""
        return self.queues.get(queue, PLAIN_QUEUE)

    def tier_of(self, queue: str) -> int:
        """Return the tier of a queue."""
        rule = self.queues.get(queue)
        return 0 if rule is None else rule.tier

    def gpus_of(self, queue: str) -> frozenset[int] | None:
        """Return the GPUs of each node that a queue's jobs may have, None for all."""
        rule = self.queues.get(queue)
        return None if rule is None else rule.gpus

"""What one decision costs with 10,000 waiting jobs, after one event and from nothing: python -m benchmarks decision."""

import random
import statistics
import time
from dataclasses import replace

from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob, Standing
from dcdaemon.scheduler.cycle import anything_fits, pass_on
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.space import NodeSpace, spaces_of

JOBS, USERS, EVENTS = 10_000, 100, 30
NOW = 1_000_000.0
#: Under deadlines each job has one of its own, from an hour ago to two days to come.
ORDERS = (Order.SHORTEST, Order.DEADLINE)
#: First in, first out would have kept people waiting for a day: thousands of the jobs are overdue.
PAST = Standing(fifo_wait_s=86400.0)


def waiting(chance: random.Random) -> list[QueuedJob]:
    """Jobs of 1 to 32 GPUs, half of them with one of two limits, each predicted on its own."""
    return [
        QueuedJob(
            n, n, 50, chance.choice((1, 1, 1, 2, 4, 8, 8, 16, 32)), 4, 0, chance.choice((None, None, 3600.0, 86400.0)),
            queued_at=NOW - chance.uniform(0, 90000), predicted_s=chance.lognormvariate(8, 2),
            user=f"u{chance.randrange(USERS)}",
        )
        for n in range(1, JOBS + 1)
    ]  # fmt: skip


def busy(nodes: int, chance: random.Random) -> ClusterView:
    """Nodes of 8 GPUs of which one or none is free, with jobs of 1, 2 and 4 GPUs."""
    views = tuple(NodeView(f"n{n}", 64, 2**39, tuple(GpuSlot(gpu) for gpu in range(8))) for n in range(nodes))
    running: list[RunningJob] = []
    for view in views:
        taken = 0
        while taken < 7:
            gpus = tuple(range(taken, min(8, taken + chance.choice((1, 1, 2, 4)))))
            taken += len(gpus)
            began, run_s = NOW - chance.uniform(0, 36000), chance.lognormvariate(8, 1.5)
            running.append(RunningJob(-1 - len(running), view.name, gpus, 4, 0, None, began, run_s))
    return ClusterView(views, tuple(running), standing=PAST)


def measure(nodes: int, order: Order) -> None:
    """Print one row: index, spaces and pass from nothing; then a pass after each of some ends."""
    chance = random.Random(1)  # noqa: S311  an experiment
    jobs, view, policy = waiting(chance), busy(nodes, chance), Policy(order=order, gangs=True)
    if order is Order.DEADLINE:
        jobs = [replace(job, deadline_at=NOW + chance.uniform(-3600, 172800)) for job in jobs]
    began = time.process_time()
    queue = QueueIndex(jobs, by_owner=False, by_deadline=order is Order.DEADLINE)
    spaces = spaces_of(view)
    decided = pass_on(spaces, queue, policy, NOW, PAST).plan
    nothing_ms = (time.process_time() - began) * 1000
    taken_ms: list[float] = []
    starts = 0
    for number in range(EVENTS):
        for start in decided.starts:
            queue.remove(start.job_id)
        end_one(spaces, chance)
        began = time.process_time()
        if anything_fits(queue, spaces, policy):
            decided = pass_on(spaces, queue, policy, NOW + number, Standing(decided.sticky, PAST.fifo_wait_s)).plan
        taken_ms.append((time.process_time() - began) * 1000)
        starts += len(decided.starts)
    print(
        f"{order:>9}{nodes:>7}{nothing_ms:>14.1f}{statistics.median(taken_ms):>18.1f}{max(taken_ms):>10.1f}{starts:>9}"
    )


def end_one(spaces: list[NodeSpace], chance: random.Random) -> None:
    """Let one running job end, whichever nodes it is on."""
    job_id = chance.choice([space for space in spaces if space.holds]).holds[0].job_id
    for space in spaces:
        if any(hold.job_id == job_id for hold in space.holds):
            space.give_back(job_id)


def main() -> None:
    """Print the table."""
    print(f"{JOBS:,} waiting jobs of {USERS} users, 8 GPUs a node; milliseconds of CPU")
    print("    order  nodes  from nothing   after one event   longest   starts")
    for order in ORDERS:
        for nodes in (100, 1000):
            measure(nodes, order)


if __name__ == "__main__":
    main()

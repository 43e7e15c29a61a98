"""Time one scheduling pass over 10,000 waiting jobs, and what is asked about it: python benchmarks/bench_plan.py."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob, Standing
from dcdaemon.scheduler.ahead import Line
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex

JOBS = 10_000
USERS = 200
NOW = 1_000_000.0
ROUNDS = 15
SHORTEST = Policy(order=Order.SHORTEST, gangs=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A queue, the policy it is served by, and what is known of the jobs that run."""

    name: str
    jobs: list[QueuedJob]
    policy: Policy
    predicted: bool = False


def cluster(nodes: int, *, busy: bool, predicted: bool) -> ClusterView:
    """Return nodes of 8 GPUs, 7 of which are taken when it is busy, by jobs of many users."""
    views = tuple(NodeView(f"n{n}", 64, 2**39, tuple(GpuSlot(gpu) for gpu in range(8))) for n in range(nodes))
    gpus = [(node.name, gpu) for node in views for gpu in range(7 if busy else 0)]
    running = [
        RunningJob(-1 - number, node, (gpu,), 4, 0, NOW + 60 + number * 7 % 3600, NOW - 600.0)
        for number, (node, gpu) in enumerate(gpus)
    ]
    if not predicted:
        return ClusterView(views, tuple(running))
    caps = {("user", f"u{user}"): 400 for user in range(USERS)}
    known = (
        replace(job, ends_at=None, predicted_s=660.0 - job.id * 7 % 36000, caps=caps_of(-job.id)) for job in running
    )
    return ClusterView(views, tuple(known), caps, Standing(fifo_wait_s=7200.0))


def caps_of(number: int) -> tuple[tuple[str, str], ...]:
    return (("user", f"u{number % USERS}"),)


def twenty_shapes() -> list[QueuedJob]:
    gpus, limits = (8, 4, 2, 1), (None, 600.0, 3600.0, 14400.0, 86400.0)
    return [QueuedJob(n, n, 50, gpus[n % 4], 4, 0, limits[n % 5]) for n in range(1, JOBS + 1)]


def distinct_limits() -> list[QueuedJob]:
    return [QueuedJob(n, n, 50, (8, 4, 2, 1)[n % 4], 4, 0, 60.0 + n * 7919 % JOBS) for n in range(1, JOBS + 1)]


def predictions() -> list[QueuedJob]:
    """Jobs without limits, of 200 users who have one each, every one predicted on its own; some take two nodes."""
    return [
        QueuedJob(
            n, n, 50, (16, 8, 4, 2, 1, 1, 1, 1)[n % 8], 4, 0, None, queued_at=NOW - JOBS + n,
            predicted_s=60.0 + n * 7919 % 86400, user=f"u{n % USERS}", caps=caps_of(n),
        )
        for n in range(1, JOBS + 1)
    ]  # fmt: skip


def median_ms(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def measure(case: Case, queue: QueueIndex, nodes: int, *, busy: bool) -> None:
    """Print one row: a pass, then the reason of a job that is first, hundredth and last in line, then 200 notes."""
    view, policy = cluster(nodes, busy=busy, predicted=case.predicted), case.policy
    starts = len(plan(view, queue, policy, NOW).starts)
    plan_ms = median_ms(lambda: plan(view, queue, policy, NOW), 5)
    keys = Line.of(view, queue, policy, NOW).keys
    started = {start.job_id for start in plan(view, queue, policy, NOW).starts}
    waiting = [key.job_id for key in keys if key.job_id not in started]
    near_ms, far_ms, last_ms = (
        median_ms(lambda place=place: explain(view, queue, policy, NOW, waiting[place]), 3) for place in (0, 100, -1)
    )
    listed = frozenset(key.job_id for key in keys[:: JOBS // 200])
    ps_ms = median_ms(lambda: explain_all(view, queue, policy, NOW, only=listed), 5)
    print(
        f"{case.name:<16}{nodes:>6}{'busy' if busy else 'empty':>8}{starts:>8}{plan_ms:>9.1f}"
        f"{near_ms:>11.0f}{far_ms:>11.0f}{last_ms:>10.0f}{ps_ms:>9.1f}"
    )


def measure_index(name: str, queue: QueueIndex, job: QueuedJob) -> None:
    """Print what keeping the index costs."""
    step_ms = median_ms(lambda: (queue.remove(job.id), queue.add(job)))
    print(f"{name:<16} one job out and in: {step_ms * 1000:.0f} us, a copy: {median_ms(queue.copy):.2f} ms")


def main() -> None:
    """Print the table; busy = 7 of 8 GPUs taken on every node, empty = none."""
    print(f"{JOBS:,} waiting jobs; medians in milliseconds")
    print("queue            nodes cluster  starts     plan  why first  why 100th  why last   ps 200")
    cases = (
        Case("20 shapes", twenty_shapes(), Policy()),
        Case("distinct limits", distinct_limits(), Policy()),
        Case("predictions", predictions(), SHORTEST, predicted=True),
    )
    for case in cases:
        queue = QueueIndex(case.jobs)
        for nodes in (1, 100, 1000):
            measure(case, queue, nodes, busy=True)
            measure(case, queue, nodes, busy=False)
        measure_index(case.name, queue, case.jobs[JOBS // 2])


if __name__ == "__main__":
    main()

"""Time one scheduling pass over 10,000 waiting jobs: python benchmarks/bench_plan.py."""

import statistics
import time
from collections.abc import Callable

from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex

JOBS = 10_000
NOW = 1_000_000.0
ROUNDS = 15


def cluster(nodes: int, *, busy: bool) -> ClusterView:
    views = tuple(NodeView(f"n{n}", 64, 2**39, tuple(GpuSlot(gpu) for gpu in range(8))) for n in range(nodes))
    gpus = [(node.name, gpu) for node in views for gpu in range(7 if busy else 0)]
    running = [
        RunningJob(-1 - number, node, (gpu,), 4, 0, NOW + 60 + number * 7 % 3600)
        for number, (node, gpu) in enumerate(gpus)
    ]
    return ClusterView(views, tuple(running))


def twenty_shapes() -> list[QueuedJob]:
    gpus, limits = (8, 4, 2, 1), (None, 600.0, 3600.0, 14400.0, 86400.0)
    return [QueuedJob(n, n, 50, gpus[n % 4], 4, 0, limits[n % 5]) for n in range(1, JOBS + 1)]


def distinct_limits() -> list[QueuedJob]:
    return [QueuedJob(n, n, 50, (8, 4, 2, 1)[n % 4], 4, 0, 60.0 + n * 7919 % JOBS) for n in range(1, JOBS + 1)]


def median_ms(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def measure(name: str, queue: QueueIndex, nodes: int, *, busy: bool) -> None:
    """Print one row."""
    view, policy = cluster(nodes, busy=busy), Policy()
    starts = len(plan(view, queue, policy, NOW).starts)
    plan_ms = median_ms(lambda: plan(view, queue, policy, NOW))
    why_ms = median_ms(lambda: explain(view, queue, policy, NOW, JOBS), 1)
    ps_ms = median_ms(lambda: explain_all(view, queue, policy, NOW, 200), 3)
    print(f"{name:<17}{nodes:>7}{'busy' if busy else 'empty':>9}{starts:>8}{plan_ms:>9.2f}{why_ms:>11.0f}{ps_ms:>9.1f}")


def measure_index(name: str, queue: QueueIndex, job: QueuedJob) -> None:
    """Print what keeping the index costs."""
    step_ms = median_ms(lambda: (queue.remove(job.id), queue.add(job)))
    print(f"{name:<17} one job out and in: {step_ms * 1000:.0f} us, a copy: {median_ms(queue.copy):.2f} ms")


def main() -> None:
    """Print the table; busy = 7 of 8 GPUs taken on every node, empty = none."""
    print(f"{JOBS:,} waiting jobs; medians in milliseconds")
    print("queue              nodes  cluster  starts     plan   why last   ps 200")
    for name, jobs in (("20 shapes", twenty_shapes()), ("distinct limits", distinct_limits())):
        queue = QueueIndex(jobs)
        for nodes in (1, 100):
            measure(name, queue, nodes, busy=True)
            measure(name, queue, nodes, busy=False)
        measure_index(name, queue, jobs[JOBS // 2])


if __name__ == "__main__":
    main()

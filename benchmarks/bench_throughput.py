"""1,000 trivial jobs through 8 slots: from the submit request to the last job's durable end."""

import time

from benchmarks.node import GPUS, Node, running_node

JOBS = 1000


def jobs_per_second(node: Node, jobs: int = JOBS, priority: int = 50) -> float:
    """Return how many jobs a second went from submit to a stored end; each takes one of the 8 GPUs."""
    begin_s = time.monotonic()
    ids = node.submit(["/bin/true"], jobs, gpus=1, priority=priority)
    node.wait(ids)
    return jobs / (time.monotonic() - begin_s)


def main() -> None:
    """Print jobs per second."""
    with running_node() as node:
        jobs_per_second(node, 50)
        print(f"{JOBS} trivial jobs through {GPUS} GPUs: {jobs_per_second(node):.0f} jobs/s end to end")


if __name__ == "__main__":
    main()

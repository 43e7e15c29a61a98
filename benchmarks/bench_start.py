"""From the submit request leaving the client to the job's first instruction, on an idle node, one job at a time."""

import time

from benchmarks.node import Node, percentile, running_node

JOBS = 200
#: The first thing this program does is to read the clock; its own start is part of the figure.
CLOCK = ["/bin/date", "+%s%N"]


def first_instruction_ms(node: Node, jobs: int = JOBS, priority: int = 50) -> list[float]:
    """Return the latency of each job in milliseconds."""
    latencies = []
    for _ in range(jobs):
        sent_ns = time.time_ns()
        [job_id] = node.submit(CLOCK, gpus=1, priority=priority)
        node.wait([job_id])
        latencies.append((int(node.log(job_id)) - sent_ns) / 1e6)
    return latencies


def main() -> None:
    """Print p50 and p99."""
    with running_node() as node:
        first_instruction_ms(node, 20)
        latencies = first_instruction_ms(node)
    print(f"submit to first instruction, idle node, {JOBS} jobs: ", end="")
    print(f"p50 {percentile(latencies, 0.5):.1f} ms, p99 {percentile(latencies, 0.99):.1f} ms")


if __name__ == "__main__":
    main()

"""FIFO replayed in forty lines that share nothing with the scheduler, to see what a figure depends on.

Which of several equally good nodes a job takes is nobody's decision, and yet it decides what is left whole for the next
gang. Two rules: the lowest index, which is ours, and whatever a Python set of node numbers gives first, as in the
reference.
"""

import heapq
from collections.abc import Callable, Sequence

GPUS = 8
#: submit_s, duration_s, gpus.
Job = tuple[float, float, int]
Pick = Callable[[set[int], int], list[int]]


def lowest(nodes: set[int], count: int) -> list[int]:
    """Take the nodes with the lowest numbers."""
    return sorted(nodes)[:count]


def as_sets_have_them(nodes: set[int], count: int) -> list[int]:
    """Take the nodes that the set gives first; that depends on what was put in and taken out before."""
    return list(nodes)[:count]


def fifo_starts(jobs: Sequence[Job], nodes: int, pick: Pick) -> list[float]:
    """Return when each job starts: strictly in order, on the fullest node that holds it, gangs on whole nodes."""
    with_free = [set[int]() for _ in range(GPUS)] + [set(range(nodes))]
    free = [GPUS] * nodes
    ends: list[tuple[float, int, list[int], int]] = []
    starts: list[float] = []
    came = 0

    def change(node: int, gpus: int) -> None:
        with_free[free[node]].remove(node)
        free[node] += gpus
        with_free[free[node]].add(node)

    while len(starts) < len(jobs):
        now = min([job[0] for job in jobs[came : came + 1]] + [end[0] for end in ends[:1]])
        while ends and ends[0][0] <= now:
            _, _, used, gpus = heapq.heappop(ends)
            for node in used:
                change(node, gpus)
        while came < len(jobs) and jobs[came][0] <= now:
            came += 1
        while len(starts) < came:
            _, duration_s, gpus = jobs[len(starts)]
            count, share = max(1, gpus // GPUS), min(gpus, GPUS)
            bucket = next((nodes for nodes in with_free[share:] if len(nodes) >= count), None)
            if bucket is None:
                break
            used = pick(bucket, count)
            for node in used:
                change(node, -share)
            heapq.heappush(ends, (now + duration_s, len(starts), used, share))
            starts.append(now)
    return starts

"""How fast the simulator is, and whether it agrees with an independent one: python -m benchmarks simulate.

The traces and the reference figures lie in ../shared/data; DCD_DATA names another place.
"""

import json
import os
import time
from functools import cache
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

from benchmarks.plain_replay import as_sets_have_them, fifo_starts, lowest
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.study import Run, Study, carry_out
from dcdaemon.simulator.traces import read_trace
from dcdaemon.simulator.workload import Workload

TRACES = Path(os.environ.get("DCD_DATA", "../shared/data")) / "traces"
REFERENCE = TRACES / "baseline_results.jsonl"
CASES = {
    "itp_cluster01": (8,), "itp_cluster02": (14, 18), "itp_cluster03": (22, 30), "itp_cluster05": (2, 3),
    "itp_cluster06": (14, 18), "itp_cluster08": (10, 12), "itp_cluster10": (4,), "philly_vc_103959": (4,),
    "philly_vc_6214e9": (8,), "philly_vc_ee9e8c": (20, 24), "muri_trace1": (20,), "muri_trace3": (8,),
}  # fmt: skip
#: Loads from 0.65 to 0.85 on several nodes: where policies differ.
EIGHT = (
    ("itp_cluster02", 14), ("itp_cluster03", 22), ("itp_cluster06", 14), ("itp_cluster08", 10), ("itp_cluster08", 12),
    ("philly_vc_6214e9", 8), ("philly_vc_ee9e8c", 24), ("philly_vc_103959", 4),
)  # fmt: skip
#: A difference of the mean completion time up to here needs no explanation.
CLOSE = 0.05


def main() -> None:
    """Print both tables; each row of the first plays one trace under all policies."""
    if not REFERENCE.exists():
        print(f"skipped: there is no {REFERENCE}; set DCD_DATA to the folder that holds traces/")
        return
    measure_speed()
    print()
    compare()


def measure_speed() -> None:
    """Print how many jobs a second are played, reading not counted."""
    print(
        "jobs a second            nodes    jobs"
        + "".join(f"{name:>9}" for name in CHOICES)
        + "  mean completion / fifo's"
    )
    began, total = time.perf_counter(), 0
    for trace, sizes in CASES.items():
        for nodes in sizes:
            runs = {name: played(trace, nodes, name) for name in CHOICES}
            total += sum(run.metrics.jobs for run, _ in runs.values())
            speeds = "".join(f"{run.metrics.jobs / took_s:>9,.0f}" for run, took_s in runs.values())
            means = [run.metrics.completion_mean_s for run, _ in runs.values()]
            ratios = "  ".join(
                f"{name} {mean / means[0]:.2f}" for name, mean in zip(CHOICES, means, strict=True) if name != "fifo"
            )
            print(f"{trace:<24}{nodes:>6}{runs['fifo'][0].metrics.jobs:>8,}{speeds}  {ratios}", flush=True)
    for name in list(CHOICES)[1:]:
        ratios = [mean_completion_s(*case, name) / mean_completion_s(*case, "fifo") for case in EIGHT]
        both = f"{geometric_mean(ratios):.3f}, without {EIGHT[0][0]} {geometric_mean(ratios[1:]):.3f}"
        print(f"{name} / fifo, geometric mean over eight cases: {both}")
    print(f"all of it: {total:,} jobs in {time.perf_counter() - began:.0f} s, reading included")


def compare() -> None:
    """Print mean completion times next to the reference's, and for FIFO what a plain replay makes of it."""
    titles = "nodes  policy      ours   reference  ratio   replay, lowest / ours   replay, sets / ref."
    print(f"mean completion, s       {titles}")
    far = 0
    for row in map(json.loads, REFERENCE.read_text().splitlines()):
        if row["policy"] in ("fifo", "easy"):
            far += compare_row(row)
    print(f"farther away than {CLOSE:.0%}: {far}")


def compare_row(row: dict[str, Any]) -> bool:
    """Print one row; True when the two are farther apart than they should be."""
    nodes = row["gpus"] // 8
    ours_s = mean_completion_s(row["trace"], nodes, row["policy"])
    ratio = ours_s / row["avg_jct"]
    far = abs(ratio - 1) > CLOSE
    line = f"{row['trace']:<24}{nodes:>6}  {row['policy']:<6}{ours_s:>10,.0f}{row['avg_jct']:>12,}{ratio:>7.3f}"
    if row["policy"] == "fifo":
        by_index, by_sets = replayed(row["trace"], nodes)
        line += f"{by_index / ours_s:>24.5f}{by_sets / row['avg_jct']:>22.5f}"
    print(line + ("  *" if far else ""), flush=True)
    return far


@cache
def recorded(trace: str) -> Workload:
    return read_trace(TRACES / f"{trace}.csv")


@cache
def played(trace: str, nodes: int, policy: str) -> tuple[Run, float]:
    """Return the run and the seconds of CPU it took: what else runs on the machine is none of its business."""
    study = Study([recorded(trace)], Cluster(nodes, 8), [CHOICES[policy]])
    began = time.process_time()
    [run] = carry_out(study)
    return run, time.process_time() - began


def mean_completion_s(trace: str, nodes: int, policy: str) -> float:
    return played(trace, nodes, policy)[0].metrics.completion_mean_s


def replayed(trace: str, nodes: int) -> tuple[float, float]:
    """Return the mean completion of plain FIFO with the lowest index, and with the reference's two habits.

    The reference also lets the shorter of two jobs that came in the same second go first.
    """
    jobs = [(job.submit_s, job.duration_s, job.gpus) for job in recorded(trace).jobs]
    means = []
    for order, pick in ((jobs, lowest), (sorted(jobs), as_sets_have_them)):
        starts = fifo_starts(order, nodes, pick)
        means.append(fmean(start + job[1] - job[0] for start, job in zip(starts, order, strict=True)))
    return means[0], means[1]


if __name__ == "__main__":
    main()

"""What the default policy makes of public traces, beside FIFO: python -m benchmarks policy.

Predictions are the true durations times e to the power of a normal error; medians over five seeds. The traces lie in
../shared/data; DCD_DATA names another place, DCD_BENCH_PATIENCES other points of the curve. All of it takes about
three quarters of an hour on two cores.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from statistics import geometric_mean, median

from benchmarks.bench_simulate import EIGHT, REFERENCE, recorded
from dcdaemon.scheduler.policy import Policy
from dcdaemon.simulator.choices import ALL, CHOICES, Choice
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.metrics import Metrics, measure
from dcdaemon.simulator.play import play
from dcdaemon.simulator.study import estimates

#: Loads below 0.65: little to gain, and nothing to lose.
LOW = (
    ("itp_cluster01", 8), ("itp_cluster02", 18), ("itp_cluster03", 30), ("itp_cluster05", 2), ("itp_cluster05", 3),
    ("itp_cluster06", 18),
)  # fmt: skip
#: Played by nobody while the policy was made.
OTHERS = (("muri_trace1", 20), ("muri_trace3", 8), ("philly_vc_ee9e8c", 20), ("itp_cluster10", 4))
SEEDS = (1, 2, 3, 4, 5)
SIGMA = 1.0
#: The documented knob, [scheduler] patience, from strict to patient.
PATIENCES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.5, 2.0, 3.0)
#: Cases with fewer wide jobs say little about them.
MANY_WIDE = 50

Case = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """One case, the medians over the seeds, as ratios to FIFO; None where no job is wide."""

    case: Case
    completion: float
    longest: float
    wide: float | None
    wide_more_s: float
    wide_jobs: int


@dataclass(frozen=True, slots=True)
class Preempted:
    """The same of a policy that stops jobs, and what it takes: stops per job, and the part of the GPU time lost."""

    compared: Compared
    not_running: float
    per_job: float
    lost: float


def main() -> None:
    """Print the curve over the knob, then the cases one by one for the default."""
    if not REFERENCE.exists():
        print(f"skipped: there is no {REFERENCE}; set DCD_DATA to the folder that holds traces/")
        return
    patiences = [float(text) for text in os.environ.get("DCD_BENCH_PATIENCES", "").split()] or list(PATIENCES)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        _print_curve(pool, patiences)
        for title, cases in (("eight cases", EIGHT), ("lower load", LOW), ("other traces", OTHERS)):
            print(f"\n{title}, the default patience of {Policy().patience:g}; all as ratios to fifo's")
            _print_cases(compared(pool, cases, Policy().patience))
        print("\neight cases, jobs are stopped and started again (preempt); times as ratios to fifo's")
        _print_preempted(preempted(pool, EIGHT))


def _print_curve(pool: ProcessPoolExecutor, patiences: Sequence[float]) -> None:
    print("patience   mean completion / fifo's   without itp_cluster02   longest wait / fifo's: worst, second worst")
    for patience in patiences:
        rows = compared(pool, EIGHT, patience)
        means = [row.completion for row in rows]
        worst, second = sorted((row.longest for row in rows), reverse=True)[:2]
        both = f"{geometric_mean(means):>26.3f}{geometric_mean(means[1:]):>24.3f}"
        print(f"{patience:>8.2f}{both}{worst:>30.2f}, {second:.2f}", flush=True)


def _print_cases(rows: Iterable[Compared]) -> None:
    print("trace               nodes  completion  longest wait  mean wait of 16+ GPUs (jobs)")
    means = []
    for row in rows:
        means.append(row.completion)
        wide = "-" if row.wide is None else f"{row.wide:.2f} ({row.wide_jobs}), {row.wide_more_s:+,.0f} s"
        print(f"{row.case[0]:<20}{row.case[1]:>5}{row.completion:>12.3f}{row.longest:>14.2f}  {wide}", flush=True)
    print(f"geometric mean{geometric_mean(means):>23.3f}")


def compared(pool: ProcessPoolExecutor, cases: Sequence[Case], patience: float) -> list[Compared]:
    """Play the cases with all seeds, side by side."""
    plays = {(case, seed): pool.submit(default, case, patience, seed) for case in cases for seed in SEEDS}
    plain = {case: pool.submit(fifo, case) for case in cases}
    return [_compared(case, plain[case].result(), [plays[case, seed].result() for seed in SEEDS]) for case in cases]


def _compared(case: Case, plain: Metrics, runs: Sequence[Metrics]) -> Compared:
    wide_s = [run.wide_wait_mean_s for run in runs if run.wide_wait_mean_s is not None]
    return Compared(
        case,
        median(run.completion_mean_s for run in runs) / plain.completion_mean_s,
        median(run.wait_longest_s for run in runs) / plain.wait_longest_s,
        median(wide_s) / plain.wide_wait_mean_s if plain.wide_wait_mean_s else None,
        median(wide_s) - plain.wide_wait_mean_s if plain.wide_wait_mean_s else 0.0,
        plain.wide_jobs,
    )


def preempted(pool: ProcessPoolExecutor, cases: Sequence[Case]) -> list[Preempted]:
    """Play the cases with all seeds under the policy that stops jobs, side by side."""
    plays = {(case, seed): pool.submit(preempt, case, seed) for case in cases for seed in SEEDS}
    plain = {case: pool.submit(fifo, case) for case in cases}
    return [_preempted(case, plain[case].result(), [plays[case, seed].result() for seed in SEEDS]) for case in cases]


def _preempted(case: Case, plain: Metrics, runs: Sequence[Metrics]) -> Preempted:
    return Preempted(
        _compared(case, plain, runs),
        median(run.not_running_longest_s for run in runs) / plain.wait_longest_s,
        median(run.preemptions / run.jobs for run in runs),
        median(run.lost_work_ratio or 0.0 for run in runs),
    )


def _print_preempted(rows: Sequence[Preempted]) -> None:
    print(
        "trace               nodes  completion  longest wait  longest not running  preemptions/job  lost work  16+ GPUs"
    )
    for row in rows:
        case, against = row.compared.case, row.compared
        wide = "-" if against.wide is None else f"{against.wide:.2f} ({against.wide_jobs})"
        times = f"{against.completion:>12.3f}{against.longest:>14.2f}{row.not_running:>21.2f}"
        print(f"{case[0]:<20}{case[1]:>5}{times}{row.per_job:>17.2f}{row.lost:>11.2%}  {wide}", flush=True)
    print(f"geometric mean{geometric_mean(row.compared.completion for row in rows):>23.3f}")


def preempt(case: Case, seed: int) -> Metrics:
    """Return the figures of the policy that stops jobs."""
    return _played(case, ALL["preempt"], seed)


def default(case: Case, patience: float, seed: int) -> Metrics:
    """Return the figures of the default policy."""
    choice = CHOICES["default"]
    return _played(case, replace(choice, policy=replace(choice.policy, patience=patience)), seed)


@cache
def fifo(case: Case) -> Metrics:
    """Return the figures of first in, first out."""
    return _played(case, CHOICES["fifo"], 1)


def _played(case: Case, choice: Choice, seed: int) -> Metrics:
    trace, nodes = case
    jobs = recorded(trace).without_wide(nodes * 8).jobs
    return measure(play(jobs, estimates(jobs, SIGMA, seed), Cluster(nodes, 8), choice))


if __name__ == "__main__":
    main()

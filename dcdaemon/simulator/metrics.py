"""What a play is judged by; the names of the fields are the keys of the JSON document."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from dcdaemon.simulator.play import Outcome

#: Jobs shorter than this count as so long when their slowdown is told: a second's job that waits a minute is no drama.
SLOWDOWN_BOUND_S = 600.0
WIDE_GPUS = 16


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one play; None where there is nothing to take them from."""

    jobs: int
    completion_mean_s: float
    completion_median_s: float
    completion_p99_s: float
    wait_mean_s: float
    wait_median_s: float
    wait_p99_s: float
    wait_longest_s: float
    slowdown_mean_ratio: float
    wide_jobs: int
    wide_wait_mean_s: float | None
    wide_wait_longest_s: float | None
    utilisation_ratio: float | None
    stranded_gpus_mean: float | None
    preemptions: int
    makespan_s: float
    not_running_longest_s: float
    lost_work_ratio: float | None


def measure(outcome: Outcome) -> Metrics:
    """Return the figures of an outcome with at least one job."""
    jobs = outcome.jobs
    waits_s = waits(outcome)
    again_s = outcome.again_s or [0.0] * len(jobs)
    idle_s = [wait_s + more_s for wait_s, more_s in zip(waits_s, again_s, strict=True)]
    completions_s = [idle + job.duration_s for idle, job in zip(idle_s, jobs, strict=True)]
    bounded = [max(job.duration_s, SLOWDOWN_BOUND_S) for job in jobs]
    wide_s = [wait_s for wait_s, job in zip(waits_s, jobs, strict=True) if job.gpus >= WIDE_GPUS]
    offered_gpu_s = outcome.cluster.gpus * outcome.makespan_s
    return Metrics(
        jobs=len(jobs),
        completion_mean_s=fmean(completions_s),
        completion_median_s=median(completions_s),
        completion_p99_s=percentile(completions_s, 0.99),
        wait_mean_s=fmean(waits_s),
        wait_median_s=median(waits_s),
        wait_p99_s=percentile(waits_s, 0.99),
        wait_longest_s=max(waits_s),
        slowdown_mean_ratio=fmean(max(1.0, done / bound) for done, bound in zip(completions_s, bounded, strict=True)),
        wide_jobs=len(wide_s),
        wide_wait_mean_s=fmean(wide_s) if wide_s else None,
        wide_wait_longest_s=max(wide_s, default=None),
        utilisation_ratio=outcome.busy_gpu_s / offered_gpu_s if offered_gpu_s else None,
        stranded_gpus_mean=outcome.stranded_gpu_s / outcome.makespan_s if outcome.makespan_s else None,
        preemptions=outcome.preemptions,
        makespan_s=outcome.makespan_s,
        not_running_longest_s=max(idle_s),
        lost_work_ratio=outcome.lost_gpu_s / outcome.busy_gpu_s if outcome.busy_gpu_s else None,
    )


def waits(outcome: Outcome) -> list[float]:
    """Return how long each job waited for its first start."""
    return [start - job.submit_s for start, job in zip(outcome.starts_s, outcome.jobs, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]

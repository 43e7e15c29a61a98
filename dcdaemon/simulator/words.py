"""The figures of a run as people read them: labels, units, and in which order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcdaemon.core.units import format_duration
from dcdaemon.simulator.metrics import WIDE_GPUS, Metrics
from dcdaemon.simulator.study import Run

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: the field of Metrics it is, its label, how it is written, and whether less of it is compared."""

    key: str
    label: str
    written: Callable[[float], str]
    compared: bool = True
    #: Told only where jobs were stopped.
    of_preemption: bool = False

    def value(self, metrics: Metrics) -> float | None:
        """Return the figure, None when unknown."""
        found: float | None = getattr(metrics, self.key)
        return found

    def words(self, value: float | None) -> str:
        """Return the figure with its unit."""
        return UNKNOWN if value is None else self.written(value)


def _ratio(value: float) -> str:
    return f"{value:.1f}x"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _count(value: float) -> str:
    return f"{value:.0f}"


#: Every figure, in the order of the table.
FIGURES = (
    Figure("completion_mean_s", "mean completion", format_duration),
    Figure("completion_median_s", "median completion", format_duration),
    Figure("completion_p99_s", "p99 completion", format_duration),
    Figure("wait_mean_s", "mean wait", format_duration),
    Figure("wait_median_s", "median wait", format_duration),
    Figure("wait_p99_s", "p99 wait", format_duration),
    Figure("wait_longest_s", "longest wait", format_duration),
    Figure("wide_wait_mean_s", f"mean wait, {WIDE_GPUS}+ GPUs", format_duration),
    Figure("wide_wait_longest_s", f"longest, {WIDE_GPUS}+ GPUs", format_duration),
    Figure("slowdown_mean_ratio", "mean slowdown", _ratio),
    Figure("utilisation_ratio", "utilisation", _share, compared=False),
    Figure("stranded_gpus_mean", "stranded GPUs", lambda value: f"{value:.2f}"),
    Figure("preemptions", "preemptions", _count, compared=False),
    Figure("makespan_s", "makespan", format_duration),
    Figure("not_running_longest_s", "longest not running", format_duration, of_preemption=True),
    Figure("lost_work_ratio", "lost work", lambda value: f"{value:.2%}", compared=False, of_preemption=True),
)
#: Those drawn as bars: less is better.
BARS = tuple(
    figure
    for figure in FIGURES
    if figure.compared
    and not figure.of_preemption
    and figure.key not in {"completion_median_s", "wait_median_s", "makespan_s", "wide_wait_longest_s"}
)


def figures_of(runs: Sequence[Run]) -> list[Figure]:
    """Return the figures that say something about these runs."""
    preempted = any(run.metrics.preemptions for run in runs)
    return [figure for figure in FIGURES if preempted or not figure.of_preemption]


def heading(run: Run) -> str:
    """Return what was played where, in one line."""
    cluster, load = run.cluster, run.workload.offered_ratio(run.cluster.gpus)
    nodes = "1 node" if cluster.nodes == 1 else f"{cluster.nodes:,} nodes"
    jobs = "1 job" if run.metrics.jobs == 1 else f"{run.metrics.jobs:,} jobs"
    offered = "" if load is None else f", offered load {load:.2f}"
    return f"{run.workload.name}: {jobs} on {nodes} x {cluster.gpus_per_node} GPUs{offered}"


def left_out_words(run: Run) -> str:
    """Return how many jobs were not played and why, nothing when all were."""
    left_out = run.workload.left_out
    parts = [
        f"{count:,} {why}"
        for count, why in (
            (left_out.too_wide, f"wider than {run.cluster.gpus} GPUs"),
            (left_out.without_gpus, "without a GPU"),
            (left_out.never_ran, "that never ran"),
        )
        if count
    ]
    return f"left out: {', '.join(parts)}" if parts else ""


def learned_words(runs: Sequence[Run]) -> str:
    """Return how far off the run times were that were learned, under each policy; nothing when they were not."""
    ratios = [run.predicted.typical_ratio for run in runs if run.predicted is not None]
    off = ", ".join(UNKNOWN if ratio is None else f"x{ratio:.1f}" for ratio in ratios)
    return f"run times predicted typically within {off}" if off else ""

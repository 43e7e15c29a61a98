"""How well starts are foretold at submit, on public traces under the default policy: python -m benchmarks forecast.

Run times are predicted with an error of e to the power of a normal number, as for the benchmark of the policy. The
traces lie in ../shared/data; DCD_DATA names another place. It takes some minutes.
"""

from statistics import median

from benchmarks.bench_policy import LOW, SIGMA, Case
from benchmarks.bench_simulate import EIGHT, REFERENCE, recorded
from dcdaemon.scheduler.start_time_score import SHORT_S, StartAccuracy, StartScore, Told
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.play import Outcome, play
from dcdaemon.simulator.study import estimates

SEED = 1
#: What is asked of each trace.
LEAST_WITHIN = 0.75


def main() -> None:
    """Print a row for each trace."""
    if not REFERENCE.exists():
        print(f"skipped: there is no {REFERENCE}; set DCD_DATA to the folder that holds traces/")
        return
    print("trace               nodes    jobs  within   of those   median  high / low   started at once,")
    print("                                            that wait    error    (median)   and were told so")
    for case in (*EIGHT, *LOW):
        _print(case, foretold(case))


def foretold(case: Case) -> Outcome:
    """Play one trace and have each start foretold."""
    trace, nodes = case
    jobs = recorded(trace).without_wide(nodes * 8).jobs
    return play(jobs, estimates(jobs, SIGMA, SEED), Cluster(nodes, 8), CHOICES["default"], forecasts=True)


def _print(case: Case, outcome: Outcome) -> None:
    every, waited = accuracy(outcome), accuracy(outcome, waited_s=SHORT_S)
    at_once = sum(
        start_s - job.submit_s <= SHORT_S for start_s, job in zip(outcome.starts_s, outcome.jobs, strict=True)
    )
    within = f"{every.within_ratio:>8.1%}{waited.within_ratio:>11.1%}"
    figures = f"{waited.typical_error_ratio:>9.0%}{width(outcome):>12.1f}"
    once = f"{at_once / every.jobs:>11.0%}, {every.at_once_ratio:.0%}"
    missed = "" if (every.within_ratio or 0.0) >= LEAST_WITHIN else "  *"
    print(f"{case[0]:<20}{case[1]:>5}{every.jobs:>8,}{within}{figures}{once}{missed}", flush=True)


def accuracy(outcome: Outcome, waited_s: float = -1.0) -> StartAccuracy:
    """Return how the forecasts turned out of the jobs that waited for longer than that."""
    score = StartScore(kept=None)
    for number, (start_s, told) in enumerate(zip(outcome.starts_s, outcome.forecasts, strict=True)):
        if told is not None and start_s - told.made_at > waited_s:
            score.started(number, Told(told.made_at, told.low_at, told.at, told.high_at), start_s)
    return score.accuracy()


def width(outcome: Outcome) -> float:
    """Return by how much the ends of an interval differ, a minute added to both, for every second job that waits."""
    return median(
        (told.high_at - told.made_at + SHORT_S) / (told.low_at - told.made_at + SHORT_S)
        for start_s, told in zip(outcome.starts_s, outcome.forecasts, strict=True)
        if told is not None and start_s - told.made_at > SHORT_S
    )


if __name__ == "__main__":
    main()

"""How well run times are predicted from made-up users, and what that does to waits: python -m benchmarks predict.

The traces name nobody; dcdaemon/simulator/users.py says how users are made up. `DCD_DATA` names another place for them.
"""

import heapq
import random
import time
from collections.abc import Callable, Sequence
from functools import cache
from math import log, sqrt
from statistics import fmean, geometric_mean, median

from benchmarks.bench_simulate import CASES, EIGHT, REFERENCE, recorded
from dcdaemon.core.prediction import Prediction
from dcdaemon.scheduler.predict import PRIOR, Ask, Predictor
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.metrics import Metrics, measure
from dcdaemon.simulator.play import play
from dcdaemon.simulator.study import estimates
from dcdaemon.simulator.users import Learner, doers
from dcdaemon.simulator.workload import RecordedJob

SEEDS = (1, 2, 3)
#: Eight of ten of normally distributed values lie within so many standard deviations.
_EIGHTY = 1.2816
#: Two jobs compete when so few others were submitted between them; which is shorter matters when it is half the other.
_NEAR, _PAIRS = 200, 20_000

Estimates = Sequence[float] | Learner


def main() -> None:
    """Print the errors of predictions for each trace, then what the default policy makes of them."""
    if not REFERENCE.exists():
        print(f"skipped: there is no {REFERENCE}; set DCD_DATA to the folder that holds traces/")
        return
    print_errors()
    print()
    print_waits()


def print_errors() -> None:
    """Print how far off predictions are: the prior alone, learned without users, learned from made-up users."""
    print(
        "run times             jobs  prior alone    learned, nobody named   learned from users (seed 1)\n"
        "                            off    sigma   off  sigma  shorter     off  sigma  shorter  within 2x  80 % holds"
    )
    began, predicted = time.perf_counter(), 0
    for trace in CASES:
        jobs = recorded(trace).jobs
        truth = [log(max(job.duration_s, 1.0)) for job in jobs]
        alone = [PRIOR] * len(jobs)
        nobody = learned(jobs, [Ask("", "", job.gpus, job.limit_s) for job in jobs])
        users = learned(
            jobs, [Ask(*doer, job.gpus, job.limit_s) for doer, job in zip(doers(jobs, 1), jobs, strict=True)]
        )
        predicted += 2 * len(jobs)
        within = fmean(abs(error) <= log(2) for error in errors(users, truth))
        holds = fmean(abs(error) <= _EIGHTY * one.sigma for error, one in zip(errors(users, truth), users, strict=True))
        print(
            f"{trace:<18}{len(jobs):>8,}  {off(alone, truth)}  {off(nobody, truth)}   {shorter(nobody, truth):>5.0%}  "
            f" {off(users, truth)}   {shorter(users, truth):>5.0%}     {within:>5.0%}       {holds:>5.0%}",
            flush=True,
        )
    took_us = (time.perf_counter() - began) / predicted * 1e6
    print(f"{took_us:.0f} us a job for predicting and learning, made-up users and these figures included")


def learned(jobs: Sequence[RecordedJob], asks: Sequence[Ask]) -> list[Prediction]:
    """Predict each job at its submit from those that have ended, on a machine on which none of them waits."""
    predictor, running, made = Predictor(), list[tuple[float, int]](), list[Prediction]()
    for number, job in enumerate(jobs):
        while running and running[0][0] <= job.submit_s:
            over = heapq.heappop(running)[1]
            predictor.learn(asks[over], jobs[over].duration_s)
        made.append(predictor.predict(asks[number]))
        heapq.heappush(running, (job.submit_s + job.duration_s, number))
    return made


def errors(predictions: Sequence[Prediction], truth: Sequence[float]) -> list[float]:
    return [log(one.run_s) - length for one, length in zip(predictions, truth, strict=True)]


def off(predictions: Sequence[Prediction], truth: Sequence[float]) -> str:
    """Return the factor that every second prediction is within, and the root mean square of the logarithmic error."""
    wrong = errors(predictions, truth)
    return f"x{2 ** (median(map(abs, wrong)) / log(2)):<5.1f}{sqrt(fmean(error**2 for error in wrong)):>5.2f}"


def shorter(predictions: Sequence[Prediction], truth: Sequence[float]) -> float:
    """Return how often of two jobs that compete the one that is much shorter is also predicted to be."""
    chance, right, pairs = random.Random(0), 0.0, 0  # noqa: S311  a sample of pairs
    for _ in range(_PAIRS):
        one = chance.randrange(len(truth))
        other = one + chance.randrange(1, _NEAR)
        if other < len(truth) and abs(truth[one] - truth[other]) >= log(2):
            pairs += 1
            lead = predictions[one].run_s - predictions[other].run_s
            right += 0.5 if not lead else (lead > 0) == (truth[one] > truth[other])
    return right / pairs


def print_waits() -> None:
    """Print mean completion and longest wait of the default policy over FIFO's, by what it is told of run times."""
    told: dict[str, Callable[[Sequence[RecordedJob], int], Estimates]] = {
        "nothing": lambda jobs, _: [PRIOR.run_s] * len(jobs),
        "users": Learner,
        "sigma 1": lambda jobs, seed: estimates(jobs, 1.0, seed),
        "exact": lambda jobs, _: estimates(jobs, 0.0, 1),
    }
    print("default / fifo: mean completion, longest wait (medians of seeds 1 to 3)")
    print("                       nodes" + "".join(f"{name:>16}" for name in told))
    ratios: dict[str, list[float]] = {name: [] for name in told}
    for trace, nodes in EIGHT:
        line = f"{trace:<24}{nodes:>4}"
        for name, of in told.items():
            seeds = SEEDS if name in ("users", "sigma 1") else SEEDS[:1]
            completion, longest = compared(trace, nodes, [of(fitting(trace, nodes), seed) for seed in seeds])
            ratios[name].append(completion)
            line += f"{completion:>10.2f}{longest:>6.2f}"
        print(line, flush=True)
    print(
        "geometric mean              " + "".join(f"{geometric_mean(found):>10.3f}{'':6}" for found in ratios.values())
    )


def compared(trace: str, nodes: int, told: Sequence[Estimates]) -> tuple[float, float]:
    """Return the medians of mean completion and longest wait over FIFO's."""
    plain = fifo(trace, nodes)
    runs = [played(trace, nodes, "default", one) for one in told]
    return (
        median(run.completion_mean_s / plain.completion_mean_s for run in runs),
        median(run.wait_longest_s / plain.wait_longest_s for run in runs),
    )


@cache
def fifo(trace: str, nodes: int) -> Metrics:
    return played(trace, nodes, "fifo", [0.0] * len(fitting(trace, nodes)))


def played(trace: str, nodes: int, policy: str, told: Estimates) -> Metrics:
    return measure(play(fitting(trace, nodes), told, Cluster(nodes, 8), CHOICES[policy]))


def fitting(trace: str, nodes: int) -> Sequence[RecordedJob]:
    return recorded(trace).without_wide(nodes * 8).jobs


if __name__ == "__main__":
    main()

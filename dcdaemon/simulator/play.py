"""One recording under one policy: submits and ends in virtual time, and plan() after each of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcdaemon.scheduler.start_time import StartForecast
from dcdaemon.simulator.attempts import SwapStage
from dcdaemon.simulator.choices import Choice
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.stage import Stage, Witness
from dcdaemon.simulator.users import Learner
from dcdaemon.simulator.workload import RecordedJob

#: Called with how many jobs have started since the last call.
Progress = Callable[[int], None]
_PROGRESS_EVERY = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """When each job started first, in the order of submits, and what the machine did."""

    jobs: Sequence[RecordedJob]
    starts_s: Sequence[float]
    cluster: Cluster
    busy_gpu_s: float
    stranded_gpu_s: float
    makespan_s: float
    preemptions: int = 0
    #: What was foretold of each job as it came, nothing unless that was asked for.
    forecasts: Sequence[StartForecast | None] = ()
    #: How much longer than its duration each job took from its first start on: nothing unless it was stopped.
    again_s: Sequence[float] = ()
    #: GPU time of work that was done and lost.
    lost_gpu_s: float = 0.0


def play(  # noqa: PLR0913  what is played where, and who looks on
    jobs: Sequence[RecordedJob],
    estimates_s: Sequence[float] | Learner,
    cluster: Cluster,
    choice: Choice,
    progress: Progress | None = None,
    witness: Witness | None = None,
    *,
    forecasts: bool = False,
) -> Outcome:
    """Return what happens to the jobs, of which each must fit on the empty cluster; they come in order of submit.

    Their run times are estimated beforehand, or by one who learns from the jobs that have ended. With `forecasts` each
    job's start is foretold as it comes, which makes the play slower.
    """
    stage = (Stage if choice.policy.swaps is None else SwapStage)(jobs, estimates_s, cluster, choice, witness)
    if forecasts:
        stage.foretell()
    told = 0
    while (now := stage.next_event()) < math.inf:
        stage.meter.pass_to(now)
        stage.end_jobs(now)
        stage.submit_jobs(now)
        stage.start_jobs(now)
        if progress is not None and stage.started - told >= _PROGRESS_EVERY:
            progress(stage.started - told)
            told = stage.started
    if stage.started < len(jobs):
        raise RuntimeError(f"{len(jobs) - stage.started} jobs wait and nothing is going to happen")
    if progress is not None:
        progress(stage.started - told)
    meter = stage.meter
    return Outcome(
        jobs, stage.starts_s, cluster, meter.busy_gpu_s, meter.stranded_gpu_s, meter.at - meter.began,
        stage.preemptions, stage.forecasts, stage.again_s, stage.lost_gpu_s,
    )  # fmt: skip

"""Several recordings under several policies on one machine, and the document that tells of it."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import exp
from typing import Any

from dcdaemon.core.errors import BadInput
from dcdaemon.core.prediction import Accuracy
from dcdaemon.simulator.choices import Choice
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.metrics import Metrics, measure, waits
from dcdaemon.simulator.play import Progress, play
from dcdaemon.simulator.users import Learner
from dcdaemon.simulator.workload import RecordedJob, Workload


@dataclass(frozen=True, slots=True)
class Study:
    """The question: which recordings, where, under which policies, and how wrong the estimates are.

    With `learns` there are none: run times are predicted from the jobs that have ended.
    """

    workloads: Sequence[Workload]
    cluster: Cluster
    choices: Sequence[Choice]
    sigma: float = 0.0
    seed: int = 1
    learns: bool = False

    @property
    def plays(self) -> int:
        """How many jobs are going to be played, all policies together."""
        return len(self.choices) * sum(len(workload.jobs) for workload in self.workloads)


@dataclass(frozen=True, slots=True)
class Run:
    """One recording under one policy: its figures, the waits of its jobs, sorted, and how well it was predicted."""

    workload: Workload
    cluster: Cluster
    policy: str
    metrics: Metrics
    waits_s: Sequence[float]
    predicted: Accuracy | None = None

    def document(self) -> dict[str, Any]:
        """Return the run as a flat JSON object."""
        left_out = self.workload.left_out
        return {
            "trace": self.workload.name, "policy": self.policy, "nodes": self.cluster.nodes,
            "gpus_per_node": self.cluster.gpus_per_node, "gpus": self.cluster.gpus,
            "offered_load_ratio": rounded(self.workload.offered_ratio(self.cluster.gpus)),
            **{key: rounded(value) for key, value in asdict(self.metrics).items()},
            "prediction_typical_ratio": rounded(self.predicted.typical_ratio) if self.predicted else None,
            "prediction_within_2x_ratio": rounded(self.predicted.within_2x_ratio) if self.predicted else None,
            "left_out_too_wide": left_out.too_wide, "left_out_without_gpus": left_out.without_gpus,
            "left_out_never_ran": left_out.never_ran,
        }  # fmt: skip


def prepared(study: Study) -> Study:
    """Return the study with jobs that no machine of this size could run left out; raises BadInput when none is left."""
    fitting = [workload.without_wide(study.cluster.gpus) for workload in study.workloads]
    for workload in fitting:
        if not workload.jobs:
            raise BadInput(
                f"every job of {workload.name} needs more than {study.cluster.gpus} GPUs", "take more --nodes"
            )
    return replace(study, workloads=fitting)


def carry_out(study: Study, progress: Progress | None = None) -> list[Run]:
    """Return a run for each recording and policy."""
    return [
        _run(workload, study, choice, estimates_s, progress)
        for workload in study.workloads
        for estimates_s in [estimates(workload.jobs, study.sigma, study.seed)]
        for choice in study.choices
    ]


def estimates(jobs: Sequence[RecordedJob], sigma: float, seed: int) -> list[float]:
    """Return what is thought of each job's duration: the truth times e to the power of a normal error."""
    if not sigma:
        return [job.duration_s for job in jobs]
    chance = random.Random(seed)  # noqa: S311  an experiment, and the same one for the same seed
    return [job.duration_s * exp(chance.gauss(0.0, sigma)) for job in jobs]


def document(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the answer of `dcd simulate -o json`."""
    errors = {"predict": "history" if study.learns else "noise", "sigma": study.sigma, "seed": study.seed}
    return {"schema": 1, **errors, "runs": [run.document() for run in runs]}


def rounded(value: float | None) -> float | None:
    """Return the value without digits that mean nothing: microseconds and millionths."""
    return round(value, 6) if isinstance(value, float) else value


def _run(
    workload: Workload, study: Study, choice: Choice, estimates_s: Sequence[float], progress: Progress | None
) -> Run:
    learner = Learner(workload.jobs, study.seed) if study.learns else None
    outcome = play(workload.jobs, learner or estimates_s, study.cluster, choice, progress)
    predicted = learner.accuracy if learner is not None else None
    return Run(workload, study.cluster, choice.name, measure(outcome), sorted(waits(outcome)), predicted)

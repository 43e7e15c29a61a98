"""The jobs of the demo, and what must become of each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Reported = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoJob:
    """One job: its program, what it asks for, the end it must come to, and the anomaly that must be found."""

    name: str
    program: str
    options: tuple[str, ...] = ()
    gpus: int = 1
    cpus: int = 1
    limit_s: float | None = 1200.0
    state: str = "succeeded"
    anomaly: str | None = None
    result: str = ""
    good: Callable[[Reported], bool] = field(default=lambda _: True)

    @property
    def argv(self) -> list[str]:
        """What runs, but for the interpreter."""
        return ["-m", f"dcdaemon.workloads.{self.program}", *self.options]


def _accurate(least: float) -> Callable[[Reported], bool]:
    return lambda reported: (reported.get("accuracy") or 0.0) >= least


def _beats_persistence(reported: Reported) -> bool:
    return bool(reported["rmse"] < reported["persistence_rmse"])


#: Real trainings on real data, one that crashes, one that holds a GPU and does nothing, one that takes two GPUs.
JOBS = (
    DemoJob("idle-notebook", "idle_holder", ("--seconds", "60"), cpus=0, anomaly="idle_gpu"),
    DemoJob("digits-cnn", "digits_cnn", result="accuracy", good=_accurate(0.95)),
    DemoJob("sunspots-lstm", "sunspots_lstm", result="rmse", good=_beats_persistence),
    DemoJob("buggy-train", "crasher", state="failed", anomaly="job_crashed"),
    DemoJob("digits-gan", "digits_gan", result="accuracy", good=_accurate(0.7)),
    DemoJob("tumour-transformer", "tabular_transformer", result="accuracy", good=_accurate(0.9)),
    DemoJob("cartpole-rl", "rl_cartpole", result="mean_return", good=lambda reported: reported["mean_return"] > 100),
    DemoJob("digits-cnn-2gpu", "digits_cnn", ("--seed", "1"), gpus=2, result="accuracy", good=_accurate(0.95)),
)

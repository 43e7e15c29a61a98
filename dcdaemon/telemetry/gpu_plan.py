"""What the telemetry child is told when it starts, and how long it is waited for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from dcdaemon.core.metric import metrics_of
from dcdaemon.core.samples import GpuSample, MigSample

#: What is no value of a sample, in seconds: who holds a GPU, and which MIG instances there are.
_PROCESSES_S, _MIG_LAYOUT_S = 10.0, 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds between two polls, and between two readings of each value; none is read more often than polled."""

    interval_s: float
    every: Mapping[str, float]

    def line(self) -> bytes:
        """Return it as the child reads it."""
        return json.dumps({"interval_s": self.interval_s, "every": dict(self.every)}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits for what, in seconds.

    A child that says nothing for `deadline_s` is ended and replaced after `restart_s`, doubled each time up to
    `retry_s`; where there is no driver, it is asked again every `retry_s`. A second child is tried beside the first
    when one GPU is silent for `deadline_s` or lost for `lost_s`, ever more rarely.
    """

    deadline_s: float = 5.0
    restart_s: float = 1.0
    retry_s: float = 30.0
    lost_s: float = 60.0


def usual_plan(interval_s: float) -> Plan:
    """Return the plan that the table of metrics makes."""
    every = {metric.attribute: metric.every_s for metric in metrics_of(GpuSample)}
    migs_s = min(metric.every_s for metric in metrics_of(MigSample))
    return Plan(interval_s, every | {"processes": _PROCESSES_S, "migs": migs_s, "mig_layout": _MIG_LAYOUT_S})

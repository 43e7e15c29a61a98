"""The table of rules: name, severity, meaning and the function that looks."""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from dcdaemon.anomalies.hangs import hung
from dcdaemon.anomalies.hardware import driver_missing, filesystem_full, gpu_lost, sample_stale
from dcdaemon.anomalies.picture import NodePicture, Sign
from dcdaemon.anomalies.sharing import share_exceeded
from dcdaemon.anomalies.work import foreign_process, idle_gpu, job_crashed
from dcdaemon.core.anomaly import Severity

Look = Callable[[NodePicture, AbstractSet[str]], Iterable[Sign]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `look` also gets the subjects it has open. A momentary one has no duration: a crash."""

    name: str
    look: Look
    severity: Severity
    meaning: str
    momentary: bool = False


RULES = (
    Rule(
        "driver_missing", driver_missing, Severity.CRITICAL,
        "The node should have GPUs, and there is no driver to ask.",
    ),
    Rule("gpu_lost", gpu_lost, Severity.CRITICAL, "A GPU that was there is no longer reached by the driver."),
    Rule(
        "sample_stale", sample_stale, Severity.WARNING,
        "A GPU has given no sample for longer than `stale_after`.",
    ),
    Rule(
        "idle_gpu", idle_gpu, Severity.WARNING,
        "A job holds a GPU and has used less than `idle_below` of it at every moment of `idle_after`.",
    ),
    Rule(
        "share_exceeded", share_exceeded, Severity.WARNING,
        "A job uses clearly more of a GPU's memory than it asked for; others share that GPU, or may.",
    ),
    Rule("foreign_process", foreign_process, Severity.WARNING, "A process that no job owns uses a GPU."),
    Rule(
        "job_crashed", job_crashed, Severity.WARNING,
        "A job ended by an exit code or a signal of its own, not because somebody stopped it.",
        momentary=True,
    ),
    Rule(
        "hung", hung, Severity.WARNING,
        "A job with ranks has reported and printed nothing for `hung_after`, and one of its ranks did nothing either.",
    ),
    Rule(
        "filesystem_full", filesystem_full, Severity.WARNING,
        "A filesystem is fuller than `filesystem_full`, or does not answer.",
    ),
)  # fmt: skip

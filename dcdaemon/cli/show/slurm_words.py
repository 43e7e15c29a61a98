"""Slurm's words for what jobs are and wait for, and its ways to print them."""

from collections.abc import Callable
from typing import NamedTuple

from dcdaemon.cli.show.words import printable
from dcdaemon.client.answer import Document

#: The queue of a job that a daemon without queues knows.
MAIN = "main"
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_YEAR_S = 365 * _DAY_S

#: State -> Slurm's code and word; a lost job is one whose node did not tell.
STATES: dict[str, tuple[str, str]] = {
    "waiting": ("PD", "PENDING"),
    "starting": ("CF", "CONFIGURING"),
    "running": ("R", "RUNNING"),
    "stopping": ("CG", "COMPLETING"),
    "succeeded": ("CD", "COMPLETED"),
    "failed": ("F", "FAILED"),
    "cancelled": ("CA", "CANCELLED"),
    "timed_out": ("TO", "TIMEOUT"),
    "out_of_memory": ("OOM", "OUT_OF_MEMORY"),
    "preempted": ("PR", "PREEMPTED"),
    "interrupted": ("NF", "NODE_FAIL"),
    "lost": ("NF", "NODE_FAIL"),
}

#: Why a job waits -> Slurm's word for it.
REASONS = {
    "gpus_busy": "Resources",
    "cpus_busy": "Resources",
    "memory_busy": "Resources",
    "priority": "Priority",
    "dependency": "Dependency",
    "dependency_failed": "DependencyNeverSatisfied",
    "begin_time": "BeginTime",
    "held": "JobHeldUser",
    "drained": "ReqNodeNotAvail",
    "health": "ReqNodeNotAvail",
    "foreign": "ReqNodeNotAvail",
    "booked": "ReqNodeNotAvail",
    "quota": "AssocGrpGRES",
    "queue_limit": "QOSGrpGRES",
    "array_limit": "JobArrayTaskLimit",
    "never_fits": "BadConstraints",
    "starts_now": "None",
}

#: The kind of the limit that refuses a job -> Slurm's word, where it says more than the reason.
LIMITS = {
    "user": "QOSMaxGRESPerUser",
    "queue-user": "QOSMaxGRESPerUser",
    "queue-jobs": "QOSMaxJobsPerUserLimit",
    "account": "AssocGrpGRES",
    "queue": "QOSGrpGRES",
    "array": "JobArrayTaskLimit",
}

#: How a job ended -> why, where squeue tells it instead of the node.
ENDINGS = {"failed": "NonZeroExitCode", "timed_out": "TimeLimit", "out_of_memory": "OutOfMemory"}


class Field(NamedTuple):
    """One column of fixed width (0 = as wide as it is); longer text is cut, and ends in `cut_mark` if there is one."""

    title: str
    width: int
    cell: Callable[[Document], str]
    right: bool = True
    cut_mark: str = ""

    def lay_out(self, text: str) -> str:
        """Return the text in the column's width."""
        text = printable(text)
        if self.width and len(text) > self.width:
            return text[: self.width - len(self.cut_mark)] + self.cut_mark
        return text.rjust(self.width) if self.right else text.ljust(self.width)


def line(fields: tuple[Field, ...], texts: list[str]) -> str:
    """Return one line; blanks at its end are left out."""
    return " ".join(field.lay_out(text) for field, text in zip(fields, texts, strict=True)).rstrip()


def reason(job: Document) -> str:
    """Return why a job waits; None where that is not known yet, as Slurm says it."""
    if job.get("held"):
        return REASONS["held"]
    why = job.get("reason") or {}
    kind, name = why.get("limit") or ("", "")
    if kind == "quota":
        kind = name.partition("/")[0]
    return LIMITS.get(kind) or REASONS.get(str(why.get("code")), "None")


def job_id(job: Document) -> str:
    """Return `120`, or `120_3` for a task of an array."""
    return str(job["id"]) if job.get("array_id") is None else f"{job['array_id']}_{job['array_index']}"


def elapsed(seconds: float | None) -> str:
    """Print `5:00`, `2:03:04` or `1-02:03:04`, as squeue does; INVALID below 0 and beyond a year."""
    whole = int(seconds or 0)
    if not 0 <= whole <= _YEAR_S:
        return "INVALID"
    days, rest = divmod(whole, _DAY_S)
    clock = f"{rest // _HOUR_S:02d}:{rest % _HOUR_S // _MINUTE_S:02d}:{rest % _MINUTE_S:02d}"
    if days:
        return f"{days}-{clock}"
    return clock.lstrip("0").lstrip(":") if rest >= _HOUR_S else f"{rest // _MINUTE_S}:{rest % _MINUTE_S:02d}"

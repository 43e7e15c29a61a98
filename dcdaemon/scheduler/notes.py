"""Every reason as a note of a few words, for the table of `dcd ps`."""

from collections.abc import Callable

from dcdaemon.core.reasons import Facts, Reason, ReasonCode
from dcdaemon.core.units import format_bytes, format_duration
from dcdaemon.scheduler.grammar import blocked_gpus, counted, jobs

#: Room for a note in the table.
WIDTH = 40


def short(reason: Reason) -> str:
    """Return the reason in at most 40 characters."""
    note = _NOTES[reason.code](reason.facts)
    return note if len(note) <= WIDTH else note[: WIDTH - 1] + "…"


def _gpus(facts: Facts) -> str:
    return f"{counted(facts['gpus_needed'], 'GPU')} needed, {facts['gpus_free']} free{_within(facts)}"


def _cpus(facts: Facts) -> str:
    return f"{counted(facts['cpus_needed'], 'CPU')} needed, {facts['cpus_free']} free{_within(facts)}"


def _memory(facts: Facts) -> str:
    needed, free = format_bytes(facts["mem_needed_bytes"]), format_bytes(facts["mem_free_bytes"])
    return f"{needed} needed, {free} free{_within(facts)}"


def _priority(facts: Facts) -> str:
    return f"{jobs(facts.get('starting') or [facts['head_job']])} ahead{_within(facts)}"


def _blocked(facts: Facts) -> str:
    return blocked_gpus(facts["blocked"])


def _within(facts: Facts) -> str:
    starts_in_s = facts.get("starts_in_s")
    return "" if starts_in_s is None else f" (<{format_duration(starts_in_s)})"


_NOTES: dict[ReasonCode, Callable[[Facts], str]] = {
    ReasonCode.GPUS_BUSY: _gpus,
    ReasonCode.CPUS_BUSY: _cpus,
    ReasonCode.MEMORY_BUSY: _memory,
    ReasonCode.PRIORITY: _priority,
    ReasonCode.DEPENDENCY: lambda facts: f"after {jobs(facts['waits_for'])}",
    ReasonCode.DEPENDENCY_FAILED: lambda facts: f"job {facts['failed_dependency']} did not succeed",
    ReasonCode.HELD: lambda _: "held",
    ReasonCode.DRAINED: _blocked,
    ReasonCode.HEALTH: _blocked,
    ReasonCode.FOREIGN: _blocked,
    ReasonCode.NEVER_FITS: lambda _: "asks for more than any node has",
    ReasonCode.STARTS_NOW: lambda _: "starts now",
}

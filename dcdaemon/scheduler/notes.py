"""Every reason as a note of a few words, for the table of `dcd ps`."""

from collections.abc import Callable

from dcdaemon.core.reasons import Basis, Facts, Reason, ReasonCode
from dcdaemon.core.units import format_bytes, format_duration
from dcdaemon.scheduler.booked_words import deciding
from dcdaemon.scheduler.grammar import blocked_gpus, counted, jobs
from dcdaemon.scheduler.limit_words import limit_note

#: Room for a note in the table.
WIDTH = 40


def short(reason: Reason) -> str:
    """Return the reason in at most 40 characters."""
    note = _NOTES[reason.code](reason.facts)
    return note if len(note) <= WIDTH else note[: WIDTH - 1] + "…"


def _gpus(facts: Facts) -> str:
    if "nodes_needed" in facts:
        return f"{counted(facts['nodes_needed'], 'node')} needed, {facts['nodes_free']} free{_within(facts)}"
    if "gpu_mem_needed_bytes" in facts:
        needed, free = format_bytes(facts["gpu_mem_needed_bytes"]), format_bytes(facts["gpu_mem_free_bytes"])
        return f"{needed} of a GPU, {free} free{_within(facts)}"
    return f"{counted(facts['gpus_needed'], 'GPU')} needed, {facts['gpus_free']} free{_within(facts)}"


def _cpus(facts: Facts) -> str:
    return f"{counted(facts['cpus_needed'], 'CPU')} needed, {facts['cpus_free']} free{_within(facts)}"


def _memory(facts: Facts) -> str:
    needed, free = format_bytes(facts["mem_needed_bytes"]), format_bytes(facts["mem_free_bytes"])
    return f"{needed} needed, {free} free{_within(facts)}"


def _priority(facts: Facts) -> str:
    if "loading_gpu" in facts:
        return f"GPU {facts['loading_gpu']} loads, {format_duration(facts['loading_s'])} more"
    return f"{jobs(facts.get('starting') or [facts['head_job']])} ahead{_within(facts)}"


def _dependency_failed(facts: Facts) -> str:
    how = "succeeded" if facts.get("unwanted_success") else "did not succeed"
    return f"job {facts['failed_dependency']} {how}"


def _booked(facts: Facts) -> str:
    return f"booked: {deciding(facts)['label']}{_within(facts)}"


def _blocked(facts: Facts) -> str:
    return blocked_gpus(facts["blocked"])


def _within(facts: Facts) -> str:
    starts_in_s = facts.get("starts_in_s")
    if starts_in_s is None:
        return ""
    if starts_in_s < 1:
        return " (due now)"
    return f" ({'<' if facts.get('starts_basis') == Basis.LIMITS else '~'}{format_duration(starts_in_s)})"


_NOTES: dict[ReasonCode, Callable[[Facts], str]] = {
    ReasonCode.GPUS_BUSY: _gpus,
    ReasonCode.CPUS_BUSY: _cpus,
    ReasonCode.MEMORY_BUSY: _memory,
    ReasonCode.PRIORITY: _priority,
    ReasonCode.DEPENDENCY: lambda facts: f"after {jobs(facts['waits_for'])}",
    ReasonCode.DEPENDENCY_FAILED: _dependency_failed,
    ReasonCode.BEGIN_TIME: lambda facts: f"begins in {format_duration(facts['begins_in_s'])}",
    ReasonCode.HELD: lambda _: "held",
    ReasonCode.QUOTA: limit_note,
    ReasonCode.QUEUE_LIMIT: limit_note,
    ReasonCode.ARRAY_LIMIT: limit_note,
    ReasonCode.DRAINED: _blocked,
    ReasonCode.HEALTH: _blocked,
    ReasonCode.FOREIGN: _blocked,
    ReasonCode.BOOKED: _booked,
    ReasonCode.NEVER_FITS: lambda _: "asks for more than any node has",
    ReasonCode.STARTS_NOW: lambda _: "starts now",
}

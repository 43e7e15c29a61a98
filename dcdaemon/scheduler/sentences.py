"""Every reason as a sentence or two, for `dcd why`."""

from collections.abc import Callable
from dataclasses import replace

from dcdaemon.core.reasons import Facts, Reason, ReasonCode, Unblock
from dcdaemon.core.units import format_bytes, format_duration
from dcdaemon.scheduler.grammar import (
    at_the_latest,
    blocked_gpus,
    capital,
    conjoined,
    counted,
    gpus,
    jobs,
    joined,
)
from dcdaemon.scheduler.notes import short


def sentence(reason: Reason) -> str:
    """Return the reason in full: what is needed, what is there, who is ahead and what has to end."""
    job = f"Job {reason.job_id}" if reason.job_id else "This job"
    return _SENTENCES[reason.code](job, reason.facts)


def worded(reason: Reason) -> Reason:
    """Return the reason with its sentence, note and remedy filled in."""
    return replace(reason, sentence=sentence(reason), note=short(reason), remedy=remedy(reason.unblock))


def remedy(unblock: Unblock) -> str:
    """Return what would start the job now as a sentence; empty when nothing has to change."""
    parts = [
        "it were released" if unblock.release else "",
        f"{jobs(unblock.finish_dependencies)} succeeded" if unblock.finish_dependencies else "",
        f"{jobs(unblock.end_jobs)} ended" if unblock.end_jobs else "",
        f"{jobs(unblock.skip_jobs)} stood aside" if unblock.skip_jobs else "",
        f"{gpus([gpu for _, gpu in unblock.restore_gpus])} took work again" if unblock.restore_gpus else "",
    ]
    needed = [part for part in parts if part]
    return f"It would start now if {conjoined(needed)}." if needed else ""


def _held(job: str, _: Facts) -> str:
    return f"{job} is held; dcd release {job.removeprefix('Job ')} lets it go."


def _dependency(job: str, facts: Facts) -> str:
    return joined(f"{job} waits for {jobs(facts['waits_for'])}.", _foretold(facts))


def _dependency_failed(job: str, facts: Facts) -> str:
    failed = facts["failed_dependency"]
    return f"{job} waits for job {failed}, which did not succeed: requeue that one, or cancel this one."


def _blocked(job: str, facts: Facts) -> str:
    needed = f"{counted(facts['gpus_needed'], 'GPU')}{_where(facts)}"
    return f"{job} needs {needed}: {blocked_gpus(facts['blocked'])}."


def _gpus_busy(job: str, facts: Facts) -> str:
    blocked = f"{blocked_gpus(facts['blocked'])}." if facts.get("blocked") else ""
    needed = f"{counted(facts['gpus_needed'], 'GPU')}{_where(facts)}"
    head, ahead = facts.get("head_job"), facts.get("head_gpus_needed", 0)
    free = _free(facts, _are(facts["gpus_free"]))
    if not ahead:
        lead = _busy(job, facts, needed, free)
    elif ahead == facts["gpus_needed"]:
        lead = f"{job} waits behind job {head}: each needs {needed}, {free}."
    else:
        lead = f"{job} waits behind job {head}: it needs {needed}, job {head} needs {ahead}, {free}."
    return joined(lead, blocked, _when(facts))


def _cpus_busy(job: str, facts: Facts) -> str:
    free = _free(facts, _are(facts["cpus_free"]))
    needed = f"{counted(facts['cpus_needed'], 'CPU')}{_where(facts)}"
    return joined(_busy(job, facts, needed, free), _when(facts))


def _memory_busy(job: str, facts: Facts) -> str:
    needed = f"{format_bytes(facts['mem_needed_bytes'])} of memory{_where(facts)}"
    free = _free(facts, f"{format_bytes(facts['mem_free_bytes'])} is free")
    return joined(_busy(job, facts, needed, free), _when(facts))


def _priority(job: str, facts: Facts) -> str:
    lead = f"{job} needs {_most(facts['gpus_needed'], facts['cpus_needed'])} and would fit now"
    if starting := facts.get("starting"):
        verbs = "is ahead and starts" if len(starting) == 1 else "are ahead and start"
        return joined(f"{lead}, but {jobs(starting)} {verbs} first.", _foretold(facts))
    ahead = f"job {facts['head_job']} (priority {facts['head_priority']}) is ahead"
    lead = f"{lead}, but {ahead}: it needs {_most(facts['head_gpus_needed'], facts['head_cpus_needed'])}"
    head_in_s, limit_s = facts.get("head_starts_in_s"), facts.get("limit_to_start_s")
    if head_in_s is None:
        return joined(f"{lead}, and what is free is kept for it.", _foretold(facts))
    chance = f"With a time limit of {format_duration(limit_s)} it could start now." if limit_s else ""
    return joined(f"{lead} and starts {at_the_latest(head_in_s)}.", chance or _foretold(facts))


def _never_fits(job: str, facts: Facts) -> str:
    if not facts["nodes"]:
        return f"{job} cannot run: there is no node."
    where = "this node" if facts["nodes"] == 1 else f"the largest node ({facts['node']})"
    if facts["gpus_needed"] > facts["gpus_total"]:
        return f"{job} asks for {counted(facts['gpus_needed'], 'GPU')}, {where} has {facts['gpus_total']}."
    if facts["cpus_needed"] > facts["cpus_total"]:
        return f"{job} asks for {counted(facts['cpus_needed'], 'CPU')}, {where} has {facts['cpus_total']}."
    total = format_bytes(facts["mem_total_bytes"])
    return f"{job} asks for {format_bytes(facts['mem_needed_bytes'])} of memory, {where} has {total}."


def _busy(job: str, facts: Facts, needed: str, free: str) -> str:
    head = facts.get("head_job")
    need = "needs" if head is None else f"waits behind job {head} and needs"
    return f"{job} {need} {needed}, {free}."


def _when(facts: Facts) -> str:
    starts_in_s, ending = facts.get("starts_in_s"), facts.get("ending")
    if starts_in_s is None or not ending or not facts["starts_after_ending"]:
        return _foretold(facts)
    head_in_s = facts.get("head_starts_in_s")
    then = "both start" if head_in_s is not None and head_in_s <= starts_in_s else "it starts"
    verb = "ends" if len(ending) == 1 else "end"
    return f"{capital(jobs(ending))} {verb} {at_the_latest(starts_in_s)}, then {then}."


def _foretold(facts: Facts) -> str:
    if "starts_in_s" not in facts:
        return ""
    starts_in_s, endless = facts["starts_in_s"], facts.get("endless")
    if starts_in_s is not None:
        return f"If every job runs to its limit, it starts in {format_duration(starts_in_s)}."
    if not endless:
        return "When it starts cannot be foretold."
    verb = "has" if len(endless) == 1 else "have"
    return f"{capital(jobs(endless))} {verb} no time limit, so the start is unknown."


def _most(gpus_needed: int, cpus_needed: int) -> str:
    return counted(gpus_needed, "GPU") if gpus_needed else counted(cpus_needed, "CPU")


def _are(count: int) -> str:
    return "1 is free" if count == 1 else f"{count} are free"


def _free(facts: Facts, said: str) -> str:
    return said if facts["nodes"] == 1 else f"at most {said} ({facts['node']})"


def _where(facts: Facts) -> str:
    return "" if facts["nodes"] == 1 else " on one node"


_SENTENCES: dict[ReasonCode, Callable[[str, Facts], str]] = {
    ReasonCode.GPUS_BUSY: _gpus_busy,
    ReasonCode.CPUS_BUSY: _cpus_busy,
    ReasonCode.MEMORY_BUSY: _memory_busy,
    ReasonCode.PRIORITY: _priority,
    ReasonCode.DEPENDENCY: _dependency,
    ReasonCode.DEPENDENCY_FAILED: _dependency_failed,
    ReasonCode.HELD: _held,
    ReasonCode.DRAINED: _blocked,
    ReasonCode.HEALTH: _blocked,
    ReasonCode.FOREIGN: _blocked,
    ReasonCode.NEVER_FITS: _never_fits,
    ReasonCode.STARTS_NOW: lambda job, _: f"{job} starts now.",
}

"""Every reason as a sentence or two, for `dcd why`."""

from collections.abc import Callable
from dataclasses import replace

from dcdaemon.core.reasons import Basis, Facts, Reason, ReasonCode, Unblock
from dcdaemon.core.units import format_bytes, format_duration
from dcdaemon.scheduler.booked_words import booked_sentence
from dcdaemon.scheduler.due_words import due_sentence
from dcdaemon.scheduler.grammar import (
    at_the_latest,
    blocked_gpus,
    conjoined,
    counted,
    gpus,
    in_about,
    jobs,
    joined,
)
from dcdaemon.scheduler.limit_words import limit_owner, limit_sentence
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.share_words import a_share, never_shares, share_there, share_wanted, still_loading
from dcdaemon.scheduler.turn_words import after_ends, expected, who_goes_first


def sentence(reason: Reason) -> str:
    """Return the reason in full: what is needed, what is there, who is ahead and what has to end."""
    job = f"Job {reason.job_id}" if reason.job_id else "This job"
    return _SENTENCES[reason.code](job, reason.facts)


def worded(reason: Reason) -> Reason:
    """Return the reason with its sentence, note and remedy filled in."""
    said = joined(sentence(reason), due_sentence(reason.facts))
    return replace(reason, sentence=said, note=short(reason), remedy=remedy(reason.unblock))


def remedy(unblock: Unblock) -> str:
    """Return what would start the job now as a sentence; empty when nothing has to change."""
    parts = [
        "it were released" if unblock.release else "",
        "its begin time had come" if unblock.begin_at is not None else "",
        f"{jobs(unblock.finish_dependencies)} succeeded" if unblock.finish_dependencies else "",
        f"{jobs(unblock.fail_dependencies)} failed" if unblock.fail_dependencies else "",
        f"{jobs(unblock.end_dependencies)} ended" if unblock.end_dependencies else "",
        f"{jobs(unblock.end_jobs)} ended" if unblock.end_jobs else "",
        f"{jobs(unblock.skip_jobs)} stood aside" if unblock.skip_jobs else "",
        "it went before all others" if unblock.first else "",
        f"{gpus(unblock.restore_gpus)} took work again" if unblock.restore_gpus else "",
    ]
    parts += [f"the limit of {limit_owner(key)} were lifted" for key in unblock.lift_limits]
    parts += [f"booking {number} were called off" for number in unblock.unbook]
    needed = [part for part in parts if part]
    return f"It would start now if {conjoined(needed)}." if needed else ""


def _held(job: str, _: Facts) -> str:
    return f"{job} is held; dcd release {job.removeprefix('Job ')} lets it go."


def _dependency(job: str, facts: Facts) -> str:
    return joined(f"{job} waits for {jobs(facts['waits_for'])}.", expected(facts))


def _dependency_failed(job: str, facts: Facts) -> str:
    failed = facts["failed_dependency"]
    if facts.get("unwanted_success"):
        return f"{job} waits for job {failed} to fail, and it succeeded: requeue that one, or cancel this one."
    return f"{job} waits for job {failed}, which did not succeed: requeue that one, or cancel this one."


def _begin_time(job: str, facts: Facts) -> str:
    begins_in_s = facts["begins_in_s"]
    later = expected(facts) if (facts.get("starts_in_s") or 0.0) >= begins_in_s + 1 else ""
    return joined(f"{job} is not to start before its begin time, in {format_duration(begins_in_s)}.", later)


def _limit(job: str, facts: Facts) -> str:
    never = facts["limit_more"] > facts["limit_most"]
    return joined(limit_sentence(job, facts), "" if never else expected(facts))


def _blocked(job: str, facts: Facts) -> str:
    return f"{job} needs {_gpus_wanted(facts)}: {blocked_gpus(facts['blocked'])}."


def _gpus_busy(job: str, facts: Facts) -> str:
    blocked = f"{blocked_gpus(facts['blocked'])}." if facts.get("blocked") else ""
    needed, free = _gpus_wanted(facts), _gpus_there(facts)
    head = facts.get("head_job")
    if not facts.get("head_gpus_needed"):
        lead = _busy(job, facts, needed, free)
    elif _needs_alike(facts):
        lead = f"{job} waits behind job {head}: each needs {needed}, {free}."
    else:
        lead = f"{job} waits behind job {head}: it needs {needed}, job {head} needs {_head_wanted(facts)}, {free}."
    return joined(lead, blocked, who_goes_first(facts), after_ends(facts))


def _booked(job: str, facts: Facts) -> str:
    lead = booked_sentence(job, facts, _gpus_wanted(facts), _gpus_there(facts))
    return joined(lead, "" if facts.get("limit_to_start_s") else expected(facts))


def _cpus_busy(job: str, facts: Facts) -> str:
    free = _free(facts, _are(facts["cpus_free"]))
    needed = f"{counted(facts['cpus_needed'], 'CPU')}{_where(facts)}"
    return joined(_busy(job, facts, needed, free), who_goes_first(facts), after_ends(facts))


def _memory_busy(job: str, facts: Facts) -> str:
    needed = f"{format_bytes(facts['mem_needed_bytes'])} of memory{_where(facts)}"
    free = _free(facts, f"{format_bytes(facts['mem_free_bytes'])} is free")
    return joined(_busy(job, facts, needed, free), who_goes_first(facts), after_ends(facts))


def _priority(job: str, facts: Facts) -> str:
    share = share_wanted(facts) if "gpu_mem_needed_bytes" in facts else ""
    lead = f"{job} needs {share or _most(facts['gpus_needed'], facts['cpus_needed'])} and would fit now"
    if "loading_gpu" in facts:
        return joined(still_loading(job, facts), expected(facts))
    if starting := facts.get("starting"):
        verbs = "is ahead and starts" if len(starting) == 1 else "are ahead and start"
        return joined(f"{lead}, but {jobs(starting)} {verbs} first.", who_goes_first(facts), expected(facts))
    if "head_job" not in facts:
        return joined(f"{lead}, but its turn has not come.", who_goes_first(facts), expected(facts))
    ahead = f"job {facts['head_job']} (priority {facts['head_priority']}) is ahead"
    lead = f"{lead}, but {ahead}: it needs {_head_most(facts)}"
    limit_s = facts.get("limit_to_start_s")
    chance = f"With a time limit of {format_duration(limit_s)} it could start now." if limit_s else expected(facts)
    return joined(f"{lead}{_head_start(facts)}.", who_goes_first(facts), chance)


def _head_start(facts: Facts) -> str:
    head_in_s = facts["head_starts_in_s"]
    if head_in_s is None:
        return ", and what is free is kept for it"
    promised = ", was promised a start" if facts["head_promised"] else ""
    if facts["head_basis"] == Basis.LIMITS:
        return f"{promised} and starts {at_the_latest(head_in_s)}"
    return f"{promised} and is expected to start {in_about(head_in_s)}"


def _never_fits(job: str, facts: Facts) -> str:
    if not facts["nodes"]:
        return f"{job} cannot run: there is no node."
    if facts["nodes"] == 1:
        where = "this node has"
    else:
        where = f"the largest node ({facts['node']}) has" if "node" in facts else "all nodes together have"
    too_large = never_shares(job, facts) if facts["gpus_total"] else ""
    if too_large:
        return too_large
    if facts["gpus_needed"] > facts["gpus_total"]:
        of_queue = f" in queue {facts['queue']}" if "queue" in facts else ""
        asked = counted(facts["gpus_needed"], "GPU")
        return joined(f"{job} asks for {asked}, {where} {facts['gpus_total']}{of_queue}.", _cut(facts))
    if facts["cpus_needed"] > facts["cpus_total"]:
        return f"{job} asks for {counted(facts['cpus_needed'], 'CPU')}, {where} {facts['cpus_total']}."
    if facts["mem_needed_bytes"] > facts["mem_total_bytes"]:
        total = format_bytes(facts["mem_total_bytes"])
        return f"{job} asks for {format_bytes(facts['mem_needed_bytes'])} of memory, {where} {total}."
    return f"{job} cannot be spread over these {facts['nodes']} nodes: too few of them hold a share of it."


def _cut(facts: Facts) -> str:
    cut = facts.get("gpus_cut")
    if not cut:
        return ""
    more, are = " more" if facts["gpus_total"] else "", "is" if cut == 1 else "are"
    return f"{cut}{more} {are} cut by MIG: --gpu-mem asks for an instance."


def _busy(job: str, facts: Facts, needed: str, free: str) -> str:
    head = facts.get("head_job")
    need = "needs" if head is None else f"waits behind job {head} and needs"
    return f"{job} {need} {needed}, {free}."


def _gpus_wanted(facts: Facts) -> str:
    gpus_needed, nodes_needed = counted(facts["gpus_needed"], "GPU"), facts.get("nodes_needed")
    if "gpu_mem_needed_bytes" in facts:
        gpus_needed = share_wanted(facts)
    return f"{gpus_needed}{_where(facts)}" if nodes_needed is None else f"{nodes_needed} whole nodes ({gpus_needed})"


def _gpus_there(facts: Facts) -> str:
    nodes_free = facts.get("nodes_free")
    if "gpu_mem_free_bytes" in facts:
        return share_there(facts)
    return _free(facts, _are(facts["gpus_free"])) if nodes_free is None else _are(nodes_free)


def _needs_alike(facts: Facts) -> bool:
    shares = [facts.get(key) for key in ("gpu_mem_needed_bytes", "head_gpu_mem_needed_bytes")]
    return facts["gpus_needed"] == facts["head_gpus_needed"] and shares[0] == shares[1]


def _head_wanted(facts: Facts) -> str:
    """Return what the job that goes first needs: the bare number beside a number of GPUs."""
    if "head_gpu_mem_needed_bytes" in facts or "gpu_mem_needed_bytes" in facts:
        return _head_most(facts)
    return str(facts["head_gpus_needed"])


def _head_most(facts: Facts) -> str:
    share = facts.get("head_gpu_mem_needed_bytes")
    return _most(facts["head_gpus_needed"], facts["head_cpus_needed"]) if share is None else a_share(share)


def _most(gpus_needed: int, cpus_needed: int) -> str:
    return counted(gpus_needed, "GPU") if gpus_needed else counted(cpus_needed, "CPU")


def _are(count: int) -> str:
    return "1 is free" if count == 1 else f"{count} are free"


def _free(facts: Facts, said: str) -> str:
    return said if facts["nodes"] == 1 else f"at most {said} ({facts['node']})"


def _where(facts: Facts) -> str:
    if facts.get("nodes_needed") is not None:
        return f" on each of {facts['nodes_needed']} whole nodes"
    return "" if facts["nodes"] == 1 else " on one node"


_SENTENCES: dict[ReasonCode, Callable[[str, Facts], str]] = {
    ReasonCode.GPUS_BUSY: _gpus_busy,
    ReasonCode.CPUS_BUSY: _cpus_busy,
    ReasonCode.MEMORY_BUSY: _memory_busy,
    ReasonCode.PRIORITY: _priority,
    ReasonCode.DEPENDENCY: _dependency,
    ReasonCode.DEPENDENCY_FAILED: _dependency_failed,
    ReasonCode.BEGIN_TIME: _begin_time,
    ReasonCode.HELD: _held,
    ReasonCode.QUOTA: _limit,
    ReasonCode.QUEUE_LIMIT: _limit,
    ReasonCode.ARRAY_LIMIT: _limit,
    ReasonCode.DRAINED: _blocked,
    ReasonCode.HEALTH: _blocked,
    ReasonCode.FOREIGN: _blocked,
    ReasonCode.BOOKED: _booked,
    ReasonCode.NEVER_FITS: _never_fits,
    ReasonCode.STARTS_NOW: lambda job, _: f"{job} starts now.",
}

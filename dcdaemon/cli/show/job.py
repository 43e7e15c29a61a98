"""One job in full, and the reason why it waits."""

import shlex

from dcdaemon.cli.show import words
from dcdaemon.cli.show.jobs import clock, deadline, ending, gpus, label
from dcdaemon.cli.show.words import UNKNOWN, ago, count, duration, printable, spans, when
from dcdaemon.client.answer import Document

_HIDDEN = "only its owner and operators see it"
_STEPS = (
    ("end_jobs", "ends or is cancelled", "end or are cancelled"),
    ("finish_dependencies", "succeeds", "succeed"),
    ("end_dependencies", "ends", "end"),
    ("fail_dependencies", "fails", "fail"),
    ("skip_jobs", "is out of its way", "are out of its way"),
)


def job_text(job: Document) -> str:
    """Return everything about a job: what was asked, where it stands, what it used, what was odd."""
    sections = [_facts(_what(job)), _facts(_where(job)), _facts(_used(job)), _timeline(job), _odd(job)]
    array = "" if job.get("array_id") is None else f", {label(job)} of array {job['array_id']}"
    return f"Job {job['id']} ({printable(job['name'])}{array}): {headline(job)}\n\n" + "\n\n".join(
        filter(None, sections)
    )


def why_text(answer: Document) -> str:
    """Return the reason in a sentence, what would start the job, and when it is expected to start."""
    lines = [printable(answer["sentence"])]
    steps = _unblock(answer["job_id"], answer.get("unblock") or {})
    if steps:
        lines.append(f"It starts when {' and '.join(filter(None, (', '.join(steps[:-1]), steps[-1])))}.")
    facts = answer.get("facts") or {}
    if facts.get("ahead"):
        lines.append(f"Place in line: {facts['ahead'] + 1}.")
    if answer.get("expected_start_at"):
        lines.append(f"Expected start: {_start(answer, facts)}.")
    return "\n".join(lines)


def _start(answer: Document, facts: Document) -> str:
    """Return the expected start and the interval around it; by limits alone it is the latest one."""
    start, low, high = (answer.get(f"expected_{which}_at") for which in ("start", "low", "high"))
    if low is None or facts.get("starts_basis") == "limits":
        return f"{when(start)} at the latest ({ago(start)})"
    between = f"between {when(low)} and {when(high)}" if high else f"hardly before {when(low)}"
    return f"{when(start)} ({ago(start)}), {between}"


def headline(job: Document) -> str:
    """Return where a job stands, or how it ended, in a few words."""
    if job["state"] == "waiting":
        reason = job.get("reason")
        return "held" if job["held"] else f"waiting: {reason['short']}" if reason else "waiting"
    how = ending(job) if job["ended_at"] else ""
    return printable(f"{job['state']}, {how}" if how not in ("", job["state"]) else str(job["state"]))


def _what(job: Document) -> list[tuple[str, str]]:
    return [
        ("command", _HIDDEN if job.get("private") else shlex.join(job["argv"])),
        ("in", job["cwd"] or UNKNOWN),
        ("log", UNKNOWN if job.get("private") else job["log_path"] or f"kept by the daemon: dcd logs {job['id']}"),
        ("user", f"{job['user']} (uid {job['uid']})"),
        ("asked", _asked(job)),
        ("limit", duration(job["limit_s"]) if job["limit_s"] else "none"),
        ("priority", str(job["priority"])),
        ("after", spans(job["after"]) or UNKNOWN),
        *((name, text) for name, text in _conditions(job) if text),
    ]


def _conditions(job: Document) -> list[tuple[str, str]]:
    """Return what most jobs do without; empty where this one does."""
    limit = job.get("array_limit")
    return [
        ("after end of", spans(job.get("after_any") or [])),
        ("after fail of", spans(job.get("after_not_ok") or [])),
        ("launcher", _launcher(job)),
        ("asked to save", _asked_to_save(job)),
        ("ends if hung", f"after {duration(job['hang_after_s'])}" if job.get("hang_after_s") else ""),
        ("begin", when(job["begin_at"]) if job.get("begin_at") else ""),
        ("deadline", f"{when(job['deadline_at'])} ({deadline(job)})" if job.get("deadline_at") else ""),
        ("array", f"at most {limit} at a time" if limit else ""),
        ("queue", f"{job.get('queue') or ''}{', on GPUs that were lent: can be recalled' if job.get('lent') else ''}"),
        ("account", job.get("account") or ""),
    ]


def _launcher(job: Document) -> str:
    ranks = job.get("ranks")
    if not job.get("launcher"):
        return ""
    return f"{job['launcher']}, {count(ranks, 'rank') if ranks else 'a rank for each GPU'}"


def _asked_to_save(job: Document) -> str:
    """Return how the job is asked for a checkpoint, where it wished for one."""
    signal, ahead_s = job.get("checkpoint_signal"), job.get("checkpoint_s")
    if signal is None and ahead_s is None:
        return ""
    by = f"by SIG{signal}" if signal else "by its deadline file"
    return by if ahead_s is None else f"{by}, {duration(ahead_s)} before the limit"


def _asked(job: Document) -> str:
    share = job.get("gpu_mem_bytes")
    runs = job.get("gpu_mem_runs")
    learned = f" (learned from {count(runs, 'run')})" if runs else ""
    asked = f"{words.memory(share)} of a GPU{learned}" if share else count(job["gpus_asked"], "GPU")
    parts = [asked, count(job["cpus"], "CPU")]
    return ", ".join(parts + ([words.memory(job["mem_bytes"])] if job["mem_bytes"] else []))


def _where(job: Document) -> list[tuple[str, str]]:
    return [
        ("node", job["node"] + (", simulated GPUs" if job["simulated"] else "")),
        ("GPUs", gpus(job) + (" (a MIG instance)" if job.get("gpu_instance") else "")),
        ("attempt", str(job["attempt"])),
        ("time", f"{clock(job)} (waited {duration(job['wait_s'])})"),
        ("processes", spans(job.get("pids") or []) or UNKNOWN),
        ("exit", _exit(job)),
        *((name, text) for name, text in _foretold(job) if text),
    ]


def _foretold(job: Document) -> list[tuple[str, str]]:
    """Return what was expected of the job when it was queued, and what preemption has cost it."""
    predicted_s, start, times = job.get("predicted_s"), job.get("forecast_at"), job.get("preempted")
    lowest, highest = job.get("forecast_low_at"), job.get("forecast_high_at")
    between = f" (between {when(lowest)} and {when(highest)})" if lowest and highest else ""
    return [
        ("predicted", "" if predicted_s is None else f"{duration(predicted_s)} (by {job['predicted_by']}){_off(job)}"),
        ("foretold", f"start {when(start)}{between}" if start else ""),
        ("preempted", f"{count(times, 'time')}, {duration(job['lost_s'])} of work lost" if times else ""),
    ]


def _off(job: Document) -> str:
    """Return how a job's run time compares with its prediction, once it has ended."""
    if not job["ended_at"] or not job["run_s"]:
        return ""
    return f"; it ran {job['run_s'] / job['predicted_s']:.2g} times as long"


def _exit(job: Document) -> str:
    if job["signal"] is not None:
        return f"signal {job['signal']}"
    return UNKNOWN if job["exit_code"] is None else str(job["exit_code"])


def _used(job: Document) -> list[tuple[str, str]]:
    return [
        ("energy", words.energy(job["energy_j"])),
        ("GPU-hours", words.gpu_hours(job["gpu_s"])),
        ("GPU load", words.percent(job["gpu_util_ratio"])),
        ("power now", words.watts(job["gpu_power_w"])),
        ("GPU memory", _at_most(job["mem_peak_bytes"])),
        ("reported", words.values(job["reported"]) or UNKNOWN),
    ]


def _at_most(peak_bytes: int | None) -> str:
    return UNKNOWN if peak_bytes is None else f"{words.memory(peak_bytes)} at most"


def _timeline(job: Document) -> str:
    return "\n".join(f"  {when(step['at'])}  {printable(str(step['what']))}" for step in job.get("timeline") or [])


def _odd(job: Document) -> str:
    return "\n".join(
        f"  anomaly {odd['id']}: {printable(str(odd.get('message') or odd['rule']))}" for odd in job["anomalies"]
    )


def _facts(pairs: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<12} {printable(str(value))}" for name, value in pairs)


def _unblock(job_id: int, unblock: Document) -> list[str]:
    steps = []
    if unblock.get("release"):
        steps.append(f"it is released (dcd release {job_id})")
    if unblock.get("begin_at"):
        steps.append(f"its begin time comes ({when(unblock['begin_at'])})")
    for key, one, many in _STEPS:
        jobs = unblock.get(key) or []
        if jobs:
            steps.append(f"jobs {spans(jobs)} {many}" if len(jobs) > 1 else f"job {jobs[0]} {one}")
    if others := unblock.get("others"):
        steps.append(f"{count(others, 'job')} of others end{'s' * (others == 1)} or make{'s' * (others == 1)} way")
    if unblock.get("first"):
        steps.append("it goes before all others")
    steps += [f"the limit of {' '.join(limit)} is lifted" for limit in unblock.get("lift_limits") or []]
    steps += [f"booking {number} is called off" for number in unblock.get("unbook") or []]
    given_back = [gpu[1] if isinstance(gpu, list) else gpu for gpu in unblock.get("restore_gpus") or []]
    if given_back:
        steps.append(f"{'GPUs' if len(given_back) > 1 else 'GPU'} {spans(given_back)} can be used again")
    return steps

"""One job in full, and the reason why it waits."""

import shlex

from dcdaemon.cli.show import words
from dcdaemon.cli.show.jobs import clock, ending, gpus
from dcdaemon.cli.show.words import UNKNOWN, ago, count, duration, printable, spans, when
from dcdaemon.client.answer import Document

_STEPS = (
    ("end_jobs", "ends or is cancelled", "end or are cancelled"),
    ("finish_dependencies", "succeeds", "succeed"),
    ("skip_jobs", "is out of its way", "are out of its way"),
)


def job_text(job: Document) -> str:
    """Return everything about a job: what was asked, where it stands, what it used, what was odd."""
    sections = [_facts(_what(job)), _facts(_where(job)), _facts(_used(job)), _timeline(job), _odd(job)]
    return f"Job {job['id']} ({printable(job['name'])}): {headline(job)}\n\n" + "\n\n".join(filter(None, sections))


def why_text(answer: Document) -> str:
    """Return the reason in a sentence, what would start the job, and when it is expected to start."""
    lines = [printable(answer["sentence"])]
    steps = _unblock(answer["job_id"], answer.get("unblock") or {})
    if steps:
        lines.append(f"It starts when {' and '.join(steps)}.")
    if answer.get("expected_start_at"):
        start = answer["expected_start_at"]
        lines.append(f"Expected start: {when(start)} at the latest ({ago(start)}).")
    return "\n".join(lines)


def headline(job: Document) -> str:
    """Return where a job stands, or how it ended, in a few words."""
    if job["state"] == "waiting":
        reason = job.get("reason")
        return "held" if job["held"] else f"waiting: {reason['short']}" if reason else "waiting"
    how = ending(job) if job["ended_at"] else ""
    return printable(f"{job['state']}, {how}" if how not in ("", job["state"]) else str(job["state"]))


def _what(job: Document) -> list[tuple[str, str]]:
    return [
        ("command", shlex.join(job["argv"])),
        ("in", job["cwd"]),
        ("log", job["log_path"] or f"kept by the daemon: dcd logs {job['id']}"),
        ("user", f"{job['user']} (uid {job['uid']})"),
        ("asked", _asked(job)),
        ("limit", duration(job["limit_s"]) if job["limit_s"] else "none"),
        ("priority", str(job["priority"])),
        ("after", ", ".join(str(one) for one in job["after"]) or UNKNOWN),
    ]


def _asked(job: Document) -> str:
    parts = [count(job["gpus_asked"], "GPU"), count(job["cpus"], "CPU")]
    return ", ".join(parts + ([words.memory(job["mem_bytes"])] if job["mem_bytes"] else []))


def _where(job: Document) -> list[tuple[str, str]]:
    return [
        ("node", job["node"] + (", simulated GPUs" if job["simulated"] else "")),
        ("GPUs", gpus(job)),
        ("attempt", str(job["attempt"])),
        ("time", f"{clock(job)} (waited {duration(job['wait_s'])})"),
        ("processes", spans(job.get("pids") or []) or UNKNOWN),
        ("exit", _exit(job)),
    ]


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
        ("memory peak", words.memory(job["mem_peak_bytes"])),
        ("reported", words.values(job["reported"]) or UNKNOWN),
    ]


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
    for key, one, many in _STEPS:
        jobs = unblock.get(key) or []
        if jobs:
            steps.append(f"jobs {spans(jobs)} {many}" if len(jobs) > 1 else f"job {jobs[0]} {one}")
    given_back = [gpu[1] if isinstance(gpu, list) else gpu for gpu in unblock.get("restore_gpus") or []]
    if given_back:
        steps.append(f"{'GPUs' if len(given_back) > 1 else 'GPU'} {spans(given_back)} can be used again")
    return steps

"""Jobs as tables: the queue, the history, and the sentences about them."""

from dcdaemon.cli.show.folding import fold
from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import (
    UNKNOWN,
    ago,
    count,
    duration,
    energy,
    gpu_hours,
    memory,
    percent,
    values,
    watts,
)
from dcdaemon.client.answer import Document

_BUSY = ("starting", "running", "stopping")
_OUT_OF_USE = ("drained", "foreign", "unhealthy")
_ODD = {"idle_gpu": "looks idle"}
_STATE_STYLE = {
    "running": "green", "starting": "green", "stopping": "yellow", "waiting": "yellow", "succeeded": "",
    "cancelled": "bright_black",
}  # fmt: skip


def queue_page(document: Document) -> Page:
    """Return the page of `dcd ps`."""
    return Page(document, document["jobs"], QUEUE, talk=_queue_summary(document), folded=fold(document["jobs"]))


def history_page(document: Document) -> Page:
    """Return the page of `dcd history`."""
    totals = document["totals"]
    parts = (
        count(totals["jobs"], "job"),
        f"{gpu_hours(totals['gpu_s'])} GPU-hours",
        energy(totals["energy_j"]),
    )
    return Page(document, document["jobs"], HISTORY, talk=" · ".join(parts))


def label(job: Document) -> str:
    """Return what a person calls a job: its id, or its array's and its index there."""
    if job.get("array_id") is None:
        return str(job["id"])
    return f"{job['array_id']}_{job.get('folded') or job['array_index']}"


def note(job: Document) -> str:
    """Return the one thing worth knowing about a job now: why it waits, its load, how it ended."""
    if job["state"] == "waiting":
        reason = job.get("reason")
        return "held" if job.get("held") else str(reason["short"]) if reason else ""
    words = _load(job) if job["state"] in _BUSY else ending(job)
    missed = "deadline missed" if job.get("deadline_met") is False else ""
    loan = "lent" if job.get("lent") and job["state"] in _BUSY else ""
    return ": ".join(part for part in (", ".join(filter(None, (words, loan, missed))), _odd(job)) if part)


def deadline(job: Document) -> str:
    """Return whether a job's deadline was met, or in how long it is; empty without one."""
    if not job.get("deadline_at"):
        return ""
    met = job.get("deadline_met")
    return ago(job["deadline_at"]) if met is None else "met" if met else "missed"


def ending(job: Document) -> str:
    """Return how a job ended: its cause, its exit code or signal, or what it reported."""
    if job.get("cause"):
        return str(job["cause"])
    if job.get("signal") is not None:
        return f"signal {job['signal']}"
    if job.get("exit_code"):
        return f"exit code {job['exit_code']}"
    return values(job.get("reported") or {})


def gpus(job: Document) -> str:
    """Return the GPUs a job has, or how many it asks for."""
    if job["state"] == "waiting":
        share = job.get("gpu_mem_bytes")
        asked = memory(share) if share else job["gpus_asked"]
        return f"{asked} asked" if job["gpus_asked"] else UNKNOWN
    given = ",".join(str(gpu) for gpu in job["gpus"])
    return f"{given}:{job['gpu_instance']}" if job.get("gpu_instance") else given or UNKNOWN


def state_style(job: Document) -> str:
    """Return one of the 16 terminal colours; the word itself says the same."""
    return _STATE_STYLE.get(str(job["state"]), "red")


def clock(job: Document) -> str:
    """Return how long a job has run and may run, or has waited."""
    if job["state"] == "waiting":
        return duration(job["wait_s"])
    limit = f"/{duration(job['limit_s'])}" if job["limit_s"] and job["state"] in _BUSY else ""
    return duration(job["run_s"]) + limit


def _load(job: Document) -> str:
    parts = []
    if job.get("gpu_util_ratio") is not None:
        parts.append(f"gpu {percent(job['gpu_util_ratio'])}")
    if job.get("gpu_power_w") is not None:
        parts.append(watts(job["gpu_power_w"]))
    if job.get("reported"):
        parts.append(values(job["reported"]))
    return ", ".join(parts)


def _odd(job: Document) -> str:
    found = [
        f"{_ODD.get(odd['rule'], odd['rule'].replace('_', ' '))} (anomaly {odd['id']})" for odd in job["anomalies"]
    ]
    return ", ".join(found)


def _queue_summary(document: Document) -> str:
    summary = document["summary"]
    parts = [f"{summary['running']} running, {summary['waiting']} waiting", _gpu_summary(summary)]
    if summary["shown"] < summary.get("total", 0):
        parts[0] += f" ({summary['shown']} of {summary['total']} shown)"
    waiting = [job["id"] for job in document["jobs"] if job["state"] == "waiting"]
    if waiting:
        parts.append(f"dcd why {waiting[0]}")
    if any(job.get("simulated") for job in document["jobs"]):
        parts.append("simulated GPUs")
    return " · ".join(parts)


def _gpu_summary(summary: Document) -> str:
    parts = [f"{summary['gpus_busy']} busy"]
    parts += [f"{summary[f'gpus_{word}']} {word}" for word in _OUT_OF_USE if summary.get(f"gpus_{word}")]
    return f"{count(summary['gpus'], 'GPU')}: {', '.join(parts)}"


QUEUE = (
    Column("ID", label, right=True, whole=True),
    Column("NAME", lambda job: str(job["name"])),
    Column("USER", lambda job: str(job["user"])),
    Column("STATE", lambda job: str(job["state"]), whole=True, style=state_style),
    Column("GPUS", gpus, whole=True),
    Column("TIME", clock, right=True, whole=True),
    Column("ENERGY", lambda job: energy(job["energy_j"]), right=True, whole=True),
    Column("PRIO", lambda job: str(job["priority"]), right=True, wide=True),
    Column("CPUS", lambda job: str(job["cpus"]), right=True, wide=True),
    Column("MEMORY", lambda job: memory(job["mem_bytes"] or None), right=True, wide=True),
    Column("QUEUE", lambda job: str(job.get("queue") or UNKNOWN), wide=True),
    Column("ACCOUNT", lambda job: str(job.get("account") or UNKNOWN), wide=True),
    Column("NODE", lambda job: str(job["node"]), wide=True),
    Column("TRY", lambda job: str(job["attempt"]), right=True, wide=True),
    Column("DEADLINE", lambda job: deadline(job) or UNKNOWN, wide=True),
    Column("SUBMITTED", lambda job: ago(job["submitted_at"]), wide=True),
    Column("NOTE", note),
    Column("LOG", lambda job: str(job["log_path"] or UNKNOWN), wide=True),
)

HISTORY = (
    Column("ID", label, right=True, whole=True),
    Column("NAME", lambda job: str(job["name"])),
    Column("USER", lambda job: str(job["user"])),
    Column("STATE", lambda job: str(job["state"]), whole=True, style=state_style),
    Column("ENDED", lambda job: ago(job["ended_at"]), whole=True),
    Column("WAIT", lambda job: duration(job["wait_s"]), right=True, whole=True),
    Column("RUN", lambda job: duration(job["run_s"]), right=True, whole=True),
    Column("GPU-H", lambda job: gpu_hours(job["gpu_s"]), right=True, whole=True),
    Column("LOAD", lambda job: percent(job["gpu_util_ratio"]), right=True, whole=True),
    Column("ENERGY", lambda job: energy(job["energy_j"]), right=True, whole=True),
    Column("PEAK", lambda job: memory(job["mem_peak_bytes"]), right=True, wide=True),
    Column("GPUS", gpus, wide=True),
    Column("DEADLINE", lambda job: deadline(job) or UNKNOWN, wide=True),
    Column("NODE", lambda job: str(job["node"]), wide=True),
    Column("TRY", lambda job: str(job["attempt"]), right=True, wide=True),
    Column("NOTE", note),
)

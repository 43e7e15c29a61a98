"""What the demo shows of its jobs, and how it judges them."""

from typing import Any

from rich.table import Table
from rich.text import Text

from dcdaemon.cli.demo_jobs import DemoJob
from dcdaemon.core.units import format_duration, format_energy

Document = dict[str, Any]


def progress(document: Document, jobs: dict[str, DemoJob]) -> Table:
    """Return the queue as a table: what each job does now and what it last reported."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("ID", "NAME", "STATE", "GPUS", "TIME", "LAST REPORT"):
        table.add_column(name, no_wrap=name != "LAST REPORT")
    for job in sorted(document["jobs"], key=lambda job: job["id"]):
        note = _values(_result_first(job, jobs)) if job["started_at"] else (job["reason"] or {}).get("short", "")
        gpus = ",".join(map(str, job["gpus"])) or "-"
        last = Text(note, no_wrap=True, overflow="ellipsis")
        table.add_row(str(job["id"]), job["name"], job["state"], gpus, format_duration(job["run_s"]), last)
    return table


def ledger(ended: list[Document], anomalies: list[Document], jobs: dict[str, DemoJob], *, narrow: bool) -> Table:
    """Return what each job cost, came to and was found to do; narrow fits 80 columns."""
    table = Table(
        title="ledger", title_justify="left", box=None, header_style="bold", pad_edge=False, collapse_padding=narrow
    )
    for name in ("ID", "NAME", "WAIT", "RUN", "GPUS", "LOAD", "ENERGY", "EXIT", "REPORTED", "FOUND ODD"):
        right = name in {"ID", "WAIT", "RUN", "LOAD", "ENERGY", "EXIT"}
        # Only a name may be cut: every figure is what the demo is for.
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "NAME", overflow="ellipsis")
    for job in sorted(ended, key=lambda job: job["id"]):
        load = "-" if job["gpu_util_ratio"] is None else f"{job['gpu_util_ratio']:.0%}"
        energy_mj = None if job["energy_j"] is None else round(job["energy_j"] * 1000)
        reported = dict(list(_result_first(job, jobs).items())[:1])
        table.add_row(
            str(job["id"]), job["name"], format_duration(job["wait_s"]), format_duration(job["run_s"]),
            ",".join(map(str, job["gpus"])), load, format_energy(energy_mj), str(job["exit_code"]), _values(reported),
            ", ".join(sorted(_found(job, anomalies))) or "-",
        )  # fmt: skip
    return table


def energy(document: Document) -> str:
    """Return the energy of all GPUs: what jobs used and what was idle, which add up to what was measured."""
    # In joules to the last millijoule: the reader shall see that the parts add up.
    parts = " + ".join(f"{row['key']} {row['energy_j']:,.3f} J" for row in document["rows"])
    pretend = " (simulated)" if document["simulated"] else ""
    return f"\nenergy of all GPUs: {document['total']['energy_j']:,.3f} J{pretend} = {parts}"


def judge(ended: list[Document], anomalies: list[Document], jobs: dict[str, DemoJob]) -> list[str]:
    """Return everything that is not as it should be."""
    by_name = {job["name"]: job for job in ended}
    faults = [f"{name} has not ended" for name in jobs if name not in by_name]
    for name, job in by_name.items():
        wanted, found = jobs[name], _found(job, anomalies)
        if job["state"] != wanted.state:
            faults.append(f"{name} is {job['state']} ({job['cause']}), should be {wanted.state}")
        elif wanted.result and not wanted.good(job["reported"]):
            faults.append(f"{name} reported {_values(job['reported'])}, which is too poor")
        if found != ({wanted.anomaly} if wanted.anomaly else set()):
            faults.append(f"{name}: found odd {sorted(found)}, should be {wanted.anomaly or 'nothing'}")
        if not job["energy_j"]:
            faults.append(f"{name} has no energy booked")
    return faults


def _found(job: Document, anomalies: list[Document]) -> set[str]:
    return {anomaly["rule"] for anomaly in anomalies if anomaly["job_id"] == job["id"]}


def _result_first(job: Document, jobs: dict[str, DemoJob]) -> Document:
    wanted, reported = jobs[job["name"]].result, job["reported"]
    return {wanted: reported[wanted], **reported} if wanted in reported else dict(reported)


def _values(reported: Document) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in reported.items()
    )

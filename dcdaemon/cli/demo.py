"""`make demo`: a daemon in a temporary place, real training jobs, their progress, and the ledger at the end."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from dcdaemon.cli.demo_daemon import driver_answers, running_daemon
from dcdaemon.cli.demo_jobs import JOBS, DemoJob
from dcdaemon.cli.demo_results import Document, energy, judge, ledger, progress
from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError, Unreachable
from dcdaemon.core.units import format_duration

_AT_MOST_S = 1500.0
_SIMULATED = 8
_ROOMY = 96  # columns that the ledger takes at its widest


def main() -> int:
    """Run the demo; returns 0 only when every job came to its intended end and every oddity was found."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)  # a pipe has no width to fit
    real = driver_answers()
    console.print(
        "dcdaemon demo on the GPUs of this machine's NVIDIA driver"
        if real
        else f"dcdaemon demo on {_SIMULATED} SIMULATED H100 GPUs (no NVIDIA driver here): "
        "their load follows the jobs' real processes"
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="dcd-demo-") as directory:
        try:
            with running_daemon(Path(directory), simulate=0 if real else _SIMULATED) as client:
                return conduct(console, client, Path(directory))
        except DcdError as error:
            console.print(f"error: {error.message}\nhint: {error.hint or '-'}")
            return error.exit_code
        except KeyboardInterrupt:
            console.print("interrupted: the jobs were ended, nothing is left")
            return 128 + signal.SIGINT


def conduct(console: Console, client: Client, directory: Path) -> int:
    """Queue the jobs, show them until the last one ended, print the ledger, judge."""
    started_s = time.monotonic()
    gpus = client.get("/v1/gpus")["gpus"]
    if not gpus:
        raise Unreachable("the driver answers, but the daemon sees no GPU", "dcd doctor")
    console.print(f"{len(gpus)} x {gpus[0]['name']}, {os.cpu_count()} CPU cores; the jobs are real PyTorch trainings\n")
    jobs = {job.name: job for job in JOBS if job.gpus <= len(gpus)}
    queue(client, list(jobs.values()), directory)
    watch(console, client, jobs)
    time.sleep(6)  # one more round of the anomaly watch and of the ledger
    ended = client.get("/v1/history")["jobs"]
    anomalies = client.get("/v1/anomalies")["anomalies"]
    console.print(ledger(ended, anomalies, jobs, narrow=console.width < _ROOMY))
    console.print(energy(client.get("/v1/energy", {"by": "user"})))
    faults = judge(ended, anomalies, jobs)
    console.print(f"\n{len(ended)} jobs in {format_duration(time.monotonic() - started_s)}; ", end="")
    console.print("everything ended as it should" if not faults else "NOT as it should:\n  " + "\n  ".join(faults))
    return 1 if faults else 0


def queue(client: Client, jobs: list[DemoJob], directory: Path) -> None:
    """Submit all jobs in one request, each with its own directory; PyTorch and CUDA keep their caches there, too."""
    env = {**os.environ, "TMPDIR": str(directory), "CUDA_CACHE_PATH": str(directory / "cuda")}
    bodies = []
    for job in jobs:
        place = directory / job.name
        place.mkdir()
        bodies.append(
            {"argv": [sys.executable, *job.argv], "cwd": str(place), "name": job.name, "gpus": job.gpus,
             "cpus": job.cpus, "limit_s": job.limit_s}
        )  # fmt: skip
    client.post("/v1/jobs", {"jobs": bodies, "env": env})


def watch(console: Console, client: Client, jobs: dict[str, DemoJob]) -> None:
    """Show the queue until nothing is left: a live table on a terminal, else one line per change."""
    deadline = time.monotonic() + _AT_MOST_S
    if console.is_terminal:
        hint = Text(f"DCD_URL={client.address.url} .venv/bin/dcd why 8", style="dim")
        with Live(console=console, refresh_per_second=2, transient=True) as live:
            while (document := client.get("/v1/jobs", {"all": "true"}))["jobs"] and not _over(document, deadline):
                live.update(Group(progress(document, jobs), hint))
                time.sleep(0.5)
        return
    said: dict[int, str] = {}
    while not _over(document := client.get("/v1/jobs", {"all": "true"}), deadline):
        _say(console, document, said)
        time.sleep(0.5)
    _say(console, document, said)


def _over(document: Document, deadline: float) -> bool:
    return all(job["ended_at"] for job in document["jobs"]) or time.monotonic() > deadline


def _say(console: Console, document: Document, said: dict[int, str]) -> None:
    for job in sorted(document["jobs"], key=lambda job: job["id"]):
        words = job["state"] + (f" ({job['reason']['short']})" if job["reason"] and job["id"] not in said else "")
        if said.get(job["id"], "").split(" ")[0] != job["state"]:
            said[job["id"]] = words
            where = f" on GPU {','.join(map(str, job['gpus']))}" if job["state"] == "running" else ""
            console.print(f"  job {job['id']} {job['name']}: {words}{where}")


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: a daemon in a temporary place, real training jobs, their progress, and the ledger at the end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcdaemon.cli.demo_jobs import JOBS, DemoJob
from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError, Unreachable
from dcdaemon.core.units import format_duration, format_energy

Document = dict[str, Any]
_START_WITHIN_S = 30.0
_END_WITHIN_S = 10.0
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


def driver_answers() -> bool:
    """Tell whether an NVIDIA driver with at least one GPU answers here."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    count = ctypes.c_uint(0)
    if library.nvmlInit_v2() != 0:
        return False
    found = library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 and count.value > 0
    library.nvmlShutdown()
    return found


@contextlib.contextmanager
def running_daemon(directory: Path, simulate: int) -> Iterator[Client]:
    """Start the daemon as a user would, wait until it answers, stop it at the end."""
    settings = {
        "DCD_DAEMON__STATE_DIR": str(directory / "state"),
        "DCD_DAEMON__SOCKET": str(directory / "dcd.sock"),
        "DCD_STORAGE__URL": f"sqlite:///{directory}/dcdaemon.db",
        "DCD_ANOMALIES__IDLE_AFTER": "15s",
        "DCD_DAEMON__LOG_LEVEL": "warning",
    }
    log = (directory / "daemon.log").open("wb")
    pretend = ["--simulate-gpus", str(simulate)] if simulate else []
    command = [sys.executable, "-m", "dcdaemon", "daemon", "run", *pretend]
    # In a session of its own: Ctrl-C is for the demo, which needs the daemon to end the jobs.
    with (
        log,
        subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True
        ) as daemon,
    ):
        client = Client(f"unix://{directory}/dcd.sock")
        try:
            _wait_for(client, daemon, directory / "daemon.log")
            yield client
        finally:
            with contextlib.suppress(DcdError):  # a daemon that died has been told about already
                end_jobs(client)
            daemon.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(15)
            daemon.kill()


def end_jobs(client: Client) -> None:
    """End what still runs or waits: jobs outlive their daemon, and a demo must leave nothing."""
    ids = [str(job["id"]) for job in client.get("/v1/jobs")["jobs"]]
    if ids:
        client.post("/v1/jobs/cancel", {"select": ids, "signal": "KILL"})
    deadline = time.monotonic() + _END_WITHIN_S
    while client.get("/v1/jobs")["jobs"] and time.monotonic() < deadline:
        time.sleep(0.1)


def _wait_for(client: Client, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline and daemon.poll() is None:
        with contextlib.suppress(Unreachable):
            client.get("/v1/status")
            return
        time.sleep(0.1)
    raise Unreachable("the daemon did not start", f"it said: {log.read_text()[-2000:]}")


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


if __name__ == "__main__":
    sys.exit(main())

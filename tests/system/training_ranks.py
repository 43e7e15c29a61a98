"""A distributed training as tests see it: submitted with the torchrun launcher on CPUs, its log, its ranks."""

import os
import sys
from pathlib import Path

from system.daemon_process import Site, until

import dcdaemon

ROOT = str(Path(dcdaemon.__file__).parents[1])
#: PyTorch takes seconds to import, three times at once, and longer on a busy machine.
START_WITHIN_S = 120.0


def submit_training(site: Site, ranks: int = 2, **fields: object) -> int:
    """Queue a training of so many ranks that would go on for days; return its id."""
    argv = [sys.executable, "-m", "dcdaemon.workloads.ddp", "--epochs", "1000000"]
    job = {
        "argv": argv, "cwd": str(site.path), "launcher": "torchrun", "ranks": ranks, "name": "ddp", "grace_s": 600.0,
        **fields,
    }  # fmt: skip
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT}
    [answer] = site.client.post("/v1/jobs", {"jobs": [job], "env": env})["jobs"]
    assert (answer["launcher"], answer["ranks"]) == ("torchrun", ranks)
    return int(answer["id"])


def log_of(site: Site, job_id: int, attempt: int = 1) -> str:
    """Return what an attempt has printed so far."""
    with site.client.stream(f"/v1/jobs/{job_id}/log", {"attempt": attempt}) as stream:
        return b"".join(stream).decode()


def first_epoch(site: Site, job_id: int, attempt: int = 1) -> str:
    """Wait until the ranks have trained together, and return what they printed by then."""
    until(lambda: "\nepoch" in f"\n{log_of(site, job_id, attempt)}", "the first epoch", within_s=START_WITHIN_S)
    return log_of(site, job_id, attempt)


def ranks_of(site: Site, job_id: int) -> dict[int, int]:
    """Return the pid of each rank by its number."""
    found = {}
    for pid in site.job(job_id)["pids"]:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        found |= {int(line[5:]): pid for line in environment if line.startswith(b"RANK=")}
    return found

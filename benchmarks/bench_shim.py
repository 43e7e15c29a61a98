"""What the shim beside every job costs in memory and CPU time, and how long a new daemon takes to adopt 200 jobs."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import dcdaemon.runner
from benchmarks.node import Node, answering, percentile, start_daemon
from benchmarks.processes import memory_mb, private_mb
from dcdaemon.runner.attempt import AttemptDirectory
from dcdaemon.runner.records import LaunchSpec

JOBS = 200
ROOM = Path(dcdaemon.runner.__file__).parent
#: Forks a shim for each directory as the fork-server does, and prints what each has cost, its job included.
FORKS = """
import gc, importlib.util, os, sys
def load(name):
    spec = importlib.util.spec_from_file_location(name, f"{sys.argv[1]}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
shim = load("shim")
gc.collect(); gc.disable(); gc.freeze()
for directory in sys.argv[2:]:
    pid = os.fork()
    if pid == 0:
        shim.run(directory, 1)
        os._exit(0)
    usage = os.wait4(pid, 0)[2]
    print(usage.ru_utime + usage.ru_stime, flush=True)
"""

#: A daemon that writes down how long it took to load its queue and to adopt what runs.
TIMED = """
import pathlib, sys, time
import dcdaemon.daemon.build as build
from dcdaemon.cli.main import run
load, told = build.load, pathlib.Path(sys.argv.pop(1))
def timed(desk):
    begun = time.monotonic()
    load(desk)
    told.write_text(str(time.monotonic() - begun))
build.load = timed
sys.exit(run(sys.argv[1:]))
"""


def prepared(state_dir: Path, first: int) -> list[Path]:
    """Write down `JOBS` jobs that end at once; return the directory of each."""
    state_dir.mkdir(exist_ok=True)
    directories = []
    for job_id in range(first, first + JOBS):
        attempt = AttemptDirectory(state_dir, job_id, 1)
        env = {"PATH": os.environ["PATH"]}
        attempt.prepare(LaunchSpec(job_id, 1, ("true",), "/", env, os.geteuid(), os.getegid(), log_limit_bytes=2**30))
        directories.append(attempt.path)
    return directories


def own_cpu_ms(directory: Path, with_job_s: float) -> float:
    """Return what a shim has used without its job, which the exit record tells."""
    usage = json.loads((directory / "exit.json").read_text())["rusage"]
    return (with_job_s - float(usage["user_cpu_s"]) - float(usage["system_cpu_s"])) * 1000


def forked_cpu_ms(state_dir: Path) -> list[float]:
    """Return the CPU time of each shim that a fork-server makes, from its fork to its end."""
    directories = prepared(state_dir, 1)
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", FORKS, str(ROOM), *map(str, directories)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [own_cpu_ms(*pair) for pair in zip(directories, map(float, told), strict=True)]


def fresh_cpu_ms(state_dir: Path) -> list[float]:
    """Return the CPU time of each shim with an interpreter of its own, as systemd starts it."""
    spent = []
    for directory in prepared(state_dir, 1001):
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(ROOM / "shim.py"), str(directory), "1"]
        pid = os.posix_spawn(command[0], command, {"PATH": os.environ["PATH"]})
        usage = os.wait4(pid, 0)[2]
        spent.append(own_cpu_ms(directory, usage.ru_utime + usage.ru_stime))
    return spent


def adoption(directory: Path) -> tuple[float, float, list[int]]:
    """Return the seconds a daemon takes to load its queue without jobs, and with 200 to adopt; and the shims' pids."""
    (directory / "state").mkdir(mode=0o711)
    times = []
    for jobs in (0, JOBS):
        with start_daemon(directory) as process:
            node = Node(answering(directory / "dcd.sock"), directory / "state", process)
            if jobs:
                node.submit(["sleep", "600"], jobs)
                while len(node.client.get("/v1/jobs", {"state": "running", "limit": 1000})["jobs"]) < jobs:
                    time.sleep(0.1)
            process.kill()
        times.append(min(load_s(directory) for _ in range(3)))
    pids = [json.loads(path.read_text())["shim_pid"] for path in (directory / "state/jobs").glob("*/1/state.json")]
    return times[0], times[1], pids


def load_s(directory: Path) -> float:
    """Start a daemon on what is there, and return how long it took over what an earlier one had left."""
    told = directory / "load_s"
    with start_daemon(directory, program=("-c", TIMED, str(told))) as process:
        answering(directory / "dcd.sock")
        process.kill()
    return float(told.read_text())


def end_jobs(directory: Path) -> None:
    """End what runs."""
    with start_daemon(directory) as process:
        client = answering(directory / "dcd.sock")
        client.post("/v1/jobs/cancel", {"select": ["all"], "signal": "KILL"})
        client.get("/v1/wait", {"sel": "all"}, patient=True)
        process.terminate()


def show(what: str, values: Sequence[float], unit: str) -> None:
    """Print mean and maximum."""
    print(f"{what}: mean {fmean(values):.1f} {unit}, p99 {percentile(list(values), 0.99):.1f} {unit}")


def main() -> None:
    """Print memory, CPU time and the time of adoption."""
    with tempfile.TemporaryDirectory(prefix="dcd-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        show("CPU of a shim of the fork-server, job excluded", forked_cpu_ms(directory / "forked"), "ms")
        show("CPU of a shim with an interpreter of its own", fresh_cpu_ms(directory / "fresh"), "ms")
        without_s, with_s, shims = adoption(directory)
        try:
            memory = [(*memory_mb(pid), private_mb(pid)) for pid in shims]
        finally:
            end_jobs(directory)
    for place, kind in enumerate(("resident", "its share of what is shared (PSS)", "its own alone (USS)")):
        show(f"memory of {len(memory)} shims, {kind}", [one[place] for one in memory], "MB")
    print(
        f"a daemon loads its queue in {without_s:.3f} s without jobs, in {with_s:.3f} s with {JOBS} that run: ", end=""
    )
    print(f"adoption {with_s - without_s:.3f} s")


if __name__ == "__main__":
    main()

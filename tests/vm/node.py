"""The service as it is installed in a machine, and what its users do."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vm.machine import WITHIN_S, Machine, Outcome

# The tests of the product's other parts put `tests` into the path; this is for `python -m vm.shell`, too.
sys.path.append(str(Path(__file__).parents[1]))
from fake_nvml.fake_driver import FakeDriver, build

_DRIVER = "/usr/local/lib/fake-driver"
_DCD = "/opt/dcdaemon/bin/dcd"


def minor_of(gpu: int) -> int:
    """Give the minor number of a GPU's device, which on a real node need not be its index either."""
    return 7 - gpu


class Node:
    """A node: the machine, the service on it, and its users ada and ben."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.files_before: set[str] = set()

    def load_driver(self, gpus: int) -> None:
        """Put a driver's library there, and nodes of its devices, behind which there is no driver."""
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            library = build(Path(folder))
            driver = FakeDriver(library, state, count=gpus, profile="h100")
            for index in range(gpus):
                driver.gpu(index, minor=minor_of(index))
            self.machine.put(f"{_DRIVER}/{library.name}", library.read_bytes(), mode=0o755)
            self.machine.put(f"{_DRIVER}/state", state.read_bytes())
        nodes = {"nvidiactl": 255, **{f"nvidia{minor}": minor for minor in map(minor_of, range(gpus))}}
        lines = [f"c! /dev/{name} 0666 root root - 195:{minor}\n" for name, minor in nodes.items()]
        self.machine.put("/etc/tmpfiles.d/fake-driver.conf", "".join(lines).encode())
        self.machine.check("systemd-tmpfiles", "--create", "--boot", "/etc/tmpfiles.d/fake-driver.conf")

    def install(self) -> None:
        """Install the service as an operator does, set up for the driver; `files_before` is what was there then."""
        # The jobs of the scenarios do nothing but wait: there may be more of them than the machine has CPUs.
        settings = f"LD_LIBRARY_PATH={_DRIVER}\nFAKE_NVML_STATE={_DRIVER}/state\nDCD_JOBS__CPUS=64\n"
        self.machine.put("/etc/default/dcdaemon", settings.encode(), mode=0o600)
        self.files_before = self.files()
        self.machine.check(_DCD, "service", "install")

    def files(self) -> set[str]:
        """Give the paths of all that is on the disk."""
        return set(self.machine.check("find", "/", "-xdev", "-not", "-type", "s").splitlines())

    # ------------------------------------------------------------ the service

    def property(self, name: str, unit: str = "dcdaemon.service") -> str:
        """Give what systemd knows of a unit."""
        return self.machine.check("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def until_status(self, says: str) -> None:
        """Return when the daemon has told systemd so; it does every few seconds."""
        self.until(lambda: self.property("StatusText") == says, f"the status {says!r}")

    def main_pid(self) -> int:
        """Give the daemon's process."""
        return int(self.property("MainPID"))

    def until_another_daemon(self, pid: int) -> None:
        """Return when the daemon `pid` has gone and one that is ready has taken its place."""
        self.machine.until("sh", "-c", f"[ -e /proc/{pid} ] || echo gone", says="gone")
        self.until_active()

    def until_active(self) -> None:
        """Return when the service says that it is ready."""
        self.machine.until("sh", "-c", "systemctl is-active --quiet dcdaemon.service && echo ready", says="ready")

    # ------------------------------------------------------------ jobs

    def dcd(self, *arguments: str, user: str = "root", within_s: float = WITHIN_S) -> Outcome:
        """Run a verb as a user."""
        return self.machine.run("dcd", *arguments, user=user, within_s=within_s)

    def submit(self, script: str, *options: str, user: str = "ada") -> int:
        """Queue a shell script; return its id."""
        said = self.machine.check("dcd", "submit", *options, "--", "/bin/sh", "-c", script, user=user)
        return int(said.split()[-1])

    def show(self, job_id: int) -> dict[str, Any]:
        """Give all that the daemon knows of a job."""
        answer = self.machine.get(f"/v1/jobs/{job_id}")
        assert answer.rc == 200, answer
        document: dict[str, Any] = json.loads(answer.out)
        return document

    def log(self, job_id: int, attempt: int | None = None) -> str:
        """Give a job's output."""
        which = f"?attempt={attempt}" if attempt else ""
        return self.machine.get(f"/v1/jobs/{job_id}/log{which}").out

    def wait(self, *job_ids: int) -> list[dict[str, Any]]:
        """Return what is known of these jobs when they have ended, however."""
        self.until(lambda: all(self.show(job_id)["ended_at"] for job_id in job_ids), f"the end of {job_ids}")
        return [self.show(job_id) for job_id in job_ids]

    def end_all(self) -> None:
        """End what is left of earlier scenarios, so that it holds no GPU."""
        answer = self.machine.get("/v1/jobs")
        assert answer.rc == 200, answer
        left = [job["id"] for job in json.loads(answer.out)["jobs"]]
        if left:
            self.dcd("cancel", "-y", "--signal", "KILL", *map(str, left))
            self.wait(*left)

    def until_log(self, job_id: int, says: str) -> None:
        """Return when a job has said something."""
        self.until(lambda: says in self.log(job_id), f"{says!r} in the log of job {job_id}")

    def until_state(self, job_id: int, state: str) -> dict[str, Any]:
        """Return what is known of a job when it is in a state."""
        self.until(lambda: self.show(job_id)["state"] == state, f"job {job_id}: {state}")
        return self.show(job_id)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Return when the condition holds."""
        deadline_s = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline_s, f"{what} did not come about in {WITHIN_S:.0f} s"
            time.sleep(0.2)

"""A real daemon on a temporary state directory: start it, kill it, give it jobs, and judge what became of them."""

import contextlib
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from patience import until
from system.nursery import Nursery

from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unreachable
from dcdaemon.runner.attempt import AttemptDirectory

WITHIN_S = 20.0
ENDED_STATES = frozenset(
    {"succeeded", "failed", "cancelled", "timed_out", "out_of_memory", "preempted", "interrupted", "lost"}
)


class Site:
    """One state directory, the daemons that serve it one after the other, and the marks its jobs leave."""

    def __init__(self, nursery: Nursery, template: Path | None = None, **settings: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="dcd-site-", dir="/tmp"))
        self.path.chmod(0o755)
        self.state_dir, self.log = self.path / "state", self.path / "daemon.log"
        self.socket, self.marks = self.path / "dcd.sock", self.path / "marks"
        self.pid: int | None = None
        self._pidfd: int | None = None
        self._nursery = nursery
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.path),
            "DCD_DAEMON__STATE_DIR": str(self.state_dir), "DCD_DAEMON__SOCKET": str(self.socket),
            "DCD_JOBS__CPUS": "64", **settings,
        }  # fmt: skip
        self.client = Client(f"unix://{self.socket}", timeout_s=WITHIN_S)
        if template is not None:
            shutil.copytree(template, self.state_dir)

    # ------------------------------------------------------------ the daemon

    def start(self, crash_at: str | None = None) -> None:
        """Start a daemon and wait until it answers, or has died where it was to crash."""
        assert not self.alive()
        self.pid = self._nursery.fork_daemon(self.env, self.log, crash_at)
        with contextlib.suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(self.pid)
        until(lambda: self.answers() or not self.alive(), "the daemon's first answer")
        assert crash_at is not None or self.alive(), self.log.read_text()

    def alive(self) -> bool:
        """Tell whether the daemon still runs."""
        return self._pidfd is not None and not select.select([self._pidfd], [], [], 0)[0]

    def answers(self) -> bool:
        """Tell whether the daemon answers."""
        try:
            return bool(self.client.get("/v1/status"))
        except Unreachable:
            return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the daemon and return at once, from any thread."""
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """Signal the daemon and wait until it is gone."""
        self.kill(number)
        self.wait_for_death()

    def wait_for_death(self) -> None:
        """Return when the daemon is gone."""
        if self._pidfd is not None:
            assert select.select([self._pidfd], [], [], WITHIN_S)[0], "the daemon lives on"
            os.close(self._pidfd)
            self._pidfd = None

    def restart(self) -> None:
        """Kill the daemon without warning, and start another."""
        self.end()
        self.start()

    def close(self) -> None:
        """Leave nothing behind: no daemon, no shim, no job, no file; a failed test shows what the daemons said."""
        self.end()
        sys.stdout.write(self.log.read_text() if self.log.exists() else "the daemon said nothing\n")
        for attempt in self.attempts():
            shim = attempt.shim()
            for process in (*attempt.processes(), *((shim,) if shim else ())):
                process.send(signal.SIGKILL)
            for process in attempt.leftovers():
                process.send(signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)

    # ------------------------------------------------------------ jobs

    def submit(self, script: str = "", *, sleep_s: float = 0.0, code: int = 0, **fields: object) -> int:
        """Submit a shell script that first leaves its mark and at last exits with `code`; return its id."""
        return self.submit_many([self.wish(script, sleep_s=sleep_s, code=code, **fields)])[0]

    def submit_many(self, wishes: Sequence[dict[str, object]]) -> list[int]:
        """Submit these jobs in one request and return their ids."""
        answer = self.client.post("/v1/jobs", {"jobs": list(wishes), "env": {"PATH": os.environ["PATH"]}})
        return [job["id"] for job in answer["jobs"]]

    def wish(self, script: str = "", *, sleep_s: float = 0.0, code: int = 0, **fields: object) -> dict[str, object]:
        """Return the body of a job that marks its run in one O_APPEND write, and then does what it is for."""
        mark = f'echo "$DCD_JOB_ID.$DCD_ATTEMPT" >> {self.marks}; echo here'
        text = "\n".join([mark, script, f"sleep {sleep_s}", f"exit {code}"])
        return {"argv": ["sh", "-c", text], "cwd": "/", "gpus": 1, **fields}

    def job(self, job_id: int) -> dict[str, Any]:
        """Return the job's document."""
        return self.client.get(f"/v1/jobs/{job_id}")

    def jobs(self) -> dict[int, dict[str, Any]]:
        """Return all jobs by id."""
        return {job["id"]: job for job in self.client.get("/v1/jobs", {"all": "true", "limit": 10_000})["jobs"]}

    def await_state(self, job_id: int, *states: str) -> dict[str, Any]:
        """Wait until the job is in one of these states and return it."""
        wanted = states or tuple(ENDED_STATES)
        return until(lambda: (job := self.job(job_id))["state"] in wanted and job, f"job {job_id} being {wanted}")

    def await_all(self) -> dict[int, dict[str, Any]]:
        """Wait until every job has ended and return them."""
        until(lambda: not self.client.get("/v1/jobs")["jobs"], "the end of all jobs", within_s=120)
        return self.jobs()

    def runs(self) -> Counter[str]:
        """Count the marks: how often each `job.attempt` ran."""
        return Counter(self.marks.read_text().split()) if self.marks.exists() else Counter()

    def attempts(self) -> Iterator[AttemptDirectory]:
        """Yield every attempt that has a directory."""
        for path in self.state_dir.glob("jobs/*/*"):
            yield AttemptDirectory(self.state_dir, int(path.parent.name), int(path.name))

    def attempt(self, job_id: int, attempt: int = 1) -> AttemptDirectory:
        """Return the directory of one attempt."""
        return AttemptDirectory(self.state_dir, job_id, attempt)

    # ------------------------------------------------------------ judgement

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Read the SQLite database behind the daemon's back."""
        database = sqlite3.connect(f"file:{self.state_dir}/dcdaemon.db?mode=ro", uri=True)
        with contextlib.closing(database):
            return database.execute(statement).fetchall()

    def judge(self, expected: dict[int, int], lost: Collection[int] = ()) -> None:
        """Check all jobs: `expected` maps each one whose submit was answered to its exit code; all have one attempt.

        Those in `lost` had their shim killed after they were on record: how they ended cannot be known.
        """
        jobs, runs = self.await_all(), self.runs()
        assert set(expected) <= set(jobs), "an answered submit was lost"
        assert set(runs) <= {f"{job_id}.1" for job_id in jobs}, f"something else ran: {runs}"
        for job_id, job in jobs.items():
            times = (0, 1) if job_id in lost else (1,)
            assert runs[f"{job_id}.1"] in times, f"job {job_id} ran {runs[f'{job_id}.1']} times: {job}"
            assert job["attempt"] == 1
            if job_id in lost:
                assert (job["state"], job["exit_code"]) == ("lost", None), job
                assert "no exit record" in job["cause"], job
        for job_id, code in expected.items():
            ended = jobs[job_id]
            if job_id not in lost:
                assert (ended["exit_code"], ended["state"]) == (code, "failed" if code else "succeeded"), ended
                assert 0 <= ended["run_s"] < WITHIN_S
        until(lambda: not self.living(), f"the end of all processes of jobs, {self.living()}")
        self.judge_resources()

    def living(self) -> list[int]:
        """Return the processes that belong to jobs here: shims by where they work, jobs by their environment."""
        place = os.fsencode(self.state_dir / "jobs")
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _belongs(entry, place)]

    def judge_resources(self) -> None:
        """Check that no GPU is held by anyone, and that every measured millijoule is booked exactly once."""
        assert self.query("SELECT * FROM allocation") == []
        until(lambda: {gpu["state"] for gpu in self.client.get("/v1/gpus")["gpus"]} == {"free"}, "all GPUs being free")
        booked = "SELECT gpu, SUM(energy_mj) FROM energy GROUP BY gpu ORDER BY gpu"
        measured = "SELECT gpu, measured_mj FROM meter WHERE measured_mj > 0 ORDER BY gpu"
        both = self.query(f"SELECT 'm', * FROM ({measured}) UNION ALL SELECT 'b', * FROM ({booked})")  # noqa: S608
        assert [row[1:] for row in both if row[0] == "b"] == [row[1:] for row in both if row[0] == "m"]


def _belongs(process: Path, place: bytes) -> bool:
    """Tell whether a living process works below this place, or reports to it as a job does."""
    try:
        if os.fsencode((process / "cwd").readlink()).startswith(place):
            return True
        return b"DCD_REPORT_PATH=" + place in (process / "environ").read_bytes()
    except OSError:
        return False  # gone, or a zombie


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where daemons come from."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def template(nursery: Nursery) -> Iterator[Path]:
    """A state directory with a migrated database, to be copied: making one takes a second."""
    with contextlib.closing(Site(nursery)) as site:
        site.start()
        site.end(signal.SIGTERM)
        yield site.state_dir


@pytest.fixture
def new_site(nursery: Nursery, template: Path) -> Iterator[Callable[..., Site]]:
    """Make sites on which no daemon runs yet; they are removed at the end."""
    with contextlib.ExitStack() as stack:

        def make(**settings: str) -> Site:
            site = Site(nursery, template, **settings)
            stack.callback(site.close)
            return site

        yield make


@pytest.fixture
def driver_of_eight(tmp_path: Path) -> dict[str, str]:
    """The settings of a site on eight GPUs of the fake driver, with a real NVML child, instead of simulated ones."""
    driver = FakeDriver(build(tmp_path), tmp_path / "fake", 8, profile="h100")
    for gpu in range(8):
        driver.load(gpu, 0.5, ago_s=60)
    return {"LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML_STATE": str(tmp_path / "fake")}


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """A site with a daemon that answers."""
    made = new_site()
    made.start()
    return made


def command_line(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dcd` with the site's settings and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "dcdaemon", *arguments], env={**site.env, "DCD_URL": f"unix://{site.socket}"},
        capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd="/",
    )  # fmt: skip

"""Ways to break the database under a running daemon, and a stream of jobs that has to live through each of them."""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from contract.cut_line import CutLine
from postgres import _as_postgres
from system.daemon_process import Site, command_line, until

from dcdaemon.core.errors import DcdError, StoreUnavailable, Unreachable
from dcdaemon.store.check import check_file, check_server

Trouble = Callable[[Site], contextlib.AbstractContextManager[object]]


@dataclass(slots=True)
class Story:
    """What became of the submits, and what the daemon said meanwhile."""

    expected: dict[int, int] = field(default_factory=dict)
    refused: list[StoreUnavailable] = field(default_factory=list)
    unknown: int = 0
    wrong: list[DcdError] = field(default_factory=list)
    told: set[str] = field(default_factory=set)


class Stream:
    """Submits jobs one after the other until it is stopped; the dice are seeded, the timing is not."""

    def __init__(self, site: Site, seed: int) -> None:
        self.story = Story()
        self._site = site
        self._dice = random.Random(seed)  # noqa: S311  no secret
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._submit_on)
        self._thread.start()

    def _submit_on(self) -> None:
        while not self._stop.is_set():
            code, sleep_s = self._dice.choice((0, 0, 0, 3)), self._dice.uniform(0, 0.5)
            try:
                job_id = self._site.submit(sleep_s=sleep_s, code=code)
            except StoreUnavailable as error:
                self.story.refused.append(error)
            except Unreachable:
                self.story.unknown += 1
            except DcdError as error:
                self.story.wrong.append(error)
            else:
                self.story.expected[job_id] = code
            self._stop.wait(self._dice.uniform(0, 0.3))

    def stop(self) -> Story:
        """End the stream and return its story."""
        self._stop.set()
        self._thread.join()
        assert self.story.wrong == [], "a submit is answered, refused for a reason, or cut off"
        return self.story


def live_through(site: Site, trouble: Trouble, seed: int, for_s: float = 0.0) -> Story:
    """Have jobs end and submits come in while the database is in trouble, for so long and until both were met.

    What ran before goes on, the daemon says what it waits for, and takes jobs again by itself afterwards.
    """
    gate = site.path / f"gate-{seed}"
    before = site.submit(f"while ! test -e {gate}; do sleep 0.01; done", code=3)
    site.await_state(before, "running")
    stream = Stream(site, seed)
    try:
        until(lambda: stream.story.expected, "the first job of the stream")
        with trouble(site):
            begun_s = time.monotonic()
            gate.touch()
            until(site.attempt(before).exit_record, "the end of the job that ran")
            until(lambda: stream.story.refused, "the first refused submit")
            stream.story.told.add(until(lambda: waits_for(site), "what the daemon waits for"))
            assert "in trouble" in command_line(site, "status").stdout
            assert command_line(site, "ps").returncode == 0, "the queue is known without the database"
            time.sleep(max(0.0, for_s - (time.monotonic() - begun_s)))
            assert site.alive()
        answered = len(stream.story.expected)
        until(lambda: len(stream.story.expected) > answered + 1, "jobs being taken again", within_s=60)
        until(lambda: not waits_for(site), "the daemon being well again", within_s=60)
    finally:
        story = stream.stop()
    assert all(refusal.hint for refusal in story.refused)
    story.expected[before] = 3
    return story


def waits_for(site: Site) -> str | None:
    """Return what keeps the duty that writes from its work."""
    duties = site.client.get("/v1/status")["duties"]
    [error] = [duty["error"] for duty in duties if duty["name"] == "storing"]
    return error


def judge(site: Site, story: Story, url: str | None = None) -> None:
    """Check that every answered submit ran once to its true end, that nothing else ran, and that the ledger adds up."""
    jobs, runs = site.await_all(), site.runs()
    assert set(story.expected) <= set(jobs), "an answered submit was lost"
    assert len(jobs) - len(story.expected) <= story.unknown, "a refused submit was taken"
    assert runs == {f"{job_id}.1": 1 for job_id in jobs}
    for job_id, code in story.expected.items():
        assert (jobs[job_id]["state"], jobs[job_id]["exit_code"]) == ("failed" if code else "succeeded", code)
    verdict = check_file(site.state_dir / "dcdaemon.db") if url is None else check_server(url)[1]
    assert (verdict.violations, verdict.complete) == ((), True)


# ---------------------------------------------------------------- SQLite


@contextlib.contextmanager
def locked(site: Site) -> Iterator[None]:
    """Hold the write lock, as a forgotten shell of an administrator does."""
    with contextlib.closing(sqlite3.connect(site.state_dir / "dcdaemon.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.contextmanager
def on_small_disk(site: Site, size: str = "24m") -> Iterator[None]:
    """Put the state on a filesystem of its own, before the daemon is started; skip where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem needs root")
    kept = site.path / "template"
    site.state_dir.rename(kept)
    site.state_dir.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", site.state_dir], check=False)
    if mounted.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        shutil.copytree(kept, site.state_dir, dirs_exist_ok=True)
        yield
    finally:
        site.close()
        subprocess.run(["umount", "-l", site.state_dir], check=True)


@contextlib.contextmanager
def full(site: Site) -> Iterator[None]:
    """Leave no room on the filesystem of the state: not for the database, nor for environments and records."""
    filler = site.state_dir / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (b"\0" * 65536, b"\0" * 512):
            with contextlib.suppress(OSError):
                while True:
                    file.write(block)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def read_only(site: Site) -> Iterator[None]:
    """Forbid every change of database and log, to root and through open files, too; skip where nobody can.

    Not of the index in shared memory: the kernel ends a program that writes to memory which it may not write any more.
    """
    files = [
        str(path) for path in (site.state_dir / "dcdaemon.db", site.state_dir / "dcdaemon.db-wal") if path.exists()
    ]
    done = subprocess.run(["chattr", "+i", *files], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"files cannot be made immutable here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


@contextlib.contextmanager
def moved_away(site: Site) -> Iterator[None]:
    """Take the file away, and put it back."""
    path = site.state_dir / "dcdaemon.db"
    path.rename(site.path / "away.db")
    try:
        yield
    finally:
        (site.path / "away.db").rename(path)


@contextlib.contextmanager
def replaced(site: Site) -> Iterator[None]:
    """Put another database in its place, and the right one back."""
    path = site.state_dir / "dcdaemon.db"
    path.rename(site.path / "away.db")
    shutil.copy(site.path / "away.db", path)
    try:
        yield
    finally:
        (site.path / "away.db").rename(path)


# ---------------------------------------------------------------- PostgreSQL


class Server:
    """A PostgreSQL server that is stopped and started at will."""

    def __init__(self) -> None:
        binaries = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
        if os.geteuid() != 0 or binaries is None:
            pytest.skip("a PostgreSQL server that can be stopped needs root and Debian's postgresql")
        self._control = binaries.parent / "pg_ctl"
        self._home = Path(tempfile.mkdtemp(prefix="dcd-pg-", dir="/tmp"))
        shutil.chown(self._home, "postgres", "postgres")
        self._home.chmod(0o755)
        self.data = str(self._home / "data")
        _as_postgres(binaries, "-D", self.data, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        self.url = f"postgresql+psycopg://postgres@/postgres?host={quote(str(self._home))}"
        self.start()

    def start(self) -> None:
        options = f"-k {self._home} -c listen_addresses='' -c fsync=off"
        log = str(self._home / "log")
        _as_postgres(self._control, "-D", self.data, "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        _as_postgres(self._control, "-D", self.data, "-m", mode, "-w", "stop")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self._home)

    @contextlib.contextmanager
    def stopped(self, _site: Site) -> Iterator[None]:
        """Be away, as after a crash."""
        self.stop("immediate")
        try:
            yield
        finally:
            self.start()


def cut_now_and_then(line: CutLine, stream: Stream, dice: random.Random, cuts: int) -> Counter[str]:
    """Cut the line in the middle of transactions: before a commit reaches the server, or before its answer is back.

    A submit is answered between two cuts; whose commits are cut, chance decides. Returns how often which cut was made.
    """
    made: Counter[str] = Counter()
    for _ in range(cuts):
        answered = len(stream.story.expected)
        until(lambda answered=answered: len(stream.story.expected) > answered, "an answered submit", within_s=60)
        moment = dice.choice(("before", "after"))
        line.cut = moment
        until(lambda: line.cut is None, "a commit to cut", within_s=60)
        made[moment] += 1
    return made

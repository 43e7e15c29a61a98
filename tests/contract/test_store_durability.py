"""What was answered is stored; what cannot be stored is refused, and the store recovers by itself."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from dcdaemon.core.errors import BadConfig, Refused, StoreUnavailable
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor, JobChange, JobQuery
from dcdaemon.core.samples import GpuSample
from dcdaemon.store import sqlite
from dcdaemon.store.revision import HEAD
from dcdaemon.store.sql_store import open_store

ADA = Actor(uid=1001, gid=100, user="ada")
SPEC = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1)
ROOT = Path(__file__).parents[2]

SUBMIT_FOR_EVER = """
    import sys
    from dcdaemon.core.job import JobSpec
    from dcdaemon.core.ports import Actor
    from dcdaemon.store.sql_store import open_store

    store = open_store(sys.argv[1], "n1")
    spec = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1)
    while True:
        for job in store.submit([spec, spec], 1.0, Actor(1, 1, "u")):
            print(job.id, flush=True)
"""


def child(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_every_id_that_was_told_is_there_after_a_kill(sqlite_url: str) -> None:
    told: list[int] = []
    for _ in range(3):
        with child(SUBMIT_FOR_EVER, sqlite_url) as process:
            assert process.stdout is not None
            told += [int(process.stdout.readline()) for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    store = open_store(sqlite_url, "n1")
    kept = {job.id for job in store.jobs(JobQuery())}
    store.close()
    assert len(told) == len(set(told)) >= 120
    assert set(told) <= kept
    assert len(kept) % 2 == 0, "half a submit was stored"


def test_ids_are_not_used_again(sqlite_url: str) -> None:
    store = open_store(sqlite_url, "n1")
    (job,) = store.submit([SPEC], 1.0, ADA)
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as raw, raw:
        raw.execute("DELETE FROM job")
    (next_job,) = store.submit([SPEC], 1.0, ADA)
    assert next_job.id == job.id + 1
    store.close()


def test_threads_submit_side_by_side(url: str) -> None:
    store = open_store(url, "n1")
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: store.submit([SPEC] * (1 + number % 3), 1.0, ADA), range(120)))
    ids = [job.id for jobs in answers for job in jobs]
    assert [len(jobs) for jobs in answers] == [1 + number % 3 for number in range(120)]
    assert sorted(ids) == sorted(job.id for job in store.jobs(JobQuery()))
    store.close()


def test_one_gpu_many_takers(url: str) -> None:
    stores = [open_store(url, "n1"), open_store(url, "n1")]
    jobs = stores[0].submit([SPEC] * 16, 1.0, ADA)

    def take(number: int) -> bool:
        job = jobs[number]
        change = JobChange(job, job.mark_starting("n1", (0,), simulated=True), 2.0)
        return stores[number % 2].save([change]) != [None]

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(take, range(16))) == 1
    for store in stores:
        store.close()


def test_a_mistake_in_one_write_harms_no_other(url: str) -> None:
    store = open_store(url, "n1")
    broken = JobSpec(("x",), "/", 1, 1, None, "x", "e")  # type: ignore[arg-type]  NOT NULL is broken
    specs = [broken if number % 4 == 0 else SPEC for number in range(40)]

    def submitted(spec: JobSpec) -> bool:
        try:
            return len(store.submit([spec], 1.0, ADA)) == 1
        except sa.exc.IntegrityError:
            return False

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(submitted, specs)) == [spec is SPEC for spec in specs]
    assert len(store.jobs(JobQuery())) == 30
    store.close()


def test_a_locked_file_is_told_and_got_over(sqlite_url: str) -> None:
    store = open_store(sqlite_url, "n1", busy_timeout_s=0.05)
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another program holds its lock") as caught:
            store.submit([SPEC], 1.0, ADA)
        assert caught.value.hint == "end that program; `fuser` on the file names it"
        store.record([GpuSample(5.0, 0.0, 0)])
        with pytest.raises(StoreUnavailable):
            store.flush_samples()
        assert store.jobs(JobQuery()) == [], "reading goes on"
        other.rollback()
    assert len(store.submit([SPEC], 1.0, ADA)) == 1
    store.flush_samples()
    assert [sample.at for sample in store.gpu_samples(0, 0, 9)] == [5.0], "the samples waited in the buffer"
    store.close()


def test_a_file_taken_away_is_told_and_got_over(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = open_store(sqlite_url, "n1")
    store.submit([SPEC], 1.0, ADA)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreUnavailable, match="removed or replaced while in use"):
        store.submit([SPEC], 1.0, ADA)
    path.with_suffix(".away").rename(path)
    store.submit([SPEC], 1.0, ADA)
    assert len(store.jobs(JobQuery())) == 2
    store.close()


FILL_THE_DISK = """
    import resource, sys
    from dcdaemon.core.errors import StoreUnavailable
    from dcdaemon.core.job import JobSpec
    from dcdaemon.core.ports import Actor, JobQuery
    from dcdaemon.store.sql_store import open_store

    store = open_store(sys.argv[1], "n1")
    spec = JobSpec(("x",), "/", 1, 1, "u", "x" * 1000, "e")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    accepted = 0
    try:
        while accepted < 10_000:
            accepted += len(store.submit([spec] * 50, 1.0, Actor(1, 1, "u")))
    except StoreUnavailable as error:
        print(error.message)
    assert len(store.jobs(JobQuery())) == accepted, "nothing half-done, nothing lost"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.submit([spec], 1.0, Actor(1, 1, "u"))
    assert len(store.jobs(JobQuery())) == accepted + 1 > 50
"""


def test_no_more_room_is_told_and_got_over(sqlite_url: str) -> None:
    process = child(FILL_THE_DISK, sqlite_url)
    told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "takes no writes now: the disk" in told


MEET_A_READ_ONLY_FILE = """
    import contextlib, os, sqlite3, sys
    from dcdaemon.core.errors import StoreUnavailable
    from dcdaemon.core.job import JobSpec
    from dcdaemon.core.ports import Actor, JobQuery
    from dcdaemon.store import database, sqlite, sql_store

    path = sys.argv[1]
    store = sql_store.open_store("sqlite:///" + path, "n1")
    specs, who = [JobSpec(("x",), "/", 1, 1, "u", "x", "e")], Actor(1, 1, "u")
    store.submit(specs, 1.0, who)
    store.close()
    os.chmod(path, 0o444)
    os.chmod(os.path.dirname(path), 0o555)
    if os.geteuid() == 0:
        os.setuid(65534)  # root may write what is read-only
    try:
        sql_store.open_store("sqlite:///" + path, "n1").submit(specs, 1.0, who)
    except StoreUnavailable as error:
        print(error.message)
"""


def test_a_read_only_file_is_told() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        process = child(MEET_A_READ_ONLY_FILE, f"{folder}/dcdaemon.db")
        told, complaints = process.communicate(timeout=60)
        Path(folder).chmod(0o700)
    assert process.returncode == 0, complaints
    assert re.search(r"takes no writes now: it (is read-only|cannot be opened)", told)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dcdaemon.db"
    path.write_text("This is not a database, whatever its name says." * 100)
    with pytest.raises(StoreUnavailable, match="it is not a database") as caught:
        open_store(f"sqlite:///{path}", "n1")
    assert caught.value.hint == "stop the daemon and put back a backup"


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        open_store(f"sqlite:///{tmp_path}/nowhere/dcdaemon.db", "n1")


@pytest.mark.parametrize("url", ["sqlite:///relative.db", "sqlite://", "mysql://u@h/d", "nonsense"])
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match=r"\[storage\] url"):
        open_store(url, "n1")


def test_a_server_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="the connection failed") as caught:
        open_store(f"postgresql+psycopg://ada:s3cret@/x?host={tmp_path}", "n1")
    assert "s3cret" not in caught.value.message


def test_a_backup_is_whole_while_writing_goes_on(sqlite_url: str, tmp_path: Path) -> None:
    store = open_store(sqlite_url, "n1")
    store.submit([SPEC] * 500, 1.0, ADA)
    writing, stop = threading.Event(), threading.Event()

    def keep_submitting() -> None:
        while not stop.is_set():
            store.submit([SPEC, SPEC], 1.0, ADA)
            writing.set()

    writer = threading.Thread(target=keep_submitting)
    writer.start()
    assert writing.wait(10)
    store.backup(tmp_path / "copy.db")
    stop.set()
    writer.join()
    with pytest.raises(Refused, match="exists already"):
        store.backup(tmp_path / "copy.db")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy = open_store(f"sqlite:///{tmp_path}/copy.db", "n1")
    jobs = copy.jobs(JobQuery())
    copy.close()
    assert len(jobs) > 500
    assert len(jobs) % 2 == 0, "a backup between the two jobs of one submit"


def test_the_log_is_copied_back_and_used_again(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_COPY_EVERY_S", 0.0)
    store = open_store(sqlite_url, "n1")
    log = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    sizes = []
    for _ in range(4):
        store.submit([SPEC] * 200, 1.0, ADA)
        sizes.append(log.stat().st_size)
        store.flush_samples()
    assert sizes[-1] < 2 * sizes[0]
    store.close()


def test_facts(url: str) -> None:
    store = open_store(url, "n1")
    store.submit([SPEC] * 3, 1.0, ADA)
    facts = store.facts()
    store.close()
    assert (facts.jobs, facts.schema, facts.samples_dropped) == (3, HEAD, 0)
    assert facts.dialect == sa.make_url(url).get_backend_name()
    assert facts.size_bytes is not None
    assert facts.size_bytes > 4096

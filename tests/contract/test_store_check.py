"""What `dcd db check` finds in a database that was changed behind the store's back."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from dcdaemon.core.energy import EnergyMethod, EnergyShare, Metered
from dcdaemon.core.errors import NotFound, StoreUnavailable
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor, JobChange
from dcdaemon.core.samples import HostSample
from dcdaemon.store.check import check_file, check_server
from dcdaemon.store.sql_store import SqlStore, open_store

ADA = Actor(uid=1001, gid=100, user="ada")
SPEC = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1)


def live(store: SqlStore) -> None:
    """Have a job that runs on a GPU and has used energy, two that share one, one that waits; and folded samples."""
    store.save_gpus([GpuInfo(index, f"GPU-{index}", "H100", 80 << 30) for index in range(2)], 0.0)
    part = JobSpec(("x",), "/", 1, 1, "u", "part", "e", gpus=1, gpu_mem_bytes=1 << 30)
    jobs = store.submit([SPEC, part, part, SPEC], 1.0, ADA)
    for job, gpus in zip(jobs, ((0,), (1,), (1,)), strict=False):
        starting = job.mark_starting("n1", gpus, simulated=False)
        store.save([JobChange(job, starting, 2.0), JobChange(starting, starting.mark_running(7, 2.0), 2.0)])
    shares = (EnergyShare("n1", 0, 1, 5, 1.0),)
    store.book([Metered("n1", 0, 2.0, 3.0, 5, EnergyMethod.COUNTER, shares, 9)], [])
    store.record([HostSample(60.0, 0.5, 1.0, 100, 50, 0)])
    store.flush_samples()
    store.roll_up(7200.0)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lived") / "dcdaemon.db"
    store = open_store(f"sqlite:///{path}", "n1")
    live(store)
    store.close()
    return path


@pytest.fixture
def path(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(lived, tmp_path / "dcdaemon.db"))


def test_a_database_as_the_store_leaves_it_has_nothing_wrong(path: Path) -> None:
    verdict = check_file(path)
    assert (verdict.ok, verdict.complete, verdict.violations) == (True, True, ())


def test_a_database_on_a_server_is_judged_by_the_same_rules(postgresql_url: str) -> None:
    store = open_store(postgresql_url, "n1")
    live(store)
    store.close()
    name, verdict = check_server(postgresql_url)
    assert (verdict.violations, verdict.complete) == ((), True)
    assert name.startswith("postgresql")
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE meter SET measured_mj = 6"))
        connection.execute(sa.text("DELETE FROM allocation"))
    assert {violation.rule for violation in check_server(postgresql_url)[1].violations} == {"ledger", "gpus"}


BROKEN = [
    ("UPDATE meter SET measured_mj = measured_mj + 1", "ledger", "5 mJ are booked, its meter has measured 6 mJ"),
    ("DELETE FROM meter", "ledger", "its meter has measured 0 mJ"),
    ("UPDATE usage SET energy_mj = 4", "usage", "job 1: 5 mJ are booked for it, its usage says 4 mJ"),
    ("DELETE FROM allocation WHERE gpu = 0", "gpus", "GPU 0 of n1 is held by job 1, and allocated to nobody"),
    ("UPDATE allocation SET job_id = 4 WHERE gpu = 0", "gpus", "allocated to job 4"),
    ("INSERT INTO allocation VALUES ('n1', 7, 1)", "gpus", "GPU 7 of n1 is allocated to job 1, which does not hold it"),
    ("DELETE FROM gpu_share WHERE job_id = 3", "gpus", "GPU 1 of n1 is shared by jobs 2, 3, and written down as"),
    ("UPDATE job SET gpu_instance = '9/0' WHERE id IN (2, 3)", "gpus",
     "MIG instance 9/0 of GPU 1 of n1 is held by 2 jobs at once, of them job 2"),
    ("UPDATE job SET gpus = '[1]' WHERE id = 1", "gpus", "GPU 1 of n1 is held by jobs 1, 2, 3 at once"),
    ("UPDATE job SET state = 'dreaming' WHERE id = 4", "states", "job 4 is in the state 'dreaming'"),
    ("UPDATE job SET state = 'failed' WHERE id = 4", "states", "job 4 is failed and has no end"),
    ("UPDATE job SET gpus = '[3]' WHERE id = 4", "states", "job 4 waits and has GPUs [3]"),
    ("UPDATE job SET attempt = 0 WHERE id = 1", "states", "job 1 is running and has made no attempt"),
    ("UPDATE job SET after_any = '[98, 99]' WHERE id = 4", "references", "jobs 98, 99, which do not exist"),
    ("UPDATE job SET array_id = 77 WHERE id = 4", "references", "array 77, whose first job does not exist"),
    ("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'job'", "ids", "would be given the id 3"),
    ("UPDATE host_sample_1m SET ts = ts + 1", "samples", "1 rows of host_sample_1m on n1 are no whole bucket of 60 s"),
    ("UPDATE host_sample_1h SET n = 0", "samples", "no whole bucket of 3600 s"),
    ("DELETE FROM rolled_up WHERE bucket_s = 60", "samples", "nothing says how far they are folded"),
    ("UPDATE alembic_version SET version_num = '9999'", "schema", "it has schema 9999"),
    ("DROP TABLE alembic_version", "schema", "no tables of this program"),
    ("UPDATE allocation SET job_id = 55 WHERE gpu = 0", "integrity", "refers to a row of job"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "rule", "words"), BROKEN)
def test_each_rule_is_told_in_one_line_when_it_is_broken(path: Path, script: str, rule: str, words: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)
    found = check_file(path).violations
    assert rule in {violation.rule for violation in found}
    assert [violation for violation in found if words in violation.message and "\n" not in violation.message], found


def test_a_job_that_the_audit_does_not_know_is_told(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        names = ", ".join(row[1] for row in raw.execute("PRAGMA table_info(job)") if row[1] != "id")
        raw.executescript(f"INSERT INTO job (id, {names}) SELECT 9, {names} FROM job WHERE id = 4")  # noqa: S608  ours
    [violation] = check_file(path).violations
    assert (violation.rule, violation.message) == ("audit", "job 9 is not in the audit: who submitted it is unknown")


def test_a_damaged_index_is_found(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        [(root, size)] = raw.execute("SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master "
                                     "WHERE name = 'job_user_name'")  # fmt: skip
    content = bytearray(path.read_bytes())
    content[root * size - 40 : root * size] = b"\xff" * 40
    path.write_bytes(content)
    assert {violation.rule for violation in check_file(path).violations} == {"integrity"}


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_file(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("precious" * 100)
    with pytest.raises(StoreUnavailable, match="it is not a database"):
        check_file(tmp_path / "text.db")
    assert (tmp_path / "text.db").read_text() == "precious" * 100


def test_checking_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    check_file(path)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir() if one.name.startswith("dcdaemon.db")] == ["dcdaemon.db"]

"""What a restored database takes along from the one it replaces."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, GpuMark, JobChange, JobQuery
from dcdaemon.core.token import Token, TokenRole
from dcdaemon.store.carry_over import Carried, carry_over
from dcdaemon.store.check import check_file
from dcdaemon.store.sql_store import SqlStore, open_store

ADA = Actor(uid=1001, gid=100, user="ada")
SPEC = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1)
TOKEN = Token("ab" * 32, "laptop", 1001, 100, "ada", TokenRole.SUBMITTER, 1.0, "ada")


def begin(store: SqlStore, job: Job, gpu: int) -> Job:
    starting = job.mark_starting("n1", (gpu,), simulated=False)
    running = starting.mark_running(7, 2.0)
    store.save([JobChange(job, starting, 2.0), JobChange(starting, running, 2.0)])
    return running


def end(store: SqlStore, job: Job) -> Job:
    ended = job.mark_ended(JobState.SUCCEEDED, 3.0, run_s=1.0, exit_code=0)
    store.save([JobChange(job, ended, 3.0)])
    return ended


@pytest.fixture
def paths(tmp_path: Path, empty_sqlite: Path) -> tuple[Path, Path]:
    """Two pictures of one life, the past and the present: jobs 1 to 5 in the one, 1 to 7 in the other."""
    past, present = tmp_path / "past.db", Path(shutil.copy(empty_sqlite, tmp_path / "present.db"))
    store = open_store(f"sqlite:///{present}", "n1")
    runs, ends, waits, cancelled, again = store.submit([SPEC] * 5, 1.0, ADA)
    runs, ends, again = begin(store, runs, 0), begin(store, ends, 1), end(store, begin(store, again, 2))
    store.add_token(TOKEN, ADA)
    store.backup(past)
    end(store, ends)
    begin(store, waits, 1)
    stopped = cancelled.mark_ended(JobState.CANCELLED, 4.0)
    requeued = again.mark_requeued(4.0)
    store.save([JobChange(cancelled, stopped, 4.0), JobChange(again, requeued, 4.0)])
    newer, newest = store.submit([SPEC] * 2, 5.0, ADA)
    begin(store, newest, 3)
    store.revoke_token(TOKEN.hash, 5.0, ADA)
    store.mark(GpuMark(3, "fan"), 5.0, ADA)
    assert (runs.id, newer.id) == (1, 6)
    store.close()
    return past, present


def carried(past: Path, present: Path) -> Carried:
    with contextlib.closing(sqlite3.connect(f"file:{past}", uri=True, isolation_level=None)) as raw:
        return carry_over(raw, present)


def test_what_was_accepted_or_has_run_since_comes_along(paths: tuple[Path, Path]) -> None:
    assert carried(*paths) == Carried(newer=(6, 7), moved=(1, 2, 3, 5))
    store = open_store(f"sqlite:///{paths[0]}", "n1")
    states = [job.state.value for job in store.jobs(JobQuery(oldest_first=True))]
    assert states == ["running", "succeeded", "running", "waiting", "waiting", "waiting", "running"]
    assert store.marks() == [], "marks are those of the past"
    store.close()


def test_gpus_are_held_by_who_holds_them_now(paths: tuple[Path, Path]) -> None:
    carried(*paths)
    with contextlib.closing(sqlite3.connect(paths[0])) as raw:
        assert raw.execute("SELECT gpu, job_id FROM allocation").fetchall() == [(0, 1), (1, 3), (3, 7)]
    assert {violation.rule for violation in check_file(paths[0]).violations} <= {"ids"}


def test_the_audit_is_whole_and_a_revoked_token_stays_revoked(paths: tuple[Path, Path]) -> None:
    carried(*paths)
    ours, theirs = (open_store(f"sqlite:///{path}", "n1") for path in paths)
    assert ours.audit() == theirs.audit()
    token = ours.token(TOKEN.hash)
    assert token is not None
    assert token.revoked_at == 5.0
    for store in (ours, theirs):
        store.close()


def test_a_database_of_another_life_gives_what_it_can_and_takes_nobodys_place(paths: tuple[Path, Path]) -> None:
    with contextlib.closing(sqlite3.connect(paths[1])) as raw, raw:
        raw.execute("UPDATE job SET submitted_at = 77 WHERE id < 3")
    assert carried(*paths) == Carried(newer=(6, 7), moved=(3, 5), strangers=(1, 2))
    store = open_store(f"sqlite:///{paths[0]}", "n1")
    assert [job.submitted_at for job in store.jobs(JobQuery(ids=(1, 2)))] == [1.0, 1.0]
    store.close()


def test_nothing_changes_in_the_database_that_is_replaced(paths: tuple[Path, Path]) -> None:
    before = paths[1].read_bytes()
    carried(*paths)
    assert paths[1].read_bytes() == before

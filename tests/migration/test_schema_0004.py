"""A database of schema 0004, written by the program of then, is opened, used and checked by the program of now."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from dcdaemon.core.job import JobSpec, JobState
from dcdaemon.core.ports import JobChange, JobQuery
from dcdaemon.core.token import TokenRole
from dcdaemon.store.check import check_file
from dcdaemon.store.revision import HEAD
from tests.migration.make_database import ADA, NOW

DATABASE = Path(__file__).parents[1] / "fixtures" / "databases" / "dcdaemon-0004.db"


def test_the_fixture_is_of_schema_0004_and_not_of_a_later_one():
    with contextlib.closing(sqlite3.connect(f"file:{DATABASE}?immutable=1", uri=True)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0004",)


def test_a_job_of_ranks_keeps_what_it_asked_for(store):
    [job] = store.jobs(JobQuery(name="ranks"))
    assert job.spec == JobSpec(
        ("python", "ddp.py"), "/", 1001, 100, "ada", "ranks", "e4", gpus=1, limit_s=3600.0, deadline_at=NOW + 9000,
        gpu_mem_bytes=8 << 30, gpu_mem_runs=3, checkpoint_signal="USR1", checkpoint_s=120.0, launcher="torchrun",
        ranks=4, hang_after_s=600.0,
    )  # fmt: skip
    assert job.gpu_instance is None


def test_jobs_that_share_a_gpu_go_on_sharing_it_and_a_job_beside_them_may_have_an_instance(store):
    parts = store.jobs(JobQuery(name="part", oldest_first=True))
    assert [(job.state, job.gpus, job.gpu_instance) for job in parts] == [(JobState.RUNNING, (2,), None)] * 2
    [job] = store.jobs(JobQuery(name="ranks"))
    starting = job.mark_starting("n1", (2,), simulated=False, gpu_instance="9/0")
    assert store.save([JobChange(job, starting, NOW)]) == [starting]


def test_tokens_are_there_and_the_audit_cannot_be_rewritten(store, path):
    [token] = store.tokens()
    assert (token.name, token.uid, token.role) == ("laptop", 1001, TokenRole.SUBMITTER)
    with contextlib.closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.Error, match="append-only"):
        raw.execute("UPDATE audit SET user_name = 'nobody'")


def test_nothing_is_out_of_order(store, path):
    [job] = store.submit([JobSpec(("x",), "/", 1, 1, "u", "x", "e")], NOW, ADA)
    assert job.id == 10
    verdict = check_file(path)
    assert (verdict.schema, verdict.complete, verdict.violations) == (HEAD, True, ())

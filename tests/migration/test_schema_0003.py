"""A database of schema 0003, written by the program of then, is opened, used and checked by the program of now."""

import contextlib
import sqlite3
from pathlib import Path

from dcdaemon.core.booking import Booking
from dcdaemon.core.event import EventKind
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import JobSpec, JobState
from dcdaemon.core.ports import JobQuery
from dcdaemon.store.check import check_file
from dcdaemon.store.revision import HEAD
from tests.migration.make_database import ADA, BOOKED, NOW

DATABASE = Path(__file__).parents[1] / "fixtures" / "databases" / "dcdaemon-0003.db"


def test_the_fixture_is_of_schema_0003_and_not_of_a_later_one():
    with contextlib.closing(sqlite3.connect(f"file:{DATABASE}?immutable=1", uri=True)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)


def test_it_is_brought_to_the_newest_schema(store):
    assert store.facts().schema == HEAD


def test_jobs_of_an_array_keep_what_they_asked_for_and_what_was_foretold(store):
    first, second = store.jobs(JobQuery(name="sweep", oldest_first=True))
    spec = JobSpec(
        ("python", "sweep.py"), "/home/ada", 1001, 100, "ada", "sweep", "e2", gpus=1, limit_s=3600.0, queue="night",
        account="vision", begin_at=NOW + 600, array_id=4, array_index=0, array_limit=1, after_any=(2,),
        after_not_ok=(1,), preemptible=True, requeue=True,
    )  # fmt: skip
    assert (first.id, first.spec) == (4, spec)
    assert (second.id, second.spec.array_id, second.spec.array_index) == (5, 4, 1)
    assert (first.predicted_s, first.predicted_by) == (1200.0, "history")
    assert (first.forecast_at, first.forecast_low_at, first.forecast_high_at) == (NOW + 900, NOW + 700, NOW + 1800)


def test_jobs_that_share_a_gpu_go_on_sharing_it(store, path):
    parts = store.jobs(JobQuery(name="part", oldest_first=True))
    assert [(job.state, job.gpus, job.spec.gpu_mem_bytes) for job in parts] == [(JobState.RUNNING, (2,), 20 << 30)] * 2
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT node, gpu, job_id FROM gpu_share").fetchall() == [("n1", 2, 6), ("n1", 2, 7)]


def test_a_job_that_gave_way_still_knows_what_it_lost(store):
    [job] = store.jobs(JobQuery(name="gave-way"))
    assert (job.state, job.attempt, job.preempted, job.lost_s) == (JobState.WAITING, 1, 1, 12.5)


def test_bookings_gpu_time_and_events_are_there(store):
    [booking] = store.bookings(NOW)
    assert booking == Booking(**{name: getattr(BOOKED, name) for name in BOOKED.__slots__} | {"id": 1})
    middle = 1_759_998_600.0
    assert store.gpu_time(0.0, 3600) == [GpuTime("", "ada", middle, 120.0), GpuTime("", "bob", middle, 30.0)]
    [event] = store.events()
    assert (event.kind, event.gpu, event.evidence) == (EventKind.XID, 2, {"xid": 79})


def test_who_did_what_is_still_told(store):
    rows = store.audit()
    assert [(row.user, row.action) for row in rows if row.job_id == 4] == [("ada", "submit")]
    assert {row.action for row in rows} == {"submit", "requeue", "drain", "book", "add_token"}


def test_ids_go_on_and_nothing_is_out_of_order(store, path):
    [job] = store.submit([JobSpec(("x",), "/", 1, 1, "u", "x", "e")], NOW, ADA)
    assert job.id == 9
    verdict = check_file(path)
    assert (verdict.schema, verdict.complete, verdict.violations) == (HEAD, True, ())

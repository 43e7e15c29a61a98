"""What a restored database takes along from the one it replaces, on both databases."""

import pytest

from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, GpuMark, JobChange, JobQuery
from dcdaemon.core.token import Token, TokenRole
from dcdaemon.store.carry_over import Carried
from dcdaemon.store.sql_store import SqlStore, open_store
from tests.contract.restoring import Life, life

__all__ = ["life"]
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
def lived(life: Life) -> Life:
    """Two pictures of one life, the past and the present: jobs 1 to 5 in the one, 1 to 7 in the other."""
    store = open_store(life.url, "n1")
    runs, ends, waits, cancelled, again = store.submit([SPEC] * 5, 1.0, ADA)
    runs, ends, again = begin(store, runs, 0), begin(store, ends, 1), end(store, begin(store, again, 2))
    store.add_token(TOKEN, ADA)
    life.back_up(store)
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
    return life


def carried(life: Life) -> Carried:
    with life.restoring() as database:
        return database.carry_over()


def test_what_was_accepted_or_has_run_since_comes_along(lived: Life) -> None:
    assert carried(lived) == Carried(newer=(6, 7), moved=(1, 2, 3, 5))
    store = open_store(lived.url, "n1")
    states = [job.state.value for job in store.jobs(JobQuery(oldest_first=True))]
    assert states == ["running", "succeeded", "running", "waiting", "waiting", "waiting", "running"]
    assert store.marks() == [], "marks are those of the past"
    store.close()


def test_gpus_are_held_by_who_holds_them_now(lived: Life) -> None:
    carried(lived)
    store = open_store(lived.url, "n1")
    held = {gpu: job.id for job in store.jobs(JobQuery()) for _, gpu in job.slots}
    store.close()
    assert held == {0: 1, 1: 3, 3: 7}
    assert lived.check().violations == (), "and they are written down so"


def test_the_audit_is_whole_and_a_revoked_token_stays_revoked(lived: Life) -> None:
    before = lived.present_rows("SELECT id, action, job_id FROM audit ORDER BY id")
    carried(lived)
    store = open_store(lived.url, "n1")
    assert [(row.action, row.job_id) for row in store.audit()] == [row[1:] for row in before]
    token = store.token(TOKEN.hash)
    store.close()
    assert token is not None
    assert token.revoked_at == 5.0


def test_no_id_is_given_out_again_and_the_audit_goes_on(lived: Life) -> None:
    lived.change_present("DELETE FROM allocation WHERE job_id = 7")
    lived.change_present("DELETE FROM job WHERE id > 5")
    carried(lived)
    store = open_store(lived.url, "n1")
    (next_one,) = store.submit([SPEC], 9.0, ADA)
    rows = store.audit()
    store.close()
    assert next_one.id == 8, "jobs 6 and 7 were given out, whatever became of them"
    assert rows[-1].job_id == 8


def test_a_database_of_another_life_gives_what_it_can_and_takes_nobodys_place(lived: Life) -> None:
    lived.change_present("UPDATE job SET submitted_at = 77 WHERE id < 3")
    assert carried(lived) == Carried(newer=(6, 7), moved=(3, 5), strangers=(1, 2))
    store = open_store(lived.url, "n1")
    assert [job.submitted_at for job in store.jobs(JobQuery(ids=(1, 2)))] == [1.0, 1.0]
    store.close()


def test_nothing_changes_in_the_database_that_is_replaced(lived: Life) -> None:
    tables = ("job", "audit", "token", "allocation", "gpu_mark")
    before = [lived.present_rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]  # noqa: S608
    carried(lived)
    assert [lived.present_rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables] == before  # noqa: S608

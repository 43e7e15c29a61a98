"""One verb on many jobs: all of them in few commits, and nothing starts only because others end."""

import pytest
from scene import ADA, BOB, ENV, ROOT, Scene, broken_promises

from dcdaemon.control import change, together
from dcdaemon.control.submit import submit
from dcdaemon.core.errors import Forbidden, NotFound, Refused, StoreUnavailable
from dcdaemon.core.job import ACTIVE, JobState
from dcdaemon.core.ports import JobQuery


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def a_busy_scheduler(scene: Scene) -> None:
    """Have it act after every single job that is changed."""
    acting = []

    def act(_job: object) -> None:
        if not acting:
            acting.append(True)
            scene.advance(600.0)
            acting.clear()

    scene.desk.listeners.append(act)


def an_array(scene: Scene, text: str) -> list[int]:
    ids = [job.id for job in submit(scene.desk, ADA, [scene.wish(array=text, gpus=1)], ENV)]
    scene.cycle()
    return ids


@pytest.mark.parametrize("size", [together.SLICE, 3])
def test_a_whole_array_is_cancelled_and_none_of_it_starts(scene, monkeypatch, size):
    monkeypatch.setattr(together, "SLICE", size)
    ids = an_array(scene, "0-19%2")
    running = [job.id for job in scene.desk.book.active()]
    a_busy_scheduler(scene)
    changed = change.cancel_all(scene.desk, ADA, ids)
    assert ([job.id for job in changed.jobs], changed.refused) == (ids, [])
    scene.advance(600.0)
    jobs = scene.store.jobs(JobQuery(oldest_first=True))
    assert {job.state for job in jobs} == {JobState.CANCELLED}
    assert [job.id for job in jobs if job.attempt] == running


def test_those_that_cannot_be_changed_are_told_and_stop_nobody(scene):
    ids = an_array(scene, "0-9%1")
    scene.cancel(scene.job(ids[3]))
    changed = change.hold_all(scene.desk, ADA, [*ids, 4711])
    assert [job.id for job in changed.jobs] == [job_id for job_id in ids[1:] if job_id != ids[3]]
    assert all(job.held for job in changed.jobs)
    assert [(job_id, type(error)) for job_id, error in changed.refused] == [
        (ids[0], Refused), (ids[3], Refused), (4711, NotFound),
    ]  # fmt: skip
    assert [type(error) for _, error in change.release_all(scene.desk, BOB, ids[1:3]).refused] == [Forbidden] * 2


def test_a_thousand_jobs_take_two_commits(scene, monkeypatch):
    ids = an_array(scene, "0-999%1")
    sizes, save = [], scene.store.save
    monkeypatch.setattr(scene.store, "save", lambda changes: sizes.append(len(changes)) or save(changes))
    change.cancel_all(scene.desk, ROOT, ids)
    assert sizes == [500, 500]


def test_a_job_that_somebody_else_changed_meanwhile_is_tried_again(scene):
    ids = an_array(scene, "0-5%1")
    stale = scene.desk
    change.hold(scene.daemon(), ADA, ids[2])
    changed = change.cancel_all(stale, ADA, ids[1:])
    assert [job.state for job in changed.jobs] == [JobState.CANCELLED] * 5
    scene.daemon()


def test_without_the_database_everything_is_refused_and_stays(scene, monkeypatch):
    ids = an_array(scene, "0-3%1")

    def locked(_changes: object) -> None:
        raise StoreUnavailable("the database is locked", "wait")

    with monkeypatch.context() as broken:
        broken.setattr(scene.store, "save", locked)
        changed = change.cancel_all(scene.desk, ADA, ids)
    assert (changed.jobs, [job_id for job_id, _ in changed.refused]) == ([], ids)
    assert [scene.job(job_id).state in ACTIVE for job_id in ids] == [True, False, False, False]

"""`--after`: a job waits until the jobs it names have succeeded."""

import pytest
from scene import ADA, ENV, Scene, broken_promises

from dcdaemon.control import change
from dcdaemon.control.submit import submit
from dcdaemon.control.why import why
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.fakes.engine import Play

BAD_ENDS = {
    JobState.FAILED: Play(run_s=5.0, exit_code=1),
    JobState.OUT_OF_MEMORY: Play(run_s=5.0, exit_code=None, signal=9, cause="out_of_memory"),
    JobState.TIMED_OUT: Play(run_s=5.0, exit_code=None, signal=15, cause="timed_out"),
}


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def reason(scene: Scene, job: Job):
    return why(scene.desk, scene.job(job))


def test_a_job_waits_for_another_though_there_is_room(scene):
    first = scene.run(Play(run_s=10.0))
    second = scene.run(after=("1",))
    assert second.state is JobState.WAITING
    told = reason(scene, second)
    assert (told.code, told.facts["waits_for"]) == (ReasonCode.DEPENDENCY, [first.id])
    assert told.sentence.startswith("Job 2 waits for job 1.")
    scene.advance(10.0)
    assert scene.state(second) is JobState.RUNNING


def test_a_job_waits_for_every_job_it_names(scene):
    scene.run(Play(run_s=10.0))
    scene.run(Play(run_s=20.0))
    third = scene.run(after=("1-2",))
    scene.advance(10.0)
    assert (scene.state(third), reason(scene, third).facts["waits_for"]) == (JobState.WAITING, [2])
    scene.advance(10.0)
    assert scene.state(third) is JobState.RUNNING


def test_a_job_may_come_after_one_that_has_ended_well_already(scene):
    scene.run(Play(run_s=1.0))
    scene.advance(1.0)
    assert scene.run(after=("last",)).state is JobState.RUNNING


@pytest.mark.parametrize("end", BAD_ENDS)
def test_after_a_bad_end_the_job_keeps_waiting_and_says_why(scene, end):
    first = scene.run(BAD_ENDS[end])
    second = scene.run(after=("1",))
    scene.advance(5.0)
    scene.advance(86_400.0)
    assert (scene.state(first), scene.state(second)) == (end, JobState.WAITING)
    told = reason(scene, second)
    assert (told.code, told.facts["failed_dependency"]) == (ReasonCode.DEPENDENCY_FAILED, 1)
    assert told.sentence == "Job 2 waits for job 1, which did not succeed: requeue that one, or cancel this one."


def test_after_a_cancelled_job_the_next_keeps_waiting(scene):
    scene.cancel(scene.submit(held=True))
    second = scene.run(after=("1",))
    assert reason(scene, second).code is ReasonCode.DEPENDENCY_FAILED


@pytest.mark.parametrize("restart", [False, True])
def test_requeueing_the_failed_job_revives_those_that_come_after_it(scene, restart):
    first = scene.run(Play(run_s=5.0, exit_code=1))
    second = scene.run(after=("1",))
    scene.advance(5.0)
    if restart:
        scene.daemon()
    assert reason(scene, second).code is ReasonCode.DEPENDENCY_FAILED
    scene.plays[first.id] = Play(run_s=5.0)
    change.requeue(scene.desk, ADA, first.id)
    assert reason(scene, second).code is ReasonCode.DEPENDENCY
    scene.cycle()
    scene.advance(5.0)
    assert [scene.state(job) for job in (first, second)] == [JobState.SUCCEEDED, JobState.RUNNING]


def test_a_requeued_job_still_knows_after_a_restart_that_its_dependency_succeeded(scene):
    scene.run(Play(run_s=1.0))
    scene.advance(1.0)
    second = scene.run(Play(run_s=1.0, exit_code=1), after=("1",))
    scene.advance(1.0)
    scene.daemon()
    change.requeue(scene.desk, ADA, second.id)
    scene.cycle()
    assert (scene.state(second), scene.job(second).attempt) == (JobState.RUNNING, 2)


def test_a_dependency_that_fails_the_second_time_is_not_remembered_as_the_first(scene):
    first = scene.run(Play(run_s=1.0))
    scene.advance(1.0)
    second = scene.run(Play(run_s=None), after=("1",))
    scene.daemon()
    scene.plays[first.id] = Play(run_s=1.0, exit_code=1)
    change.requeue(scene.desk, ADA, first.id)
    scene.cycle()
    scene.advance(1.0)
    scene.cancel(second)
    scene.cycle()
    change.requeue(scene.desk, ADA, second.id)
    scene.cycle()
    assert reason(scene, second).code is ReasonCode.DEPENDENCY_FAILED


def test_jobs_of_one_request_may_not_name_each_other_but_later_ones_may(scene):
    chain = [scene.submit(Play(run_s=1.0))]
    for _ in range(5):
        chain += submit(scene.desk, ADA, [scene.wish(after=("last",))], ENV)
        scene.plays[chain[-1].id] = Play(run_s=1.0)
    scene.cycle()
    for _ in chain:
        scene.advance(1.0)
    assert [scene.state(job) for job in chain] == [JobState.SUCCEEDED] * 6
    ends = [scene.job(job).ended_at for job in chain]
    assert ends == [ends[0] + place for place in range(6)]


def test_after_a_restart_a_waiting_job_goes_on_waiting_for_a_running_one(scene):
    scene.run(Play(run_s=10.0))
    second = scene.run(after=("1",))
    scene.daemon()
    assert reason(scene, second).code is ReasonCode.DEPENDENCY
    scene.advance(10.0)
    assert scene.state(second) is JobState.RUNNING


ENDS = {
    JobState.SUCCEEDED: Play(run_s=5.0),
    **BAD_ENDS,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["after", "after_any", "after_not_ok"])
def test_each_kind_of_waiting_wants_its_own_end(scene, kind, end):
    scene.run(ENDS[end])
    second = scene.run(**{kind: ("1",)})
    assert (scene.state(second), reason(scene, second).code) == (JobState.WAITING, ReasonCode.DEPENDENCY)
    scene.advance(5.0)
    wanted = {"after": end is JobState.SUCCEEDED, "after_any": True, "after_not_ok": end is not JobState.SUCCEEDED}
    if wanted[kind]:
        assert scene.state(second) is JobState.RUNNING
    else:
        assert reason(scene, second).code is ReasonCode.DEPENDENCY_FAILED


def test_a_cancelled_job_has_ended_without_success(scene):
    scene.cancel(scene.submit(held=True))
    assert [scene.run(**{kind: ("1",)}).state for kind in ("after_any", "after_not_ok")] == [JobState.RUNNING] * 2


def test_after_a_success_that_was_to_be_a_failure_the_job_says_so(scene):
    scene.run(Play(run_s=5.0))
    second = scene.run(after_not_ok=("1",))
    told = reason(scene, second)
    assert told.sentence.startswith("Job 2 waits for job 1.")
    assert (told.unblock.finish_dependencies, told.unblock.fail_dependencies) == ((), (1,))
    assert told.remedy == "It would start now if job 1 failed."
    scene.advance(5.0)
    told = reason(scene, second)
    assert told.sentence == "Job 2 waits for job 1 to fail, and it succeeded: requeue that one, or cancel this one."
    assert told.note == "job 1 succeeded"


def test_a_job_may_wait_for_jobs_in_every_way_at_once(scene):
    scene.run(Play(run_s=5.0))
    scene.run(Play(run_s=10.0, exit_code=1))
    scene.run(Play(run_s=15.0, exit_code=1))
    last = scene.run(after=("1",), after_any=("2",), after_not_ok=("3",))
    told = reason(scene, last)
    assert (told.facts["waits_for"], told.unblock.end_dependencies) == ([1, 3, 2], (2,))
    scene.advance(5.0)
    scene.advance(5.0)
    assert reason(scene, last).facts["waits_for"] == [3]
    scene.advance(5.0)
    assert scene.state(last) is JobState.RUNNING


def test_a_job_that_ends_and_runs_again_releases_nobody(scene):
    """The end and the new place in the queue come in one commit; nothing is decided in between."""
    first = scene.run(Play(run_s=None), requeue=True)
    second = scene.run(after_any=("1",))
    scene.engine.reboot()
    scene.daemon()
    scene.cycle()
    assert (scene.state(first), scene.job(first).attempt) == (JobState.RUNNING, 2)
    assert (scene.state(second), reason(scene, second).code) == (JobState.WAITING, ReasonCode.DEPENDENCY)


def test_a_job_that_runs_again_still_waits_for_what_it_waited_for(scene):
    """Its end makes the book forget what nobody waits for any more; its return has to remember."""
    scene.run(Play(run_s=1.0))
    scene.advance(1.0)
    second = scene.run(Play(run_s=None), after=("1",), requeue=True)
    scene.engine.reboot()
    scene.daemon()
    scene.cycle()
    assert (scene.state(second), scene.job(second).attempt) == (JobState.RUNNING, 2)


def test_a_job_is_ready_when_the_last_it_waits_for_is_over(scene):
    """Not when it was submitted: it has waited for room only since then."""
    scene.run(Play(run_s=50.0), gpus=0)
    scene.run(gpus=4)
    third = scene.submit(after=("1",))
    scene.advance(60.0)
    ready_at = scene.desk.book.queue.get(third.id).queued_at
    assert ready_at == scene.job(1).ended_at == third.submitted_at + 50.0
    scene.daemon()
    assert scene.desk.book.queue.get(third.id).queued_at == ready_at


def test_after_all_of_nothing_is_after_nothing(scene):
    assert scene.run(after=("all",)).state is JobState.RUNNING


def test_the_book_forgets_what_nobody_waits_for_any_more(scene):
    for _ in range(5):
        scene.run(Play(run_s=1.0))
        scene.run(Play(run_s=1.0), after_any=("last",))
        scene.advance(1.0)
        scene.advance(1.0)
    assert (scene.desk.book._known, scene.desk.book._dependents) == ({}, {})

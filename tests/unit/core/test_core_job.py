"""The moves a job may make, and what each clears."""

from dataclasses import replace

import pytest

from dcdaemon.core.errors import Refused
from dcdaemon.core.job import ACTIVE, ENDED, MOVES, SLURM_CODES, UNFINISHED, Job, JobSpec, JobState, Usage, placed

S = JobState
SPEC = JobSpec(argv=("train.py",), cwd="/", uid=1, gid=1, user="ada", name="train", env_ref="e", gpus=1)
END_STATES = {
    S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.OUT_OF_MEMORY, S.PREEMPTED, S.INTERRUPTED, S.LOST,
}  # fmt: skip
#: Written out by hand, so that a change of the table has to be meant.
ALLOWED = {
    (S.WAITING, S.STARTING), (S.WAITING, S.CANCELLED),
    (S.STARTING, S.RUNNING), (S.STARTING, S.STOPPING), (S.STARTING, S.WAITING),
    (S.RUNNING, S.STOPPING), (S.RUNNING, S.WAITING),
    *((before, after) for before in (S.STARTING, S.RUNNING, S.STOPPING) for after in END_STATES),
    *((before, S.WAITING) for before in END_STATES),
}  # fmt: skip
EVERY_MOVE = [(before, after) for before in JobState for after in JobState]


def job(state: JobState, **values) -> Job:
    return replace(Job(id=7, node="node1", spec=SPEC, state=state, submitted_at=100.0), **values)


def move(one: Job, state: JobState) -> Job:
    """Make the move with the verb that is meant for it."""
    match state:
        case S.STARTING:
            return one.mark_starting("node1", (0,), simulated=False)
        case S.RUNNING:
            return one.mark_running(4711, 200.0)
        case S.STOPPING:
            return one.mark_stopping()
        case S.WAITING if one.state not in ENDED:
            return one.mark_unstarted()
        case S.WAITING:
            return one.mark_requeued(300.0)
        case _:
            return one.mark_ended(state, 300.0)


def test_the_sets_of_states_are_what_they_say():
    assert ENDED == END_STATES
    assert sorted(ACTIVE) == sorted([S.STARTING, S.RUNNING, S.STOPPING])
    assert ACTIVE | {S.WAITING} == UNFINISHED
    assert MOVES.keys() == set(JobState)
    assert set(SLURM_CODES.values()) <= set(JobState)


@pytest.mark.parametrize(("before", "after"), [pair for pair in EVERY_MOVE if pair in ALLOWED])
def test_an_allowed_move_makes_the_next_version(before, after):
    moved = move(job(before, attempt=1), after)
    assert (moved.state, moved.version) == (after, 2)


@pytest.mark.parametrize(("before", "after"), [pair for pair in EVERY_MOVE if pair not in ALLOWED])
def test_any_other_move_is_refused(before, after):
    with pytest.raises(Refused) as caught:
        move(job(before, attempt=1), after)
    assert caught.value.message == f"job 7 is {before} and cannot become {after}"
    assert caught.value.hint == "dcd show 7 tells its whole story"


def test_a_new_attempt_clears_what_the_last_one_left():
    left = job(
        S.WAITING, attempt=1, started_at=1.0, ended_at=2.0, run_s=1.0, pid=9, exit_code=1, signal=None,
        cause="x", reported={"loss": 1.0},
    )  # fmt: skip
    starting = left.mark_starting("node1", (2, 3), simulated=True)
    assert starting == replace(
        left, state=S.STARTING, version=2, gpus=(2, 3), simulated=True, attempt=2,
        started_at=None, ended_at=None, run_s=None, pid=None, exit_code=None, cause=None, reported={},
    )  # fmt: skip


def test_an_attempt_that_never_happened_does_not_count():
    waiting = job(S.WAITING).mark_starting("node1", (2,), simulated=False).mark_unstarted()
    assert (waiting.attempt, waiting.gpus, waiting.state) == (0, (), S.WAITING)


def test_the_end_keeps_the_gpus_as_history_and_the_known_start():
    running = job(S.STARTING, gpus=(2,), attempt=1).mark_running(4711, 200.0)
    ended = running.mark_ended(S.FAILED, 260.0, run_s=60.0, exit_code=3, cause="exit")
    assert (ended.gpus, ended.started_at, ended.ended_at) == ((2,), 200.0, 260.0)
    assert (ended.run_s, ended.exit_code, ended.signal, ended.cause) == (60.0, 3, None, "exit")
    assert running.mark_ended(S.LOST, 260.0, started_at=199.5).started_at == 199.5


def test_a_requeued_job_queues_again_and_is_not_held():
    requeued = job(S.FAILED, gpus=(2,), held=True, queued_at=100.0).mark_requeued(300.0)
    assert (requeued.queued_at, requeued.gpus, requeued.held) == (300.0, (), False)


def test_only_a_waiting_job_can_be_held():
    held = job(S.WAITING).with_hold(held=True)
    assert (held.held, held.version) == (True, 2)
    assert held.with_hold(held=False).held is False
    for state in set(JobState) - {S.WAITING}:
        with pytest.raises(Refused, match="only a waiting job can be held or released"):
            job(state).with_hold(held=True)


def test_reports_keep_the_last_value_of_each_quantity():
    reported = job(S.RUNNING).with_report({"loss": 2.0, "step": 1}).with_report({"loss": 1.5})
    assert (reported.reported, reported.version) == ({"loss": 1.5, "step": 1}, 3)


def test_the_newest_report_comes_first_because_a_table_has_no_room_for_all():
    reported = job(S.RUNNING).with_report({"train_loss": 2.0, "loss": 3.0}).with_report({"accuracy": 0.9, "loss": 1.0})
    assert list(reported.reported) == ["accuracy", "loss", "train_loss"]


def test_mean_utilisation_is_over_sampled_time_and_unknown_without_any():
    assert Usage(7, gpu_s=100.0, util_s=20.0, sampled_s=80.0).gpu_util_ratio == 0.25
    assert Usage(7, gpu_s=100.0).gpu_util_ratio is None


def test_a_job_is_called_by_its_id_or_by_its_place_in_its_array():
    assert job(S.WAITING).label == "7"
    assert replace(job(S.WAITING), spec=replace(SPEC, array_id=5, array_index=3)).label == "5_3"


def test_jobs_of_one_request_that_name_each_other_by_place_get_the_ids():
    spec = replace(SPEC, array_id=-1, array_index=0, after=(4, -2), after_any=(-3,), after_not_ok=(9,))
    made = placed(spec, [101, 102, 103])
    assert (made.array_id, made.after, made.after_any, made.after_not_ok) == (101, (4, 102), (103,), (9,))


def test_a_job_that_names_no_other_of_its_request_stays_as_it_is():
    spec = replace(SPEC, after=(4,), array_id=4, array_index=1)
    assert placed(spec, [101]) is spec

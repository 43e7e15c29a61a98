"""Every store tells the last runs alike, the oldest first, and keeps what was predicted of a job."""

from dataclasses import replace

import pytest

from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, JobChange, Store, UsageDelta
from dcdaemon.core.prediction import PastPeak, PastRun, Prediction, Source

ADA = Actor(uid=1001, gid=100, user="ada")
BY_LIMIT = Prediction(60.5, Source.LIMIT, 0.5)


def spec(name: str = "x", limit_s: float | None = None) -> JobSpec:
    return JobSpec(argv=("python", "träin.py", name), cwd="/", uid=1001, gid=100, user="ada", name=name, env_ref="e",
                   gpus=2, limit_s=limit_s)  # fmt: skip


def ran(
    store: Store, ended_at: float, state: JobState = JobState.SUCCEEDED, run_s: float | None = 5.0, gpus: int = 2
) -> Job:
    """Submit a job, start it and end it."""
    [job] = store.submit([replace(spec(f"at {ended_at}", 90.0), gpus=gpus)], 1.0, ADA, [BY_LIMIT])
    for after in (
        lambda job: job.mark_starting(job.node, (), simulated=False),
        lambda job: job.mark_running(1, 2.0),
        lambda job: job.mark_ended(state, ended_at, run_s=run_s),
    ):
        [saved] = store.save([JobChange(job, after(job), ended_at)])
        assert saved is not None
        job = saved
    return job


def test_what_was_predicted_is_read_back_as_it_was_answered(store: Store) -> None:
    jobs = store.submit([spec(), spec()], 1.0, ADA, [BY_LIMIT, Prediction(7200.0, Source.PRIOR, 2.0)])
    assert [(job.predicted_s, job.predicted_by) for job in jobs] == [(60.5, "limit"), (7200.0, "prior")]
    assert [store.job(job.id) for job in jobs] == jobs
    [single] = store.submit([spec()], 1.0, ADA, [BY_LIMIT])
    assert store.job(single.id) == single
    [without] = store.submit([spec()], 1.0, ADA)
    assert (without.predicted_s, without.predicted_by) == (None, None)
    assert store.job(without.id) == without


def test_jobs_are_not_stored_with_the_predictions_of_others(store: Store) -> None:
    with pytest.raises(ValueError, match="zip"):
        store.submit([spec(), spec()], 1.0, ADA, [BY_LIMIT])
    assert store.past_runs(10) == []
    assert store.facts().jobs == 0


def test_the_last_runs_are_told_the_oldest_first(store: Store) -> None:
    for ended_at in (30.0, 10.0, 20.0):
        ran(store, ended_at)
    assert [run.argv[-1] for run in store.past_runs(10)] == ["at 10.0", "at 20.0", "at 30.0"]
    assert [run.argv[-1] for run in store.past_runs(2)] == ["at 20.0", "at 30.0"]


def test_a_run_is_told_with_all_that_is_learned_from(store: Store) -> None:
    ran(store, 30.0, JobState.TIMED_OUT, 7.25)
    told = PastRun("ada", ("python", "träin.py", "at 30.0"), 2, 90.0, JobState.TIMED_OUT, 7.25, 60.5, "limit")
    assert store.past_runs(1) == [told]


def test_what_did_not_run_or_runs_again_is_no_run(store: Store) -> None:
    store.submit([spec()], 1.0, ADA)
    ran(store, 30.0, JobState.LOST, None)
    again = ran(store, 40.0)
    store.save([JobChange(again, again.mark_requeued(50.0), 50.0)])
    assert store.past_runs(10) == []


def test_peaks_are_told_of_runs_on_one_gpu_that_ended_well_the_newest_first(store: Store) -> None:
    peaks = {
        ran(store, 30.0, gpus=1).id: 7 << 30,
        ran(store, 10.0, gpus=1).id: 5 << 30,
        ran(store, 20.0, gpus=1).id: None,
        ran(store, 40.0, gpus=2).id: 9 << 30,
        ran(store, 50.0, JobState.OUT_OF_MEMORY, gpus=1).id: 80 << 30,
    }
    store.book([], [UsageDelta(job_id, 1.0, 1.0, peak) for job_id, peak in peaks.items()])
    told = [PastPeak(("python", "träin.py", f"at {at}"), peak) for at, peak in ((30.0, 7 << 30), (10.0, 5 << 30))]
    assert store.past_peaks("ada", 100) == told
    assert store.past_peaks("ada", 4) == told[1:], "of the last four jobs only"
    assert store.past_peaks("bob", 100) == []

"""Every store counts GPU time by account, user and hour: in the commit that ends an attempt, and each attempt once."""

from dataclasses import replace

import pytest

from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.gpu_time import GpuTime
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, JobChange, Store

ADA = Actor(uid=1001, gid=100, user="ada")
HOUR_S = 3600.0
#: The first second of an hour.
HOUR = 1_699_999_200.0
GIB = 1024**3


def a_running_job(store: Store, *gpus: int, at: float = HOUR, **asked: object) -> Job:
    spec = JobSpec(("x",), "/", 1001, 100, "ada", "x", "e1", **{"gpus": len(gpus), "account": "vision", **asked})  # type: ignore[arg-type]
    (job,) = store.submit([spec], HOUR - 10, ADA)
    job = saved(store, job, job.mark_starting(job.node, gpus, simulated=True))
    return saved(store, job, job.mark_running(7, at))


def saved(store: Store, before: Job, after: Job) -> Job:
    (job,) = store.save([JobChange(before, after, HOUR)])
    assert job is not None
    return job


def used(store: Store, since: float = 0.0, step_s: int = 3600) -> list[GpuTime]:
    found = store.gpu_time(since, step_s)
    return sorted((replace(one, gpu_s=round(one.gpu_s, 3)) for one in found), key=lambda one: (one.user, one.at))


def test_nothing_was_used_before_a_job_has_ended(store: Store) -> None:
    a_running_job(store, 0)
    assert used(store) == []


def test_an_attempt_counts_in_the_hours_in_which_it_ran(store: Store) -> None:
    job = a_running_job(store, 0, 1, at=HOUR + 3000)
    saved(store, job, job.mark_ended(JobState.SUCCEEDED, HOUR + 2 * HOUR_S + 60, run_s=4260.0))
    assert used(store) == [
        GpuTime("vision", "ada", HOUR + HOUR_S / 2, 1200.0),
        GpuTime("vision", "ada", HOUR + 1.5 * HOUR_S, 7200.0),
        GpuTime("vision", "ada", HOUR + 2.5 * HOUR_S, 120.0),
    ]
    [whole] = used(store, step_s=30 * 24 * 3600)
    assert (whole.gpu_s, HOUR < whole.at < HOUR + 2 * HOUR_S) == (8520.0, True)


def test_jobs_of_one_hour_add_up_and_each_payer_stands_alone(store: Store) -> None:
    for gpu, account in enumerate(("vision", "vision", "")):
        job = a_running_job(store, gpu, account=account)
        saved(store, job, job.mark_ended(JobState.FAILED, HOUR + 100, run_s=100.0))
    assert {(one.account, one.gpu_s) for one in used(store)} == {("vision", 200.0), ("", 100.0)}


def test_every_attempt_of_a_job_counts_once(store: Store) -> None:
    job = a_running_job(store, 0)
    for attempt in (1, 2):
        ended = job.mark_ended(JobState.PREEMPTED, HOUR + 50, run_s=50.0)
        (job,) = (again for again in [saved(store, job, ended)])
        job = saved(store, job, job.mark_requeued(HOUR + 60))
        job = saved(store, job, job.mark_starting(job.node, (0,), simulated=True))
        job = saved(store, job, job.mark_running(8, HOUR))
        assert used(store)[0].gpu_s == 50.0 * attempt


def test_a_change_that_came_too_late_counts_nothing(store: Store) -> None:
    job = a_running_job(store, 0)
    ended = job.mark_ended(JobState.SUCCEEDED, HOUR + 100, run_s=100.0)
    assert store.save([JobChange(job, ended, HOUR), JobChange(job, ended, HOUR)]) == [ended, None]
    assert used(store)[0].gpu_s == 100.0


@pytest.mark.parametrize("gpus", [(), (0,)])
def test_a_job_that_used_no_gpu_or_never_ran_counts_nothing(store: Store, gpus: tuple[int, ...]) -> None:
    job = a_running_job(store)
    saved(store, job, job.mark_ended(JobState.SUCCEEDED, HOUR + 100, run_s=100.0))
    (spec,) = [replace(job.spec, gpus=len(gpus))]
    (other,) = store.submit([spec], HOUR, ADA)
    other = saved(store, other, other.mark_starting(other.node, gpus, simulated=True))
    saved(store, other, other.mark_ended(JobState.FAILED, HOUR + 100, run_s=None))
    assert used(store) == []


def test_a_share_of_a_gpu_counts_as_its_part_of_the_memory(store: Store) -> None:
    store.save_gpus([GpuInfo(0, "GPU-0", "H100", 80 * GIB)], HOUR)
    for gpu, counted in ((0, 25.0), (1, 100.0)):
        job = a_running_job(store, gpu, gpu_mem_bytes=20 * GIB, account=str(gpu))
        saved(store, job, job.mark_ended(JobState.SUCCEEDED, HOUR + 100, run_s=100.0))
        assert [one.gpu_s for one in used(store) if one.account == str(gpu)] == [counted]


def test_only_what_was_used_lately_is_asked_for(store: Store) -> None:
    job = a_running_job(store, 0)
    saved(store, job, job.mark_ended(JobState.SUCCEEDED, HOUR + 5 * HOUR_S, run_s=5 * HOUR_S))
    assert sum(one.gpu_s for one in used(store, HOUR + 4 * HOUR_S)) == 2 * HOUR_S
    assert used(store, HOUR + 9 * HOUR_S) == []


def test_what_was_used_two_years_ago_goes(store: Store) -> None:
    job = a_running_job(store, 0)
    saved(store, job, job.mark_ended(JobState.SUCCEEDED, HOUR + 2 * HOUR_S, run_s=2 * HOUR_S))
    assert store.prune(HOUR + 730 * 24 * HOUR_S + 60) == 1
    assert [one.at for one in used(store)] == [HOUR + 1.5 * HOUR_S]


def test_a_clock_that_went_wild_does_not_fill_the_table(store: Store) -> None:
    job = a_running_job(store, 0, at=0.0)
    saved(store, job, job.mark_ended(JobState.LOST, HOUR))
    assert len(used(store)) == 400 * 24

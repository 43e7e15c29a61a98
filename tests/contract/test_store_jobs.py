"""Every store keeps jobs alike: what is answered is stored, a change comes once, a GPU has one holder."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcdaemon.core.audit import AuditRow
from dcdaemon.core.job import ENDED, UNFINISHED, Fate, Job, JobSpec, JobState
from dcdaemon.core.ports import DAEMON, Actor, JobChange, JobQuery, Store

ADA = Actor(uid=1001, gid=100, user="ada")
BOB = Actor(uid=1002, gid=100, user="bob", operator=True, via="token")


def a_spec(**asked: object) -> JobSpec:
    given_by_default: dict[str, object] = {
        "argv": ("python", "träin.py", "--lr", "0.1"), "cwd": "/home/ada", "uid": 1001, "gid": 100,
        "user": "ada", "name": "train", "env_ref": "e1", "gpus": 1,
    }  # fmt: skip
    return JobSpec(**{**given_by_default, **asked})  # type: ignore[arg-type]


def submit(store: Store, **asked: object) -> Job:
    (job,) = store.submit([a_spec(**asked)], 1000.0, ADA)
    return job


def save(store: Store, before: Job, after: Job) -> Job | None:
    (saved,) = store.save([JobChange(before, after, 2000.0)])
    return saved


def start(store: Store, job: Job, *gpus: int) -> Job | None:
    return save(store, job, job.mark_starting(job.node, gpus, simulated=True))


def test_a_new_job_waits_and_is_read_back_as_it_was_answered(store: Store) -> None:
    spec = a_spec(
        cpus=8, mem_bytes=64 << 30, limit_s=3600.5, grace_s=5.0, priority=70, after=(7, 9),
        log_path="/home/ada/x.log", requeue=True, held=True,
    )  # fmt: skip
    (job,) = store.submit([spec], 1000.25, ADA)
    assert job == Job(
        id=job.id, node="n1", spec=spec, state=JobState.WAITING, submitted_at=1000.25,
        queued_at=1000.25, held=True, priority=70,
    )  # fmt: skip
    assert store.job(job.id) == job


def test_everything_that_can_be_asked_for_is_kept(store: Store) -> None:
    submit(store)
    spec = a_spec(
        queue="urgent", account="vision", begin_at=2e9 + 0.25, array_id=1, array_index=3, array_limit=5, after=(1,),
        after_any=(1,), after_not_ok=(1,), gpu_mem_bytes=10 << 30, preemptible=True, checkpoint_signal="USR1",
        checkpoint_s=90.5, launcher="torchrun", ranks=4, hang_after_s=1800.5,
        deadline_at=2e9 + 7200.5, gpu_mem_runs=3,
    )  # fmt: skip
    (job,) = store.submit([spec], 1000.0, ADA)
    assert job.spec == spec
    assert store.job(job.id) == job


def test_what_was_foretold_and_what_preemption_cost_is_kept(store: Store) -> None:
    job = submit(store)
    foretold = replace(
        job, version=job.version + 1, predicted_s=3600.5, predicted_by="history", forecast_at=2000.25,
        forecast_low_at=1500.0, forecast_high_at=2500.0, preempted=2, lost_s=120.5,
    )  # fmt: skip
    assert save(store, job, foretold) == foretold
    assert store.job(job.id) == foretold


def test_jobs_that_each_ask_for_a_part_of_it_share_a_gpu(store: Store) -> None:
    ten, twenty, whole = (submit(store, gpu_mem_bytes=share) for share in (10 << 30, 20 << 30, None))
    first, second = start(store, ten, 3), start(store, twenty, 3)
    assert first is not None
    assert second is not None
    assert start(store, whole, 3) is None, "whole GPUs are not shared"
    assert save(store, first, first.mark_ended(JobState.FAILED, 3000.0)) is not None
    assert start(store, whole, 3) is None, "one of them is still there"
    assert save(store, second, second.mark_ended(JobState.FAILED, 3000.0)) is not None
    assert start(store, whole, 3) is not None


def test_an_instance_is_given_once_and_comes_back(store: Store) -> None:
    first, second, third = (submit(store, gpu_mem_bytes=5 << 30) for _ in range(3))

    def start_on(job: Job, instance: str) -> Job | None:
        return save(store, job, job.mark_starting(job.node, (3,), simulated=False, gpu_instance=instance))

    started = start_on(first, "9/0")
    assert started is not None
    assert (started.gpu_instance, store.job(first.id)) == ("9/0", started)
    assert start_on(second, "9/0") is None
    assert store.job(second.id) == second
    assert start_on(second, "10/0") is not None
    assert start(store, submit(store), 3) is None, "the refused job left the GPU to nobody"
    ended = save(store, started, started.mark_ended(JobState.SUCCEEDED, 1600.0))
    assert ended is not None
    assert ended.gpu_instance == "9/0"
    assert start_on(third, "9/0") is not None
    again = save(store, ended, ended.mark_requeued(1700.0))
    assert again is not None
    assert again.gpu_instance is None


def test_no_share_is_given_of_a_gpu_that_a_job_has_whole(store: Store) -> None:
    whole, share = submit(store), submit(store, gpu_mem_bytes=10 << 30)
    assert start(store, whole, 0, 1) is not None
    assert start(store, share, 1) is None
    assert start(store, share, 2) is not None


def test_jobs_of_one_request_may_name_each_other_by_place(store: Store) -> None:
    submit(store)
    array = [a_spec(array_id=-1, array_index=index, array_limit=2) for index in range(3)]
    last = a_spec(after=(-1, -2, -3), after_any=(-5,), after_not_ok=(1,))
    jobs = store.submit([*array, last, a_spec()], 1000.0, ADA)
    ids = [job.id for job in jobs]
    assert [job.spec.array_id for job in jobs] == [ids[0], ids[0], ids[0], None, None]
    assert (jobs[3].spec.after, jobs[3].spec.after_any, jobs[3].spec.after_not_ok) == (tuple(ids[:3]), (ids[4],), (1,))
    assert store.jobs(JobQuery(ids=tuple(ids), oldest_first=True)) == jobs


def test_the_jobs_of_an_array_are_found(store: Store) -> None:
    submit(store)
    jobs = store.submit([a_spec(array_id=-1, array_index=index) for index in (4, 7)], 1000.0, ADA)
    submit(store)
    assert store.jobs(JobQuery(array_id=jobs[0].id, oldest_first=True)) == jobs
    assert store.jobs(JobQuery(array_id=jobs[1].id)) == []


def test_ids_follow_the_order_of_the_specs(store: Store) -> None:
    specs = [a_spec(name=f"job {number}") for number in range(1100)]
    jobs = store.submit(specs, 1000.0, ADA)
    assert [job.spec.name for job in jobs] == [spec.name for spec in specs]
    assert [job.id for job in jobs] == sorted({job.id for job in jobs})
    assert store.jobs(JobQuery(oldest_first=True)) == jobs


def test_submitting_nothing_stores_nothing(store: Store) -> None:
    assert store.submit([], 1000.0, ADA) == []
    assert store.jobs(JobQuery()) == []


def test_an_unknown_job_is_none(store: Store) -> None:
    assert store.job(4711) is None
    assert store.fates([4711]) == {}


def test_every_field_of_a_job_survives_its_life(store: Store) -> None:
    job = submit(store, gpus=2)
    starting = job.mark_starting("n1", (3, 1), simulated=True)
    running = starting.mark_running(4242, 1500.125)
    told = running.with_report({"loss": 0.25, "epoch": 3, "note": "ok", "none": None})
    ended = told.mark_ended(JobState.FAILED, 1600.5, run_s=100.375, exit_code=1, signal=9, cause="crash")
    for before, after in [(job, starting), (starting, running), (running, told), (told, ended)]:
        assert save(store, before, after) == after
        assert store.job(job.id) == after
    assert store.fates([job.id]) == {job.id: Fate(JobState.FAILED, 1600.5)}


def test_a_change_to_an_older_version_is_refused(store: Store) -> None:
    job = submit(store)
    held = job.with_hold(held=True)
    assert save(store, job, held) == held
    assert save(store, job, replace(job, priority=99, version=job.version + 1)) is None
    assert store.job(job.id) == held


def test_a_change_to_an_unknown_job_is_refused(store: Store) -> None:
    ghost = replace(submit(store), id=4711)
    assert start(store, ghost, 0) is None
    other = submit(store)
    assert start(store, other, 0) is not None, "the ghost kept the GPU"


def test_a_gpu_is_never_given_twice(store: Store) -> None:
    first, second = submit(store), submit(store, gpus=2)
    assert start(store, first, 1) is not None
    assert start(store, second, 0, 1) is None
    assert store.job(second.id) == second
    third = submit(store)
    assert start(store, third, 0) is not None, "the refused job kept a GPU"


def test_the_same_gpu_of_another_node_is_another_gpu(store: Store) -> None:
    first, second = submit(store), submit(store)
    assert start(store, first, 0) is not None
    elsewhere = second.mark_starting("n2", (0,), simulated=False)
    assert save(store, second, elsewhere) == elsewhere


@pytest.mark.parametrize("end", sorted(ENDED))
def test_an_ended_job_gives_its_gpus_back(store: Store, end: JobState) -> None:
    first, second = submit(store, gpus=2), submit(store, gpus=2)
    starting = start(store, first, 0, 1)
    assert starting is not None
    ended = save(store, starting, starting.mark_ended(end, 1600.0))
    assert ended is not None
    assert ended.gpus == (0, 1)
    assert start(store, second, 0, 1) is not None


def test_an_unstarted_job_gives_its_gpus_back(store: Store) -> None:
    first, second = submit(store), submit(store)
    starting = start(store, first, 0)
    assert starting is not None
    assert save(store, starting, starting.mark_unstarted()) is not None
    assert start(store, second, 0) is not None


def test_each_change_of_a_batch_stands_alone(store: Store) -> None:
    first, second, third = submit(store), submit(store), submit(store)
    saved = store.save([
        JobChange(first, first.mark_starting("n1", (0,), simulated=True), 2000.0),
        JobChange(second, second.mark_starting("n1", (0,), simulated=True), 2000.0),
        JobChange(third, third.with_hold(held=True), 2000.0),
    ])  # fmt: skip
    assert [job.state if job else None for job in saved] == [JobState.STARTING, None, JobState.WAITING]
    assert store.job(second.id) == second


def test_a_gpu_freed_in_a_batch_is_free_for_the_next_change(store: Store) -> None:
    first, second = submit(store), submit(store)
    held = start(store, first, 0)
    assert held is not None
    saved = store.save([
        JobChange(held, held.mark_ended(JobState.SUCCEEDED, 1600.0), 2000.0),
        JobChange(second, second.mark_starting("n1", (0,), simulated=True), 2000.0),
    ])  # fmt: skip
    assert None not in saved


def test_jobs_are_found_by_what_is_asked(store: Store) -> None:
    ada = submit(store, name="a")
    (bob,) = store.submit([a_spec(user="bob", uid=1002, name="b")], 1100.0, BOB)
    started = start(store, ada, 0)
    assert started is not None
    ended = save(store, started, started.mark_ended(JobState.SUCCEEDED, 1600.0))

    def found(**query: object) -> list[Job]:
        return store.jobs(JobQuery(**query))  # type: ignore[arg-type]

    assert found() == [bob, ended]
    assert found(oldest_first=True) == [ended, bob]
    assert found(limit=1) == [bob]
    assert found(limit=0) == []
    assert found(ids=(ada.id, 4711)) == [ended]
    assert found(states=UNFINISHED) == [bob]
    assert found(user="ada") == found(uid=1001) == found(name="a") == [ended]
    assert found(user="ada", name="b") == []
    assert found(submitted_since=1100.0) == [bob]
    assert found(ended_since=1600.0) == [ended]
    assert found(ended_since=1600.5) == []


def test_fates_of_many_ids(store: Store) -> None:
    jobs = store.submit([a_spec()] * 3, 1000.0, ADA)
    assert store.fates(range(1, 70_000)) == {job.id: Fate(JobState.WAITING) for job in jobs}


def test_environments_are_needed_by_unfinished_jobs_and_those_that_ended_lately(store: Store) -> None:
    jobs = [submit(store, env_ref=ref) for ref in ("waiting", "old", "late", "again")]
    starting = [start(store, job, gpu) for gpu, job in enumerate(jobs[1:4])]
    assert None not in starting
    ends = zip(starting, (100.0, 200.0, 100.0), strict=True)
    ended = [save(store, job, job.mark_ended(JobState.FAILED, at)) for job, at in ends if job]
    assert ended[2] is not None
    assert save(store, ended[2], ended[2].mark_requeued(300.0)) is not None
    assert store.env_refs(ended_since=200.0) == {"waiting", "late", "again"}
    assert store.env_refs(ended_since=100.0) == {"waiting", "old", "late", "again"}


def test_the_audit_tells_who_did_what(store: Store) -> None:
    job = submit(store)
    held = job.with_hold(held=True)
    store.save([JobChange(job, held, 2000.0, BOB, "hold")])
    cancelled = replace(held, state=JobState.CANCELLED, version=held.version + 1)
    store.save([JobChange(held, cancelled, 3000.0, None, "cancel")])
    store.save([JobChange(held, cancelled, 4000.0, BOB, "too late")])
    submitted, hold, cancel = store.audit(job_id=job.id)
    asked = {"state": "waiting", "held": False, "priority": 50, "name": "train", "gpus": 1, "queue": "", "account": ""}
    subject = f"job {job.id}"
    assert submitted == AuditRow(
        1000.0, 1001, "ada", "socket", "submit", job.id, {}, submitted.id, subject=subject, after=asked
    )
    detail = {"from": "waiting", "to": "waiting"}
    assert hold == AuditRow(
        2000.0, 1002, "bob", "token", "hold", job.id, detail, hold.id, subject=subject,
        before={"held": False}, after={"held": True},
    )  # fmt: skip
    assert cancel.before == {"state": "waiting"}
    assert cancel.after == {"state": "cancelled"}
    assert (cancel.user, cancel.via) == (DAEMON.user, DAEMON.via)
    assert cancel.detail == {"from": "waiting", "to": "cancelled"}
    assert store.audit(since=2000.0) == [hold, cancel]
    assert store.audit(job_id=4711) == []


text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(argv=st.lists(text, min_size=1, max_size=4), name=text, cwd=text, mem=st.integers(0, 2**62))
def test_any_text_a_shell_can_pass_is_kept(store: Store, argv: list[str], name: str, cwd: str, mem: int) -> None:
    (job,) = store.submit([a_spec(argv=tuple(argv), name=name, cwd=cwd, mem_bytes=mem)], 1.0, ADA)
    assert store.job(job.id) == job


def test_ids_that_are_reserved_are_given_to_nobody(store):
    first = store.submit([JobSpec(("x",), "/", 1, 1, "u", "x", "e")], 1.0, ADA)[0].id
    store.reserve_job_ids(first + 10)
    store.reserve_job_ids(first)
    later = [job.id for job in store.submit([JobSpec(("x",), "/", 1, 1, "u", "x", "e")] * 2, 2.0, ADA)]
    assert min(later) > first + 10
    assert later[1] > later[0]

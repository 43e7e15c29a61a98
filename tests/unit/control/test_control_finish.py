"""How an attempt's end, as its engine tells it, becomes the job's true end; and what a restart takes over."""

from dataclasses import replace

import pytest
from scene import ADA, GIB, broken_promises

from dcdaemon.control import change, reports
from dcdaemon.core.job import JobState
from dcdaemon.fakes.engine import Play

S = JobState


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


ENDS = [
    (Play(5.0, 0), S.SUCCEEDED, None),
    (Play(5.0, 3), S.FAILED, "exit code 3"),
    (Play(5.0, None, 11, "signaled"), S.FAILED, "killed by signal 11"),
    (Play(5.0, 0, cause="cancelled"), S.CANCELLED, "cancelled"),
    (Play(5.0, None, 15, "timed_out"), S.TIMED_OUT, "timed out"),
    (Play(5.0, None, 9, "out_of_memory"), S.OUT_OF_MEMORY, "out of memory"),
    (Play(5.0, 127, cause="start_failed", error="no such program: trian"), S.FAILED, "no such program: trian"),
    (Play(5.0, None, None, "shim_error", "OSError: disk full"), S.FAILED, "OSError: disk full"),
]


@pytest.mark.parametrize(("play", "state", "cause"), ENDS)
def test_every_end_is_written_down_as_it_was(scene, play, state, cause):
    started = scene.run(play, gpus=2)
    scene.advance(8.0)
    job = scene.job(started)
    assert (job.state, job.cause, job.exit_code, job.signal) == (state, cause, play.exit_code, play.signal)
    assert (job.started_at, job.ended_at, job.run_s) == (started.started_at, started.started_at + 5.0, 5.0)
    assert job.gpus == (0, 1)
    assert scene.desk.book.holders() == {}


@pytest.mark.parametrize(("ask", "state"), [(change.cancel, S.CANCELLED), (change.requeue, S.RUNNING)])
def test_a_stop_that_the_shim_was_told_without_its_reason_is_what_was_asked_for(scene, ask, state):
    job, stop = scene.run(Play(100.0)), scene.engine.stop
    scene.engine.stop = lambda job, signal, grace_s, _: stop(job, signal, grace_s, "stopped")
    ask(scene.desk, ADA, job.id)
    scene.cycle()
    assert (scene.state(job), scene.job(job).attempt) == (state, 2 if state is S.RUNNING else 1)


def test_a_job_over_its_limit_is_timed_out(scene):
    job = scene.run(Play(run_s=100.0), limit_s=60.0)
    scene.advance(60.0)
    assert (scene.state(job), scene.job(job).run_s) == (S.TIMED_OUT, 60.0)


def test_a_job_whose_environment_is_gone_fails_with_the_reason(scene):
    job = scene.submit()
    scene.envs.kept.clear()
    scene.cycle()
    failed = scene.job(job)
    assert (failed.state, failed.run_s, failed.pid) == (S.FAILED, 0.0, None)
    assert failed.cause == f"the job's environment {job.spec.env_ref} cannot be read: gone"
    assert scene.engine.starts == []


def test_a_launch_that_fails_ends_the_job_and_frees_its_gpus_for_the_next(scene):
    bad, good = scene.submit(Play(start_error="no space for the job's directory"), gpus=4), scene.submit(gpus=4)
    scene.cycle()
    assert (scene.state(bad), scene.job(bad).cause) == (S.FAILED, "no space for the job's directory")
    scene.cycle()
    assert scene.state(good) is S.RUNNING


def test_a_job_is_told_what_it_is_and_which_gpus_are_its(scene):
    scene.run(gpus=1)
    job = scene.run(gpus=2, name="vit")
    order = scene.engine.order_of(job)
    told = {key: value for key, value in order.env.items() if key.startswith(("DCD_", "CUDA_"))}
    assert told == {
        "DCD_JOB_ID": "2",
        "DCD_JOB_NAME": "vit",
        "DCD_ATTEMPT": "1",
        "DCD_GRACE_S": "30",
        "DCD_GPUS": "1,2",
        "DCD_GPU_UUIDS": "GPU-0001,GPU-0002",
        "CUDA_VISIBLE_DEVICES": "1,2",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert order.gpu_uuids == ("GPU-0001", "GPU-0002")
    assert order.env["HOME"] == "/home/ada"


def test_a_job_without_gpus_sees_none(scene):
    job = scene.run(gpus=0)
    assert scene.engine.order_of(job).env["CUDA_VISIBLE_DEVICES"] == ""


def test_a_job_holds_its_gpus_until_its_last_process_is_gone(scene):
    job = scene.run(gpus=4)
    scene.engine.kill_shim(job)
    scene.advance(60.0)
    assert scene.state(job) is S.RUNNING
    assert scene.run(gpus=1).state is S.WAITING
    scene.engine.bury(job)
    scene.advance(1.0)
    lost = scene.job(job)
    assert (lost.state, lost.exit_code, lost.ended_at) == (S.LOST, None, scene.clock.now())
    assert lost.cause == "its shim was killed and left no exit record; how the job ended cannot be known"
    assert scene.state(2) is S.RUNNING


def test_what_a_dead_shim_left_is_ended_at_the_limit_that_nobody_else_watches(scene):
    job = scene.run(gpus=4, limit_s=60.0, grace_s=10.0)
    scene.engine.kill_shim(job)
    scene.advance(69.0)
    assert scene.state(job) is S.RUNNING
    scene.advance(1.0)
    scene.advance(1.0)
    assert (scene.state(job), scene.desk.book.holders()) == (S.LOST, {})


def test_the_jobs_of_another_node_in_the_same_database_are_left_to_it(scene):
    job = scene.run(gpus=2)
    scene.store._jobs[job.id] = replace(scene.job(job), node="n2")
    other = scene.job(job)
    assert scene.daemon().book.unfinished() == []
    assert scene.job(job) == other
    scene.store._jobs[job.id] = job
    scene.daemon()


def test_what_ran_during_a_reboot_is_interrupted_and_runs_again_where_asked(scene):
    plain, again = scene.run(gpus=1), scene.run(gpus=1, requeue=True)
    scene.engine.reboot()
    scene.daemon()
    assert (scene.state(plain), scene.job(plain).cause) == (S.INTERRUPTED, "the node restarted while the job ran")
    assert scene.state(again) is S.WAITING
    scene.cycle()
    assert (scene.state(again), scene.job(again).attempt) == (S.RUNNING, 2)


def test_an_ordinary_failure_does_not_run_again_however_it_was_submitted(scene):
    job = scene.run(Play(1.0, 1), requeue=True)
    scene.advance(1.0)
    assert scene.state(job) is S.FAILED


def test_a_restarted_daemon_goes_on_with_what_runs_and_what_waits(scene):
    ran, running, waiting = scene.run(Play(5.0, 4), gpus=2), scene.run(Play(50.0), gpus=2), scene.submit(gpus=2)
    scene.clock.advance(5.0)
    scene.engine.tick()  # it ends while no daemon is there to be told
    scene.daemon()
    assert (scene.state(ran), scene.job(ran).exit_code) == (S.FAILED, 4)
    assert scene.job(ran).ended_at == ran.started_at + 5.0
    assert scene.state(running) is S.RUNNING
    scene.cycle()
    assert scene.job(waiting).gpus == (0, 1)
    assert len(scene.engine.starts) == 3


@pytest.mark.parametrize("launched", [True, False])
def test_a_daemon_that_died_in_the_middle_of_a_start_leaves_no_job_behind(scene, launched):
    """It had written `starting` down, and died before or after the launch."""
    job = scene.submit(gpus=2)
    die_at = scene.engine.start

    def dying(order):
        if launched:
            die_at(order)
        raise KeyboardInterrupt

    scene.engine.start = dying
    with pytest.raises(KeyboardInterrupt):
        scene.cycle()
    assert scene.state(job) is S.STARTING
    scene.engine.start = die_at
    scene.daemon()
    scene.cycle()
    assert (scene.state(job), scene.job(job).attempt) == (S.RUNNING, 1)
    assert scene.engine.starts == [(job.id, 1)]


@pytest.mark.parametrize("verb", [change.cancel, change.requeue])
def test_a_stop_that_a_dying_daemon_only_wrote_down_is_carried_out_by_the_next(scene, verb):
    job = scene.run(gpus=1)
    stop, scene.engine.stop = scene.engine.stop, lambda *_: None
    verb(scene.desk, ADA, job.id)
    scene.engine.stop = stop
    scene.daemon()
    scene.cycle()
    expected = (S.CANCELLED, 1) if verb is change.cancel else (S.RUNNING, 2)
    assert (scene.state(job), scene.job(job).attempt) == expected


def test_the_end_of_one_attempt_and_the_queue_again_are_one_step(scene):
    job = scene.run()
    seen = []
    scene.desk.listeners.append(lambda _: seen.append(scene.desk.book.get(job.id) is not None))
    change.requeue(scene.desk, ADA, job.id)
    scene.cycle()
    assert scene.job(job).attempt == 2
    assert seen
    assert all(seen), "somebody who waits for the job could have taken it for ended"


def test_what_a_job_reports_is_kept_line_by_line_and_its_last_values_with_the_job(scene):
    job = scene.run(Play(run_s=10.0))
    scene.engine.report(job, 1, {"loss": 3.0, "lr": 0.1})
    scene.engine.report(job, 2, {"loss": 2.0})
    scene.desk.refresh_reports()
    assert scene.job(job).reported == {"loss": 2.0, "lr": 0.1}
    version = scene.job(job).version
    scene.desk.refresh_reports()
    assert scene.job(job).version == version, "nothing new, nothing written"
    scene.engine.report(job, 3, {"accuracy": 0.9})
    scene.advance(10.0)
    assert scene.job(job).reported == {"loss": 2.0, "lr": 0.1, "accuracy": 0.9}
    assert [report.step for report in scene.store.reports(job.id)] == [1, 2, 3]


def test_a_restart_stores_no_report_twice_and_misses_none(scene):
    job = scene.run(Play(run_s=10.0))
    for step in range(5):
        scene.engine.report(job, step, {"loss": float(step)})
    scene.desk.refresh_reports()
    scene.engine.report(job, 5, {"loss": 5.0})
    scene.daemon()
    scene.engine.report(job, 6, {"loss": 6.0})
    scene.desk.refresh_reports()
    scene.desk.refresh_reports()
    assert [report.step for report in scene.store.reports(job.id)] == list(range(7))
    assert scene.job(job).reported == {"loss": 6.0}


def test_reports_beyond_their_bytes_are_not_stored_and_their_last_values_are_shown(scene, monkeypatch):
    monkeypatch.setattr(reports, "MAX_BYTES", 3)  # of this engine, lines
    job = scene.run()
    for step in range(6):
        scene.engine.report(job, step, {"loss": float(step)})
        scene.desk.refresh_reports()
    assert [report.step for report in scene.store.reports(job.id)] == [0, 1, 2]
    assert scene.job(job).reported == {"loss": 5.0}


def test_a_long_report_file_is_stepped_over_in_as_many_reads_as_it_takes(scene, monkeypatch):
    job = scene.run(Play(run_s=10.0))
    for step in range(9):
        scene.engine.report(job, step, {"loss": float(step)})
    scene.desk.refresh_reports()
    whole = scene.engine.reports

    def two_lines_a_read(which, offset):
        lines, _ = whole(which, offset)
        return lines[:2], offset + len(lines[:2])

    monkeypatch.setattr(scene.engine, "reports", two_lines_a_read)
    scene.daemon()
    scene.engine.report(job, 9, {"loss": 9.0})
    for _ in range(3):
        scene.desk.refresh_reports()
    assert [report.step for report in scene.store.reports(job.id)] == list(range(10))
    assert scene.job(job).reported == {"loss": 9.0}


def test_memory_and_cpus_are_given_back_with_the_gpus(scene):
    job = scene.run(gpus=0, cpus=32, mem_bytes=256 * GIB)
    other = scene.run(gpus=0, cpus=1)
    assert other.state is S.WAITING
    scene.cancel(job)
    scene.cycle()
    assert scene.state(other) is S.RUNNING


def test_a_job_that_reports_without_end_fills_no_database(scene, monkeypatch):
    monkeypatch.setattr("dcdaemon.control.reports.MAX_LINES", 5)
    job = scene.run(Play(run_s=10.0))
    for step in range(4):
        scene.engine.report(job, step, {"loss": float(step)})
    scene.desk.refresh_reports()
    scene.daemon()
    for step in range(4, 9):
        scene.engine.report(job, step, {"loss": float(step)})
        scene.desk.refresh_reports()
    assert [report.step for report in scene.store.reports(job.id)] == [0, 1, 2, 3, 4]
    assert scene.job(job).reported == {"loss": 8.0}


def test_a_job_that_reports_ever_new_quantities_does_not_grow_without_bound(scene):
    job = scene.run()
    for step in range(300):
        scene.engine.report(job, step, {f"q{step}": step, "loss": step})
    scene.desk.refresh_reports()
    reported = scene.job(job).reported
    assert (len(reported), reported["loss"]) == (100, 299)
    assert len(scene.store.reports(job.id)) == 300

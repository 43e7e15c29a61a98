"""Jobs that save their work when they are asked to, and go on from there; jobs that make trouble with their files."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from system.daemon_process import until

import dcdaemon
from dcdaemon.core.errors import DcdError
from dcdaemon.runner.records import write_private

ROOT = Path(dcdaemon.__file__).parents[1]
OLD_SHIM = ROOT / "tests/fixtures/shims/shim-0.1.0.py"
#: A training without any framework: it counts its steps, saves them when asked, and resumes.
TRAINING = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from dcdaemon import job
job.LOOK_EVERY_S = 0.01
checkpoint = Path('steps')
step = int(checkpoint.read_text()) if checkpoint.exists() else 0
print('attempt', os.environ['DCD_ATTEMPT'], 'begins at', step, flush=True)
while not Path('enough').exists():
    step += 1
    job.report(step=step, loss=1 / step)
    time.sleep(0.01)
    if job.should_checkpoint():
        checkpoint.write_text(str(step))
        job.checkpoint_saved(step)
        print('saved', step, flush=True)
        time.sleep(60)
"""


@pytest.fixture
def shared(new_site):
    site = new_site(
        DCD_QUEUES__MAIN__DEFAULT="true", DCD_QUEUES__MAIN__PREEMPTIBLE="true", DCD_QUEUES__NOW__URGENT="true",
        DCD_QUEUES__NOW__PRIORITY_TIER="10",
    )  # fmt: skip
    site.start()
    return site


def log_of(site, job_id, attempt=1):
    with site.client.stream(f"/v1/jobs/{job_id}/log", {"attempt": attempt}) as stream:
        return b"".join(stream).decode()


def train(site, **fields):
    wish = {"argv": [sys.executable, "-c", TRAINING], "cwd": str(site.path), "grace_s": 600.0, "name": "train"}
    [job_id] = site.submit_many([{**wish, "gpus": 8, **fields}])
    until(lambda: "begins" in log_of(site, job_id), "the training's first word")
    return job_id


def test_a_preempted_training_saves_makes_room_at_once_and_goes_on_where_it_was(shared):
    job_id = train(shared)
    urgent = shared.submit(gpus=8, queue="now")
    # Its grace is ten minutes, and it would sleep through one of them: what it saved is what frees its GPUs.
    shared.await_state(urgent, "succeeded")
    until(lambda: shared.job(job_id)["attempt"] == 2 and "begins" in log_of(shared, job_id, 2), "its second attempt")

    saved = int((shared.path / "steps").read_text())
    assert saved > 0
    assert log_of(shared, job_id, 1).splitlines() == ["attempt 1 begins at 0", f"saved {saved}"]
    assert log_of(shared, job_id, 2).splitlines()[0] == f"attempt 2 begins at {saved}"
    (shared.path / "enough").touch()
    ended = shared.await_state(job_id, "succeeded")
    assert ended["preempted"] == 1
    assert ended["lost_s"] < 30
    shared.judge_resources()


def test_a_requeued_training_goes_on_and_a_cancelled_one_saves_before_it_ends(site):
    job_id = train(site)
    site.client.post("/v1/jobs/requeue", {"select": [str(job_id)]})
    until(lambda: site.job(job_id)["attempt"] == 2 and "begins" in log_of(site, job_id, 2), "the second attempt")
    site.client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
    assert site.await_state(job_id)["state"] == "cancelled"
    assert log_of(site, job_id, 2).splitlines()[-1] == f"saved {(site.path / 'steps').read_text()}"


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_shutdown_interrupts_jobs_and_what_was_to_be_requeued_goes_on_after_it(site, asked_for):
    job_id = train(site, requeue=asked_for)
    site.end(signal.SIGTERM)
    shim = site.attempt(job_id).shim()
    assert shim is not None
    shim.send(signal.SIGTERM)  # as systemd does
    until(site.attempt(job_id).exit_record, "the end of the attempt")
    saved = (site.path / "steps").read_text()
    site.start()
    if asked_for:
        until(lambda: "begins" in log_of(site, job_id, 2), "the second attempt")
        assert log_of(site, job_id, 2).splitlines()[0] == f"attempt 2 begins at {saved}"
        assert log_of(site, job_id, 1).splitlines()[-1] == f"saved {saved}"
    else:
        ended = site.await_state(job_id)
        assert ended["state"] == "interrupted"
        assert "shut down" in ended["cause"]


def test_the_warning_before_the_limit_comes_while_no_daemon_is_there(site):
    job_id = train(site, limit_s=3.0, checkpoint_s=2.0)
    site.end()
    until(site.attempt(job_id).exit_record, "the end by the time limit")
    site.start()
    assert site.await_state(job_id)["state"] == "timed_out"
    assert "saved" in log_of(site, job_id)


def test_a_new_daemon_adopts_and_stops_a_job_that_a_shim_of_the_release_before_runs(site):
    job_id = site.submit(sleep_s=60)
    site.await_state(job_id, "running")
    attempt = site.attempt(job_id)
    until(site.runs, "the job's mark")
    site.end()
    shim, processes = attempt.shim(), attempt.processes()
    assert shim is not None
    shim.send(signal.SIGKILL)
    for process in processes:
        process.send(signal.SIGKILL)
    until(lambda: not shim.alive(), "the end of the shim of this release")
    shutil.rmtree(attempt.path)
    attempt.path.mkdir(mode=0o711)
    old = {
        "version": 1, "job_id": job_id, "attempt": 1, "argv": ["sh", "-c", "echo old; exec sleep 60"], "cwd": "/",
        "env": {"PATH": os.environ["PATH"], "DCD_REPORT_PATH": str(attempt.report_path)}, "uid": os.geteuid(),
        "gid": os.getegid(), "log_path": None, "limit_s": None, "grace_s": 30.0, "umask": 0o022,
    }  # fmt: skip
    write_private(attempt.path / "spec.json", old)
    command = [sys.executable, "-I", "-S", "-B", str(OLD_SHIM), str(attempt.path), "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL):
        until(lambda: attempt.log_path.exists() and attempt.log_path.read_text(), "the first word under the old shim")
        site.start()
        assert site.job(job_id)["state"] == "running"
        assert len(site.job(job_id)["pids"]) == 1
        site.client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
        ended = site.await_state(job_id)
    assert (ended["state"], ended["signal"]) == ("cancelled", signal.SIGTERM)
    assert log_of(site, job_id) == "old\n"
    site.judge_resources()


def test_a_daemon_refuses_to_start_on_records_of_a_newer_release(site):
    job_id = site.submit(sleep_s=60)
    site.await_state(job_id, "running")
    site.end()
    record = site.attempt(job_id).path / "state.json"
    old = record.read_text()
    record.write_text(json.dumps(json.loads(old) | {"version": 99}))
    with pytest.raises(AssertionError, match="newer release of dcdaemon"):
        site.start()
    site.wait_for_death()
    record.write_text(old)
    site.start()
    assert site.job(job_id)["state"] == "running"


DIRECTORY = 'd="${DCD_REPORT_PATH%/*}"'


def test_a_job_that_deletes_its_own_directory_holds_no_gpu_for_ever(site):
    job_id = site.submit(f'{DIRECTORY}; rm -rf "$d"', code=3)
    ended = site.await_state(job_id)
    # Its end was written nowhere: that it is over is all that can be known.
    assert ended["state"] in ("interrupted", "lost")
    site.judge_resources()


def test_a_job_that_swaps_its_log_for_a_link_shows_nobody_anything_through_it(site):
    secret = site.path / "secret"
    secret.write_text("secret words\n")
    job_id = site.submit(f'{DIRECTORY}; rm "$d/output.log"; ln -s {secret} "$d/output.log"', code=3)
    assert site.await_state(job_id)["exit_code"] == 3
    with pytest.raises(DcdError, match="log"):
        log_of(site, job_id)
    site.judge_resources()


def test_a_job_that_deletes_its_log_has_none_and_ends_as_it_ends(site):
    job_id = site.submit(f'{DIRECTORY}; rm "$d/output.log"', code=3)
    assert site.await_state(job_id)["exit_code"] == 3
    assert log_of(site, job_id) == ""
    site.judge_resources()

"""Jobs outlive their daemon: the next one adopts them, or learns what became of them."""

import os
import signal
import time
from pathlib import Path

import pytest
from system.daemon_process import until

from dcdaemon.runner.attempt import AttemptDirectory
from dcdaemon.runner.processes import Identity


def state_of_gpu(site, index):
    return site.client.get("/v1/gpus")["gpus"][index]["state"]


def until_there(gate: Path) -> str:
    """Return a script that goes on until the file is there."""
    return f"while ! test -e {gate}; do sleep 0.01; done"


def shim_of(attempt: AttemptDirectory) -> Identity:
    shim = attempt.shim()
    assert shim is not None
    return shim


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_go_on_without_a_daemon_and_their_ends_are_kept(site, number):
    gate = site.path / "gate"
    ends_alone, lives_on = site.submit(sleep_s=1, code=3), site.submit(until_there(gate))
    site.await_state(ends_alone, "running")
    pid = until(site.attempt(lives_on).run_record, "the job's record").pid
    site.end(number)
    exit_record = until(site.attempt(ends_alone).exit_record, "the end of the job")
    site.start()
    assert site.job(lives_on)["state"] == "running"
    assert pid in site.job(lives_on)["pids"]
    ended = site.job(ends_alone)
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    recorded = site.query(f"SELECT ended_at, run_s FROM job WHERE id = {ends_alone}")  # noqa: S608  our own number
    assert recorded == [(exit_record.ended_at, exit_record.run_s)]
    gate.touch()
    site.judge({ends_alone: 3, lives_on: 0})


def test_a_time_limit_is_kept_while_no_daemon_is_there(site):
    job_id = site.submit(sleep_s=60, limit_s=0.5, grace_s=5)
    site.await_state(job_id, "running")
    site.end()
    until(site.attempt(job_id).exit_record, "the end by the time limit")
    site.start()
    assert site.await_state(job_id)["state"] == "timed_out"
    site.judge_resources()


def test_what_waited_for_a_job_that_ended_alone_starts_after_it(site):
    first = site.submit(sleep_s=1)
    second = site.submit(after=[str(first)])
    site.await_state(first, "running")
    site.end()
    until(site.attempt(first).exit_record, "the end of the job")
    site.start()
    site.judge({first: 0, second: 0})


def test_a_cancel_reaches_a_job_that_was_adopted(site):
    job_id = site.submit("trap 'exit 5' TERM; while :; do sleep 0.01; done")
    site.await_state(job_id, "running")
    site.restart()
    site.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "grace_s": 10})
    ended = site.await_state(job_id)
    assert (ended["state"], ended["exit_code"]) == ("cancelled", 5)


@pytest.mark.parametrize("daemon_sees_it", [True, False])
def test_a_job_whose_shim_is_killed_keeps_its_gpu_until_its_last_process_is_gone(site, daemon_sees_it):
    gate = site.path / "gate"
    job_id = site.submit(until_there(gate))
    site.await_state(job_id, "running")
    until(site.runs, "the job's mark")
    if not daemon_sees_it:
        site.end()
    shim = shim_of(site.attempt(job_id))
    shim.send(signal.SIGKILL)
    until(lambda: not shim.alive(), "the end of the shim")
    if not daemon_sees_it:
        site.start()
    time.sleep(0.5)  # nothing shall happen in this time
    assert site.job(job_id)["state"] == "running"
    assert state_of_gpu(site, 0) == "busy"
    gate.touch()
    ended = site.await_state(job_id)
    assert (ended["state"], ended["exit_code"]) == ("lost", None)
    assert "no exit record" in ended["cause"]
    assert site.runs() == {f"{job_id}.1": 1}
    site.judge_resources()


def test_a_cancel_of_a_job_whose_shim_was_killed_frees_its_gpu(site):
    job_id = site.submit(sleep_s=60)
    site.await_state(job_id, "running")
    until(site.runs, "the job's mark")
    shim_of(site.attempt(job_id)).send(signal.SIGKILL)
    until(lambda: site.attempt(job_id).leftovers(), "the leftovers")
    site.client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
    assert site.await_state(job_id)["state"] in ("lost", "cancelled")
    site.judge_resources()


@pytest.mark.parametrize("daemon_sees_it", [True, False])
def test_a_cancel_is_seen_through_when_the_shim_dies_over_it(site, daemon_sees_it):
    job_id = site.submit("trap '' TERM; while :; do sleep 0.01; done")
    site.await_state(job_id, "running")
    until(site.runs, "the job's mark")
    site.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "grace_s": 600})
    if not daemon_sees_it:
        site.end()
    shim_of(site.attempt(job_id)).send(signal.SIGKILL)
    if not daemon_sees_it:
        site.start()
    assert site.await_state(job_id)["state"] in ("lost", "cancelled")
    site.judge_resources()


def test_a_daemonised_grandchild_holds_the_gpu_through_a_restart(site):
    gate = site.path / "gate"
    job_id = site.submit(f"setsid sh -c '{until_there(gate)}' & :")
    site.await_state(job_id, "running")
    record = until(site.attempt(job_id).run_record, "the job's record")
    main = Identity(record.pid, record.pid_start_ticks)
    until(lambda: not main.alive(), "the end of the main process")
    site.restart()
    assert site.job(job_id)["state"] == "running"
    assert state_of_gpu(site, 0) == "busy"
    gate.touch()
    site.judge({job_id: 0})


def end_the_world(site, job_id):
    """End the daemon and every process of a job as a power cut does: nothing is written any more."""
    site.end()
    attempt = site.attempt(job_id)
    shim, processes = shim_of(attempt), attempt.processes()
    shim.send(signal.SIGKILL)
    for process in processes:
        process.send(signal.SIGKILL)
    until(lambda: not any(process.alive() for process in (shim, *processes)), "the end of the job")


def pretend_another_boot(attempt):
    """Give the claim and the record of an attempt the mark of another boot."""
    [claim] = attempt.path.glob("claim.*")
    pid, ticks, _ = str(claim.readlink()).split(".", 2)
    claim.unlink()
    claim.symlink_to(f"{pid}.{ticks}.00000000-0000-0000-0000-000000000000")
    record = attempt.path / "state.json"
    text = record.read_text()
    boot = text.split('"boot_id": "')[1].split('"')[0]
    record.write_text(text.replace(boot, "00000000-0000-0000-0000-000000000000"))


@pytest.mark.parametrize("lost_directory", [False, True])
def test_a_reboot_interrupts_a_job_and_requeues_it_where_that_was_asked_for(site, lost_directory):
    script = 'test "$DCD_ATTEMPT" = 2 || sleep 60'
    plain, again = site.submit(script), site.submit(script, requeue=True)
    for job_id in (plain, again):
        site.await_state(job_id, "running")
    until(lambda: sum(site.runs().values()) == 2, "both marks")
    for job_id in (plain, again):
        end_the_world(site, job_id)
        attempt = site.attempt(job_id)
        if lost_directory:  # the power went before the directory was on disk, and after the commit
            attempt.path.rename(site.path / f"lost-{job_id}")
        else:
            pretend_another_boot(attempt)
    site.start()
    assert site.await_state(plain)["state"] == "interrupted"
    ended = site.await_state(again, "succeeded")
    assert ended["attempt"] == 2
    assert site.runs() == {f"{plain}.1": 1, f"{again}.1": 1, f"{again}.2": 1}
    site.judge_resources()


def test_a_requeued_job_is_told_its_attempt_and_has_a_log_for_each(site):
    job_id = site.submit('echo "attempt $DCD_ATTEMPT"')
    site.await_state(job_id, "succeeded")
    site.client.post("/v1/jobs/requeue", {"select": [str(job_id)]})
    until(lambda: site.job(job_id)["attempt"] == 2 and site.job(job_id)["state"] == "succeeded", "the second attempt")
    for attempt in (1, 2):
        with site.client.stream(f"/v1/jobs/{job_id}/log", {"attempt": attempt}) as stream:
            assert f"attempt {attempt}" in b"".join(stream).decode()


def test_a_stranger_with_the_pid_of_a_dead_shim_is_not_taken_for_it(site):
    job_id = site.submit(sleep_s=60)
    site.await_state(job_id, "running")
    until(site.runs, "the job's mark")
    end_the_world(site, job_id)
    [claim] = site.attempt(job_id).path.glob("claim.*")
    _, ticks, boot = str(claim.readlink()).split(".", 2)
    claim.unlink()
    claim.symlink_to(f"{os.getpid()}.{ticks}.{boot}")
    site.start()
    assert site.await_state(job_id)["state"] == "lost"
    site.judge_resources()

"""SIGKILL of daemon, shim or fork-server at any step of a job's life: it runs once and ends in its true state."""

import os
import signal
from pathlib import Path

import pytest
from system import deadly_shims
from system.crash_points import FROZEN, LIFE, RECOVERY, REQUEUE, STOP
from system.daemon_process import until
from system.random_kills import FORK_SERVER, children_of
from system.shim_deaths import live_through_death

from dcdaemon.core.errors import Unreachable

SLOW_S = 0.3


def submit_into(site, *wishes):
    """Submit as long as the daemon lives; return the ids that were answered."""
    answered = []
    for wish in wishes:
        try:
            answered += site.submit_many([wish])
        except Unreachable:
            break
    return answered


@pytest.mark.parametrize("step", LIFE)
def test_a_crash_at_any_step_of_a_jobs_life_loses_and_repeats_nothing(new_site, step):
    site = new_site()
    site.start(crash_at=step)
    wishes = [site.wish(code=0), site.wish(code=3, sleep_s=SLOW_S), site.wish(code=0, gpus=8)]
    answered = submit_into(site, *wishes)
    site.wait_for_death()
    site.start()
    site.judge(dict(zip(answered, (0, 3, 0), strict=False)))


@pytest.mark.parametrize("step", RECOVERY)
def test_a_crash_during_recovery_loses_and_repeats_nothing(new_site, step):
    site = new_site()
    site.start()
    expected = {site.submit(code=0, sleep_s=SLOW_S): 0, site.submit(code=3): 3, site.submit(gpus=8): 0}
    site.end()
    site.start(crash_at=step)
    site.wait_for_death()
    site.start()
    site.judge(expected)


@pytest.mark.parametrize("step", STOP)
def test_a_cancel_that_was_under_way_at_the_crash_is_seen_through(new_site, step):
    site = new_site()
    site.start(crash_at=step)
    job_id = site.submit(sleep_s=60)
    site.await_state(job_id, "running")
    with pytest.raises(Unreachable):
        site.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "grace_s": 5})
    site.wait_for_death()
    site.start()
    if step == "stop about to be committed":
        assert site.job(job_id)["state"] == "running"
        site.client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
    assert site.await_state(job_id)["state"] == "cancelled"
    assert site.runs() == {f"{job_id}.1": 1}
    site.judge_resources()


@pytest.mark.parametrize("step", STOP)
def test_a_requeue_of_a_running_job_under_way_at_the_crash_stays_a_requeue(new_site, step):
    site = new_site()
    site.start(crash_at=step)
    job_id = site.submit('test "$DCD_ATTEMPT" = 2 || sleep 60')
    site.await_state(job_id, "running")
    with pytest.raises(Unreachable):
        site.client.post("/v1/jobs/requeue", {"select": [str(job_id)]})
    site.wait_for_death()
    site.start()
    if step == "stop about to be committed":
        site.client.post("/v1/jobs/requeue", {"select": [str(job_id)]})
    ended = until(lambda: (job := site.job(job_id))["state"] in ("succeeded", "cancelled") and job)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 2)
    assert site.runs() == {f"{job_id}.1": 1, f"{job_id}.2": 1}
    site.judge_resources()


@pytest.mark.parametrize("step", REQUEUE)
def test_an_ended_job_is_requeued_once_or_not_at_all(new_site, step):
    site = new_site()
    site.start(crash_at=step)
    job_id = site.submit()
    site.await_state(job_id, "succeeded")
    with pytest.raises(Unreachable):
        site.client.post("/v1/jobs/requeue", {"select": [str(job_id)]})
    site.wait_for_death()
    site.start()
    site.await_all()
    again = {f"{job_id}.2": 1} if step == "requeue committed" else {}
    assert site.runs() == {f"{job_id}.1": 1, **again}
    site.judge_resources()


@pytest.mark.parametrize("step", FROZEN)
def test_what_wakes_up_after_a_restart_runs_its_job_at_most_once(new_site, step):
    site = new_site()
    site.start(crash_at=step)
    job_id = site.submit(code=3)
    site.wait_for_death()
    frozen = int((site.state_dir / "frozen").read_text())
    site.start()
    if step == "request read by no fork-server yet":
        site.await_state(job_id, "failed")
    os.kill(frozen, signal.SIGCONT)
    site.await_state(job_id, "failed")
    until(lambda: not alive_in_session(frozen) and not alive_below(site.state_dir / "jobs"), "the end of what woke up")
    site.judge({job_id: 3})


@pytest.mark.parametrize("step", deadly_shims.STEPS)
def test_a_shim_or_fork_server_killed_at_any_step_repeats_nothing_and_tells_no_untruth(new_site, step):
    live_through_death(new_site, step, daemon_dies_too=False)


def test_the_death_of_the_fork_server_costs_no_job(site):
    before = site.submit(sleep_s=1, code=3)
    site.await_state(before, "running")
    [server] = children_of(site.pid, FORK_SERVER)
    os.kill(server, signal.SIGKILL)
    after = [site.submit(code=0), site.submit(code=3, gpus=8)]
    site.judge({before: 3, after[0]: 0, after[1]: 3})


def alive_in_session(session):
    return [pid for pid, stat in stats() if int(stat[3]) == session and stat[0] != "Z"]


def alive_below(directory):
    """Return the processes that work in a directory below this one, as shims do."""
    return [pid for pid, _ in stats() if working_directory(pid).startswith(str(directory))]


def working_directory(pid):
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def stats():
    """Yield every process with its state, parent, group and session, as proc(5) writes them."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(path.parent.name), path.read_text().rpartition(")")[2].split()
        except OSError:
            continue

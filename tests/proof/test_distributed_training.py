"""Distributed trainings that are preempted, cancelled, ended as hung: what costs many starts of PyTorch."""

import os
import signal

import pytest
from system.daemon_process import until
from system.training_ranks import START_WITHIN_S, first_epoch, log_of, ranks_of, submit_training

pytestmark = pytest.mark.proof
pytest.importorskip("torch")


def resumed_after(text):
    [line] = [line for line in text.splitlines() if line.startswith("resumed after epoch")]
    return int(line.split()[3])


def test_the_ranks_agree_to_save_one_saves_and_the_next_attempt_goes_on(site):
    job_id = submit_training(site)
    first_epoch(site, job_id)
    done = 0
    for attempt in (2, 3):
        site.client.post("/v1/jobs/requeue", {"select": [str(job_id)]})
        until(lambda attempt=attempt: site.job(job_id)["attempt"] == attempt, "it running again", START_WITHIN_S)
        epoch = resumed_after(first_epoch(site, job_id, attempt))
        assert epoch > done
        done = epoch
        # All ranks ended by themselves, and torchrun with them.
        assert "Traceback" not in log_of(site, job_id, attempt - 1)
    site.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "signal": "KILL"})
    assert site.await_state(job_id)["state"] == "cancelled"
    site.judge_resources()


def test_two_trainings_at_once_meet_at_ports_of_their_own(site):
    jobs = [submit_training(site), submit_training(site)]
    for job_id in jobs:
        first_epoch(site, job_id)
    site.client.post("/v1/jobs/cancel", {"select": [str(job_id) for job_id in jobs]})
    for job_id in jobs:
        assert site.await_state(job_id)["state"] == "cancelled"
    site.judge_resources()


def test_a_hang_ends_the_job_where_that_was_asked_for(new_site):
    site = new_site(DCD_ANOMALIES__IDLE_AFTER="4s")
    site.start()
    job_id = submit_training(site, hang_after_s=3.0)
    first_epoch(site, job_id)
    os.kill(ranks_of(site, job_id)[0], signal.SIGSTOP)
    until(lambda: site.job(job_id)["state"] == "failed", "the end of the hung job", START_WITHIN_S)
    assert site.job(job_id)["cause"].startswith("hung: ")
    site.judge_resources()

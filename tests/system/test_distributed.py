"""A distributed training under the torchrun launcher: its ranks meet, a hang is told from a crash, all end as one."""

import os
import signal
from pathlib import Path

import pytest
from system.daemon_process import until
from system.training_ranks import START_WITHIN_S, first_epoch, ranks_of, submit_training

pytest.importorskip("torch")


def test_a_rank_that_stands_still_is_a_hang_and_one_that_dies_ends_the_job(new_site):
    site = new_site(DCD_ANOMALIES__HUNG_AFTER="2s", DCD_ANOMALIES__IDLE_AFTER="4s")
    site.start()
    job_id = submit_training(site)
    first_epoch(site, job_id)
    ranks = ranks_of(site, job_id)
    assert sorted(ranks) == [0, 1]

    os.kill(ranks[1], signal.SIGSTOP)
    hang = until(
        lambda: next((one for one in site.job(job_id)["anomalies"] if one["rule"] == "hung"), None), "the hang",
        within_s=START_WITHIN_S,
    )  # fmt: skip
    told = {rank["rank"]: rank for rank in hang["evidence"]["ranks"]}
    assert (told[1]["pid"], told[1]["state"]) == (ranks[1], "T")
    assert site.job(job_id)["state"] == "running"

    os.kill(ranks[1], signal.SIGKILL)
    ended = site.await_state(job_id)
    assert (ended["state"], ended["cause"], ended["exit_code"]) == ("failed", "rank 1: killed by signal 9", 137)
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks.values())
    site.judge_resources()

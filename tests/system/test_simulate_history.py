"""A real daemon's history is played: what its jobs would have waited on other machines."""

import json
from datetime import datetime

import pytest
from system.daemon_process import Site, command_line


def test_the_jobs_of_this_node_are_played_on_its_gpus_and_on_more(site: Site) -> None:
    gpus = len(site.client.get("/v1/gpus")["gpus"])
    for _ in range(3):
        site.submit(sleep_s=0.3, gpus=gpus)
    site.submit(gpus=0)
    site.await_all()
    jobs = [job for job in site.jobs().values() if job["gpus_asked"]]
    free_at, waits_s = 0.0, []
    # Each takes all GPUs: they run one after the other.
    for job in sorted(jobs, key=lambda job: job["submitted_at"]):
        submitted_at = datetime.fromisoformat(job["submitted_at"]).timestamp()
        waits_s.append(max(0.0, free_at - submitted_at))
        free_at = submitted_at + waits_s[-1] + job["run_s"]

    def simulated(*options: str) -> dict:
        done = command_line(site, "simulate", "--from-history", "--policy", "fifo", "--json", *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["runs"][0]

    here = simulated()
    assert (here["jobs"], here["gpus"], here["left_out_without_gpus"]) == (3, gpus, 1)
    assert here["wait_longest_s"] == pytest.approx(max(waits_s), abs=1e-4)
    assert here["wait_mean_s"] == pytest.approx(sum(waits_s) / 3, abs=1e-4)
    more = simulated("--gpus", str(3 * gpus), "--gpus-per-node", str(gpus))
    assert (more["nodes"], more["wait_longest_s"]) == (3, 0)

"""Waiting jobs changed over a real daemon: their order, their limit, over a crash, and only by those who may."""

import signal

from system.daemon_process import command_line, until


def ends(site, job_id):
    return site.job(job_id)["state"] == "succeeded"


def test_the_order_by_hand_is_kept_over_a_crash_and_runs_so(new_site):
    site = new_site()
    site.start()
    wish = {"argv": ["sh", "-c", "sleep 0.2"], "cwd": "/", "gpus": 8}
    [held] = site.submit_many([{**wish, "argv": ["sleep", "600"]}])
    until(lambda: site.job(held)["state"] == "running")
    jobs = site.submit_many([{**wish, "limit_s": 60.0}] * 3)
    said = command_line(site, "update", str(jobs[2]), "--first", "-o", "table")
    assert (said.returncode, said.stdout) == (0, f"Updated job {jobs[2]} (sh): priority 51.\n")
    assert command_line(site, "update", str(jobs[0]), "-p", "10", "-t", "30s").returncode == 0
    site.kill(signal.SIGKILL)
    until(lambda: not site.alive())
    site.start()
    assert [(site.job(job)["priority"], site.job(job)["limit_s"]) for job in jobs] == [
        (10, 30.0),
        (50, 60.0),
        (51, 60.0),
    ]
    refused = command_line(site, "update", str(held), "-t", "5m")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        5, f"error: job {held} is running; only a waiting job can be changed"
    )  # fmt: skip
    site.client.post("/v1/jobs/cancel", {"select": [str(held)], "signal": "KILL"})
    until(lambda: all(ends(site, job) for job in jobs))
    started = sorted(jobs, key=lambda job: site.job(job)["started_at"])
    assert started == [jobs[2], jobs[1], jobs[0]]

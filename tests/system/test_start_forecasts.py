"""What users of a real daemon are told about when their jobs start, and what the daemon says of its own forecasts."""

from system.daemon_process import command_line


def test_users_are_told_when_their_jobs_start_and_how_often_that_was_right(site):
    blocker = site.submit(sleep_s=60.0, cpus=64)
    site.await_state(blocker, "running")
    told = command_line(site, "submit", "--cpus", "64", "-o", "table", "--", "true").stdout
    assert "Likely to start in " in told
    for _ in range(3):
        site.await_state(site.submit(cpus=0))
    before = site.client.get("/v1/status")["forecasts"]
    assert (before["jobs"], before["late"], before["within_ratio"]) == (4, 0, 1.0)
    assert "100% started within the times given at submit" in command_line(site, "status").stdout
    site.restart()
    assert site.client.get("/v1/status")["forecasts"] == before

"""The wall clock is set by an hour, ahead and back, while jobs run: nothing that is counted in time goes by it."""

import time

from system.daemon_process import until
from system.faked_clock import clock

__all__ = ["clock"]
HOUR_S = 3600
LIMIT_S, RUN_S = 12, 11
#: Of a busy machine, and far from an hour.
LONGEST_S = 60.0


def steps_told(site):
    """Count them: steps that follow each other soon are one event with a count."""
    return sum(event["count"] for event in site.client.get("/v1/events", {"kind": "clock_stepped"})["events"])


def step(clock, offset_s, told):
    clock.set_s(offset_s)
    until(lambda: steps_told(clock.site) >= told, "the step being told")


def test_limits_run_times_and_waits_go_on_and_begin_times_go_by_the_clock_when_it_is_set_ahead_and_back(clock):
    site = clock.site
    limited = site.submit("exec sleep 600", limit_s=LIMIT_S, grace_s=5)
    ends, lives = site.submit(f"sleep {RUN_S}", code=3), site.submit("exec sleep 600", limit_s=1000, gpus=4)
    for job_id in (limited, ends, lives):
        site.await_state(job_id, "running")
    waits = site.submit(code=3, gpus=8)
    soon = site.submit(code=3, gpus=0, begin_at=time.time() + HOUR_S / 2)
    assert site.job(soon)["state"] == "waiting"

    step(clock, HOUR_S, 1)
    assert site.await_state(soon)["exit_code"] == 3, "it is later than its begin now"
    step(clock, -HOUR_S, 2)
    later = site.submit(code=3, gpus=0, begin_at=time.time() - HOUR_S / 2)
    assert [site.job(job_id)["state"] for job_id in (lives, waits, later)] == ["running", "waiting", "waiting"]

    assert site.await_state(limited)["state"] == "timed_out"
    assert LIMIT_S <= site.job(limited)["run_s"] < LONGEST_S
    ended = site.await_state(ends)
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    assert RUN_S <= ended["run_s"] < LONGEST_S
    assert site.job(lives)["state"] == "running", "its limit is a quarter of an hour, of its own time"
    site.client.post("/v1/jobs/cancel", {"select": [str(lives), str(later)]})
    assert site.await_state(lives)["state"] == "cancelled"
    assert site.await_state(waits)["exit_code"] == 3
    site.judge_resources()

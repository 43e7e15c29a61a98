"""The wall clock is set by an hour, ahead and back, while jobs run: nothing that is counted in time goes by it."""

import time

import pytest
from system.daemon_process import WITHIN_S, until
from system.faked_clock import clock

__all__ = ["clock"]
HOUR_S = 3600


def steps_told(site):
    return [event["evidence"]["step_s"] for event in site.client.get("/v1/events", {"kind": "clock_stepped"})["events"]]


def step(clock, offset_s, told):
    clock.set_s(offset_s)
    until(lambda: len(steps_told(clock.site)) >= told, "the step being told")


def test_limits_and_run_times_go_on_when_the_clock_is_set_ahead_and_back(clock):
    site = clock.site
    limited = site.submit("exec sleep 600", limit_s=6, grace_s=5)
    ends, lives = site.submit("sleep 5", code=3), site.submit("exec sleep 600", limit_s=1000, gpus=4)
    for job_id in (limited, ends, lives):
        site.await_state(job_id, "running")
    begun_s = time.monotonic()
    step(clock, HOUR_S, 1)
    step(clock, -HOUR_S, 2)
    if time.monotonic() - begun_s < 4:
        assert site.job(limited)["state"] == "running"
    assert site.job(lives)["state"] == "running"

    assert site.await_state(limited)["state"] == "timed_out"
    assert 6 <= site.job(limited)["run_s"] < WITHIN_S
    ended = site.await_state(ends)
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    assert 5 <= ended["run_s"] < WITHIN_S
    assert site.job(lives)["state"] == "running", "its limit is a quarter of an hour, of its own time"
    assert [round(step_s / HOUR_S) for step_s in steps_told(site)] == [1, -2]
    site.client.post("/v1/jobs/cancel", {"select": [str(lives)]})
    assert site.await_state(lives)["state"] == "cancelled"
    site.judge_resources()


def test_a_job_that_waits_for_gpus_starts_as_soon_as_they_are_free_whatever_the_clock_says(clock):
    site = clock.site
    gate = site.path / "gate"
    holds = site.submit(f"while ! test -e {gate}; do sleep 0.01; done", gpus=8)
    waits = site.submit(code=3, gpus=8)
    site.await_state(holds, "running")
    step(clock, HOUR_S, 1)
    after = site.submit(code=0, after=[str(waits)])
    step(clock, -HOUR_S, 2)
    assert site.job(waits)["state"] == "waiting"
    gate.touch()
    site.judge({holds: 0, waits: 3}) if False else None
    assert site.await_state(waits)["exit_code"] == 3
    assert site.job(after)["state"] in ("waiting", "cancelled")
    site.client.post("/v1/jobs/cancel", {"select": [str(after)]})
    site.judge_resources()


@pytest.mark.parametrize("offset_s", [HOUR_S, -HOUR_S])
def test_a_begin_time_goes_by_the_clock_as_it_was_set(clock, offset_s):
    site = clock.site
    soon = site.submit(code=3, begin_at=time.time() + HOUR_S / 2)
    assert site.job(soon)["state"] == "waiting"
    step(clock, offset_s, 1)
    if offset_s > 0:
        assert site.await_state(soon)["exit_code"] == 3
    else:
        assert site.job(soon)["state"] == "waiting"
    site.judge_resources()

"""Bookings on a real daemon, with real processes, through the command line."""

import json
import os
import pwd
import time
from datetime import datetime

import pytest
from system.daemon_process import command_line, until

USER = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def site(new_site):
    """A daemon with two accounts; whoever runs the test belongs to both."""
    made = new_site(
        DCD_ACCOUNTS__COURSE__USERS=USER, DCD_ACCOUNTS__VISION__USERS=USER
    )  # fmt: skip
    made.start()
    return made


def book(site, *options: str) -> dict:
    done = command_line(site, "book", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_window_for_nobody_opens_and_closes_by_itself(site):
    booking = book(site, "--gpus", "8", "--from", "+6s", "--for", "4s", "--reason", "new cables")
    opens_at, closes_at = epoch(booking["from_at"]), epoch(booking["until_at"])
    long, short = site.submit(sleep_s=0.1, limit_s=60.0), site.submit(sleep_s=0.1, limit_s=0.5, grace_s=0.5)
    before = site.await_state(short)
    assert site.job(long)["reason"]["code"] == "booked"
    why = command_line(site, "why", str(long)).stdout
    assert f"booked (booking {booking['id']})" in why
    until(lambda: time.time() > opens_at, "the beginning of the window")
    late = site.submit(sleep_s=0.0, limit_s=0.1, grace_s=0.0)
    gpus = command_line(site, "gpus", "--columns", "state,used by").stdout
    assert gpus.count("booked for nobody until") == 8
    jobs = site.await_all()
    assert {jobs[job_id]["state"] for job_id in (long, short, late)} == {"succeeded"}
    assert epoch(before["ended_at"]) <= opens_at
    assert min(epoch(jobs[job_id]["started_at"]) for job_id in (long, late)) >= closes_at
    assert json.loads(command_line(site, "bookings", "--json").stdout)["bookings"] == []
    site.judge({long: 0, short: 0, late: 0})


def test_inside_the_window_those_it_is_for_run_and_nobody_else(site):
    booking = book(site, "--gpu", "0-7", "--for", "60s", "--account", "course", "--name", "course")
    other = site.submit(sleep_s=0.1, account="vision")
    mine = [site.submit(sleep_s=0.1, account="course", gpus=4) for _ in range(3)]
    for job_id in mine:
        assert site.await_state(job_id)["state"] == "succeeded"
    assert site.job(other)["state"] == "waiting"
    site.restart()
    assert (site.job(other)["state"], site.job(other)["reason"]["code"]) == ("waiting", "booked")
    done = command_line(site, "unbook", str(booking["id"]))
    assert done.stdout.startswith(f"Called off booking {booking['id']} (course): GPUs 0-7 from ")
    assert site.await_state(other)["state"] == "succeeded"
    rows = site.query("SELECT action, user_name FROM audit WHERE action IN ('book', 'unbook') ORDER BY id")
    assert rows == [("book", USER), ("unbook", USER)]


def test_what_cannot_be_booked_is_one_error_and_nothing_is_booked(site):
    running = site.submit(sleep_s=30.0)
    site.await_state(running, "running")
    for options, said in (
        (("--gpus", "9", "--for", "1h"), "error: 9 GPUs cannot be booked, this node has 8\n"),
        (("--gpus", "8", "--for", "1h"), f"error: job {running} holds GPU 0 and may run into the window\n"),
        (("--gpus", "1", "--from", "2020-01-01", "--for", "1h"), "error: the booking would have begun "),
        (("--gpus", "1", "--for", "1h", "--user", "nobody-of-this-name"), "error: there is no user "),
        (
            ("--gpus", "1", "--for", "1h", "--account", "corse"),
            "error: there is no account 'corse'\nhint: did you mean",
        ),
    ):
        done = command_line(site, "book", *options)
        assert (done.stdout, done.stderr[: len(said)]) == ("", said)
        assert done.returncode > 0
    assert command_line(site, "bookings", "-q", "-a").stdout == ""
    forced = book(site, "--gpus", "8", "--for", "1h", "--force")
    assert forced["in_the_way"] == [running]
    command_line(site, "cancel", str(running))

"""A real daemon with queues, an account and a quota: what is configured holds, and use outlives a killed daemon."""

import os
import pwd
from collections.abc import Callable

import pytest
from system.daemon_process import Site, command_line

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def shared(new_site: Callable[..., Site]) -> Site:
    site = new_site(
        DCD_QUEUES__MAIN__DEFAULT="true", DCD_QUEUES__MAIN__MAX_JOBS_PER_USER="2", DCD_QUEUES__SHORT__GPUS="1,99",
        DCD_QUEUES__SHORT__MAX_LIMIT="1h", DCD_QUEUES__SHORT__ORDER="fair-share", DCD_ACCOUNTS__LAB__USERS=ME,
        DCD_QUOTAS__GPUS_PER_USER="1",
    )  # fmt: skip
    site.start()
    return site


def test_jobs_get_the_gpus_the_limit_and_the_account_of_their_queue(shared: Site) -> None:
    jobs = [shared.submit(sleep_s=60, queue="short") for _ in range(2)]
    running = shared.await_state(jobs[0], "running")
    assert (running["gpus"], running["queue"], running["account"], running["limit_s"]) == ([1], "short", "lab", 3600.0)
    waiting = shared.job(jobs[1])
    assert (waiting["state"], waiting["reason"]["code"]) == ("waiting", "gpus_busy")
    short = next(queue for queue in shared.client.get("/v1/queues")["queues"] if queue["name"] == "short")
    assert (short["gpus"], short["gpus_missing"], short["running_jobs"], short["waiting_jobs"]) == ([1], [99], 1, 1)


def test_a_limit_holds_and_beyond_a_quota_gpus_are_lent(shared: Site) -> None:
    jobs = [shared.submit(sleep_s=60) for _ in range(3)]
    for job in jobs[:2]:
        shared.await_state(job, "running")
    assert [shared.job(job)["lent"] for job in jobs] == [False, True, False]
    assert shared.job(jobs[2])["reason"]["code"] == "queue_limit"
    said = command_line(shared, "queues")
    assert said.returncode == 0
    assert f"{ME}: 2 GPUs in use, 1 of them lent" in said.stderr
    assert f"quota of {ME}: 2 of 1 GPUs" in said.stderr


def test_use_is_neither_lost_nor_counted_twice_when_the_daemon_is_killed(shared: Site) -> None:
    ended, running = shared.submit(sleep_s=0.5, queue="short"), shared.submit(sleep_s=60)
    run_s = shared.await_state(ended, "succeeded")["run_s"]
    shared.restart()
    shared.restart()
    assert shared.job(running)["state"] == "running"
    [line] = [line for line in shared.client.get("/v1/shares")["shares"] if line["user"] == ME]
    both_s = run_s + shared.job(running)["run_s"]
    assert (line["account"], line["running_gpus"]) == ("lab", 1)
    assert line["usage_gpu_s"] == pytest.approx(both_s, rel=0.05)
    assert shared.query("SELECT account, user_name, ROUND(SUM(gpu_s), 3) FROM gpu_time") == [("lab", ME, run_s)]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["-Q", "shrot"], 4, "there is no queue 'shrot'"),
        (["-A", "lob"], 4, "there is no account 'lob'"),
        (["-Q", "short", "-t", "2h"], 5, "queue short runs no job longer than 1h, this one asks for 2h"),
        (["-Q", "short", "-g", "2"], 5, "the job asks for 2 GPUs, queue short has 1"),
    ],
)
def test_what_cannot_be_is_refused_in_two_lines(shared: Site, options: list[str], code: int, message: str) -> None:
    said = command_line(shared, "submit", *options, "--", "true")
    assert (said.returncode, said.stdout) == (code, "")
    error, hint = said.stderr.splitlines()
    assert error == f"error: {message}"
    assert hint.startswith("hint: ")
    assert shared.jobs() == {}


def test_a_configuration_that_cannot_be_meant_is_told_by_the_check(shared: Site) -> None:
    shared.env |= {"DCD_QUEUES__LONG__DEFAULT": "true"}
    said = command_line(shared, "config", "check")
    assert said.returncode == 2
    assert said.stderr.splitlines()[0] == "error: queues.long and queues.main are each the default queue"

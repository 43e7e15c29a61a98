"""The power goes while jobs run and wait, and comes back."""

import pytest
from vm.steps import NOTES

BUSY = "echo attempt $DCD_ATTEMPT; sync; while [ ! -e ~/end ]; do sleep 0.2; done; echo ended"


@pytest.fixture(scope="module")
def jobs(node):
    """What was there before the cut: one job of each kind; the power is back."""
    ids = {
        "ended": node.submit("echo long ago"),
        "running": node.submit(BUSY, "-g", "2"),
        "to be run again": node.submit(BUSY, "-g", "2", "--requeue", user="ben"),
    }
    node.wait(ids["ended"])
    for name in ("running", "to be run again"):
        node.until_log(ids[name], says="attempt 1")
    ids["waiting"] = node.submit("echo at last", "-g", "4")
    # Its answer is the last that was seen before the cut.
    ids["just queued"] = node.submit("echo at last", "-g", "3", user="ben")
    NOTES.append(f"power cut: {node.machine.power_cut()} writes of the disk's cache are lost")
    node.machine.boot()
    node.until_active()
    return ids


def test_the_machine_comes_up_with_the_service(node, jobs):
    assert node.property("ActiveState") == "active"
    assert node.machine.check("dcd", "db", "check")


def test_a_job_that_ran_is_interrupted(node, jobs):
    told = node.show(jobs["running"])
    assert (told["state"], told["attempt"]) == ("interrupted", 1), told
    assert node.log(jobs["running"]) == "attempt 1\n"


def test_a_job_whose_user_asked_for_it_runs_again_and_both_logs_are_there(node, jobs):
    job_id = jobs["to be run again"]
    node.until_log(job_id, says="attempt 2")
    told = node.show(job_id)
    assert (told["state"], told["attempt"]) == ("running", 2), told
    assert node.dcd("logs", "--attempt", "1", str(job_id), user="ben").out == "attempt 1\n"
    assert node.dcd("logs", str(job_id), user="ben").out == "attempt 2\n"


def test_what_waited_is_there_and_what_had_ended_has_ended(node, jobs):
    assert node.show(jobs["ended"])["state"] == "succeeded"
    assert node.log(jobs["ended"]) == "long ago\n"
    # Where the GPUs are free at once, they may have had their turn already: their first and only one.
    told = [node.show(jobs[name]) for name in ("waiting", "just queued")]
    assert all(job["state"] in ("waiting", "starting", "running", "succeeded") for job in told), told
    assert all(job["attempt"] <= 1 for job in told), told


def test_all_of_it_comes_to_a_good_end(node, jobs):
    node.machine.put("/home/ben/end", b"", user="ben")
    rest = [jobs[name] for name in ("to be run again", "waiting", "just queued")]
    node.wait(*rest)
    assert [node.show(job_id)["state"] for job_id in rest] == ["succeeded"] * 3
    assert node.log(jobs["to be run again"]) == "attempt 2\nended\n"
    assert [node.log(jobs[name]) for name in ("waiting", "just queued")] == ["at last\n"] * 2
    node.until_status("0 running, 0 waiting, 4 GPUs")

"""Two users on one node: each job is its submitter's, and nobody else's."""

import pytest

WAITS = "echo mine; while [ ! -e ~/end ]; do sleep 0.2; done"


@pytest.fixture(scope="module")
def jobs(node):
    """A running job of each user."""
    ids = {
        user: node.submit(f"id -un; cat /proc/self/cgroup; {WAITS}", "-g", "1", user=user) for user in ("ada", "ben")
    }
    for job_id in ids.values():
        node.until_log(job_id, says="mine")
    yield ids
    for user, job_id in ids.items():
        node.machine.put(f"/home/{user}/end", b"")
        node.wait(job_id)
        node.machine.check("rm", "-f", f"/home/{user}/end")


def test_each_job_runs_as_its_submitter_in_a_unit_of_its_own(node, jobs):
    for user, job_id in jobs.items():
        group = f"/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-{job_id}.service"
        assert node.log(job_id).splitlines() == [user, f"0::{group}", "mine"]
        assert node.property("ControlGroup", f"dcd-job-{job_id}.service") == group
        assert node.dcd("logs", str(job_id), user=user).out == node.log(job_id)
        document = node.show(job_id)
        assert (document["user"], document["state"]) == (user, "running")
    assert {node.show(job_id)["gpus"][0] for job_id in jobs.values()} == {0, 1}
    assert node.property("StatusText") == "2 running, 0 waiting, 4 GPUs"


def test_a_user_can_neither_read_nor_end_the_job_of_another(node, jobs):
    job_id = str(jobs["ada"])
    for verb in (("logs", job_id), ("cancel", "-y", job_id), ("requeue", job_id), ("hold", job_id)):
        refused = node.dcd(*verb, user="ben")
        assert refused.rc != 0, verb
        assert "mine" not in refused.out, verb
    assert node.show(jobs["ada"])["state"] == "running"


def test_nor_by_going_around_the_daemon(node, jobs):
    attempt = f"/var/lib/dcdaemon/jobs/{jobs['ada']}/1"
    for command in (
        ("cat", f"{attempt}/output.log"), ("ls", attempt), ("touch", f"{attempt}/exit.json"),
        ("cat", "/var/lib/dcdaemon/dcdaemon.db"), ("systemctl", "stop", f"dcd-job-{jobs['ada']}.service"),
        ("kill", node.property("MainPID", f"dcd-job-{jobs['ada']}.service")),
    ):  # fmt: skip
        assert node.machine.run(*command, user="ben").rc != 0, command
    # Her own directory is not hers either: she could write another end into it.
    assert node.machine.run("touch", f"{attempt}/exit.json", user="ada").rc != 0
    assert node.show(jobs["ada"])["state"] == "running"


def test_the_environment_of_a_job_is_told_to_nobody(node):
    job_id = node.submit("echo $SECRET; sleep 1000", "--env", "SECRET=hush-hush", user="ada")
    node.until_log(job_id, says="hush-hush")
    unit = f"dcd-job-{job_id}.service"
    for command in (("systemctl", "show", unit), ("systemctl", "cat", unit), ("dcd", "show", str(job_id))):
        assert "hush-hush" not in node.machine.run(*command, user="ben").out, command
    node.machine.check("dcd", "cancel", "-y", str(job_id), user="ada")
    node.wait(job_id)
    assert node.show(job_id)["state"] == "cancelled"

"""What `dcd service remove` leaves: the data, and nothing else."""

import pytest

#: Where an installation puts files, and what there is the product's data.
_INSTALLED = ("/etc/", "/usr/", "/lib/", "/opt/", "/var/lib/")
_DATA = ("/var/lib/dcdaemon", "/etc/dcdaemon", "/etc/default/dcdaemon")
#: Written by systemd for the units of anybody; code that was imported.
_OTHERS = ("/var/lib/systemd/", "/opt/dcdaemon/")


@pytest.fixture(scope="module")
def running(node):
    """A job that runs throughout."""
    job_id = node.submit("while [ ! -e ~/removed ]; do sleep 0.2; done; exit 5")
    node.until_state(job_id, "running")
    return job_id


def test_it_is_refused_while_a_job_runs(node, running):
    refused = node.dcd("service", "remove")
    assert refused.rc != 0
    assert "a job runs" in refused.out
    assert node.show(running)["state"] == "running"


def test_nothing_is_left_but_data_and_the_job(node, running):
    node.machine.check("dcd", "service", "remove", "--force")
    assert node.property("LoadState") == "not-found"
    left = node.files() - node.files_before
    assert sorted(path for path in left if path.startswith(_INSTALLED) and not path.startswith(_DATA + _OTHERS)) == []
    assert any(path.startswith("/var/lib/dcdaemon/jobs/") for path in left)
    units = node.machine.check(
        "systemctl", "list-units", "--all", "--no-legend", "--plain", "dcd-job-*.service", "dcdaemon*.service"
    )
    assert [line.split()[0] for line in units.splitlines()] == [f"dcd-job-{running}.service"]
    # Not /tmp, which is emptied at each boot, nor /opt, where the upgrade put another version.
    before = {path for path in node.files_before if path.startswith(("/etc/", "/usr/", "/lib/"))}
    assert before - node.files() == set(), "it took what was there before it"


def test_a_service_installed_again_knows_how_the_job_ended_meanwhile(node, running):
    node.machine.put("/home/ada/removed", b"", user="ada")
    node.machine.until("systemctl", "is-active", f"dcd-job-{running}.service", says="inactive")
    node.machine.check("/opt/dcdaemon/bin/dcd", "service", "install")
    [told] = node.wait(running)
    assert (told["state"], told["exit_code"], told["attempt"]) == ("failed", 5, 1)

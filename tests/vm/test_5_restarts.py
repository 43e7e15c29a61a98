"""The daemon ends in every way there is; the jobs do not notice, and nothing of theirs is forgotten."""

import tempfile
from pathlib import Path

import pytest
from vm import wheels

NEWER = "99.0.0"


class Trainings:
    """Two jobs that run throughout: what they were at first, and whether they are that still."""

    def __init__(self, node) -> None:
        self.node = node
        script = "echo begun; while [ ! -e ~/end ]; do sleep 0.2; done; exit 7"
        self.ids = [node.submit(script, "-g", "1", user=user) for user in ("ada", "ben")]
        for job_id in self.ids:
            node.until_log(job_id, says="begun")
            node.until(lambda job_id=job_id: node.show(job_id)["pids"], f"the processes of job {job_id}")
        self.first = self._now()

    def _now(self) -> list[tuple]:
        return [self._of(job_id) for job_id in self.ids]

    def _of(self, job_id: int) -> tuple:
        """Its first process is the shell, the others are what that waits with."""
        job, unit = self.node.show(job_id), f"dcd-job-{job_id}.service"
        shim = self.node.property("MainPID", unit)
        return job["state"], job["attempt"], job["gpus"], job["started_at"], shim, min(job["pids"], default=None)

    def are_untouched(self) -> None:
        """Check that they run, in the same processes, on the same GPUs, and have begun once."""
        assert [state for state, *_ in self.first] == ["running", "running"]
        assert all(pid for *_, pid in self.first)
        assert self._now() == self.first
        for job_id in self.ids:
            assert self.node.log(job_id) == "begun\n"

    def end(self) -> None:
        for user in ("ada", "ben"):
            self.node.machine.put(f"/home/{user}/end", b"")

    def close(self) -> None:
        self.end()
        self.node.until_active()
        self.node.wait(*self.ids)
        self.node.machine.check("rm", "-f", "/home/ada/end", "/home/ben/end")


@pytest.fixture(scope="module")
def trainings(node):
    made = Trainings(node)
    yield made
    made.close()


@pytest.fixture(scope="module")
def impatient(node):
    """A watchdog of 30 s, from the next start of the daemon to the one after this is over."""
    dropin = "/etc/systemd/system/dcdaemon.service.d/50-impatient.conf"
    node.machine.put(dropin, b"[Service]\nWatchdogSec=30s\nTimeoutAbortSec=2s\n")
    node.machine.check("systemctl", "daemon-reload")
    yield
    node.machine.check("rm", "-r", str(Path(dropin).parent))
    node.machine.check("systemctl", "daemon-reload")


def test_a_restart_leaves_jobs_alone(node, trainings, impatient):
    pid = node.main_pid()
    node.machine.check("systemctl", "restart", "dcdaemon.service")
    assert node.main_pid() != pid
    trainings.are_untouched()


def test_a_daemon_that_was_killed_is_started_again_and_finds_its_jobs(node, trainings):
    pid = node.main_pid()
    node.machine.check("systemctl", "kill", "--kill-who=main", "--signal=KILL", "dcdaemon.service")
    node.until_another_daemon(pid)
    trainings.are_untouched()


def test_a_daemon_that_hangs_is_replaced_by_the_watchdog_and_jobs_go_on(node, trainings, impatient):
    pid = node.main_pid()
    node.machine.check("kill", "-STOP", str(pid))
    node.until_another_daemon(pid)
    said = node.machine.check("journalctl", "--no-pager", "--unit=dcdaemon.service", "--boot")
    assert "Watchdog timeout" in said
    trainings.are_untouched()


def test_an_upgrade_with_jobs_running_adopts_them(node, trainings):
    with tempfile.TemporaryDirectory() as folder:
        wheel = wheels.product(Path(folder), NEWER)
        node.machine.put(f"/root/{wheel.name}", wheel.read_bytes())
    node.machine.check("/opt/dcdaemon/bin/pip", "install", "--quiet", "--no-index", "--no-deps", f"/root/{wheel.name}")
    node.machine.check("/opt/dcdaemon/bin/dcd", "service", "install")
    assert f"dcdaemon {NEWER}" in node.machine.check("dcd", "status")
    trainings.are_untouched()


def test_a_reload_with_a_bad_file_is_refused_and_the_daemon_goes_on(node, trainings):
    pid, bad = node.main_pid(), "/etc/dcdaemon/conf.d/90-bad.toml"
    node.machine.put(bad, b'[jobs]\ngrace = "a while"\n')
    node.machine.run("systemctl", "reload", "dcdaemon.service")
    journal = ("journalctl", "--no-pager", "--unit=dcdaemon.service", "--priority=warning", "--boot")
    assert "jobs.grace" in node.machine.until(*journal, says="90-bad.toml")
    assert node.main_pid() == pid
    trainings.are_untouched()
    node.machine.check("rm", bad)
    node.machine.check("systemctl", "reload", "dcdaemon.service")


def test_a_clock_that_is_set_back_and_forth_changes_no_state(node, trainings):
    limited = node.submit("while [ ! -e ~/clock ]; do sleep 0.2; done; echo in time", "-t", "50m")
    node.until_state(limited, "running")
    for step in ("+1 hour", "-2 hours", "+1 hour"):
        node.machine.check("date", "--set", step)
        done = node.submit("exit 3", user="ben")
        node.wait(done)
        told = node.show(done)
        assert (told["state"], told["exit_code"]) == ("failed", 3)
        assert 0 <= told["run_s"] < 600, told
        assert node.show(limited)["state"] == "running"
        trainings.are_untouched()
    node.machine.put("/home/ada/clock", b"", user="ada")
    node.wait(limited)
    told = node.show(limited)
    assert told["state"] == "succeeded", told
    assert 0 < told["run_s"] < 3000, told


def test_exit_codes_are_kept_though_no_daemon_was_there(node, trainings):
    """The last of this file: it ends the trainings."""
    node.machine.check("systemctl", "stop", "dcdaemon.service")
    trainings.end()
    for job_id in trainings.ids:
        node.machine.until("systemctl", "is-active", f"dcd-job-{job_id}.service", says="inactive")
    node.machine.check("systemctl", "start", "dcdaemon.service")
    node.wait(*trainings.ids)
    for job_id in trainings.ids:
        told = node.show(job_id)
        assert (told["state"], told["exit_code"], told["attempt"]) == ("failed", 7, 1)

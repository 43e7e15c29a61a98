"""An end is reported once nothing of the job is left, and never on the word of a file alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dcdaemon.core.errors import StartFailed
from dcdaemon.runner import cgroup, processes
from dcdaemon.runner.attempt import AttemptDirectory
from dcdaemon.runner.cgroup import Cgroup
from dcdaemon.runner.processes import job_of_unit
from dcdaemon.runner.records import Ended, Leftover, Running, read_run_record

FORGED = {
    "version": 1, "job_id": 1, "attempt": 1, "launch": 1, "cause": "exited", "exit_code": 0, "signal": None,
    "started_at": 1.0, "ended_at": 2.0, "run_s": 1.0, "error": None,
    "rusage": {"user_cpu_s": 0, "system_cpu_s": 0, "max_rss_bytes": 0},
}  # fmt: skip


def test_a_record_of_the_end_counts_for_nothing_while_shim_or_job_live(node, wait_until):
    spec = node.start("sh", "-c", "echo up; exec sleep 1000")
    wait_until(lambda: node.log(spec) == "up\n")
    directory = node.launcher.attempt(spec.job_id, 1)
    (directory.path / "exit.json").write_text(json.dumps(FORGED))
    assert isinstance(node.outcome(spec), Running)
    [pid] = node.launcher.pids(spec.job_id, 1)
    shim = directory.shim()
    shim.send(signal.SIGKILL)
    wait_until(lambda: not shim.alive())
    assert node.outcome(spec).pids == (pid,)
    assert isinstance(node.next_end(), Leftover)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(node.next_end(), Ended)


def test_a_process_of_the_session_holds_the_end_back_whatever_the_record_says(node, wait_until):
    spec = node.start(
        sys.executable, "-I", "-S", "-c", "import os, time; os.environb.clear(); print(1, flush=True); time.sleep(1000)"
    )
    wait_until(lambda: node.log(spec) == "1\n")
    directory = node.launcher.attempt(spec.job_id, 1)
    directory.shim().send(signal.SIGKILL)
    (directory.path / "exit.json").write_text(json.dumps(FORGED))
    left = wait_until(lambda: isinstance(found := node.outcome(spec), Leftover) and found)
    os.kill(left.pids[0], signal.SIGKILL)
    wait_until(lambda: isinstance(node.outcome(spec), Ended))


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control group of a unit, as files."""
    monkeypatch.setattr(cgroup.Cgroup.directory, "__defaults__", (tmp_path / "cgroup",))
    place = tmp_path / "cgroup/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-1.service"
    place.mkdir(parents=True)
    return place


def test_what_is_in_the_unit_is_the_jobs_although_it_has_nothing_else_of_it(node, unit, wait_until):
    spec = node.start("true")
    node.end_of(spec)
    directory = node.launcher.attempt(spec.job_id, 1)
    record = json.loads((directory.path / "state.json").read_text())
    path = "/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-1.service"
    record["cgroup"] = {"path": path, "inode": unit.stat().st_ino}
    (directory.path / "state.json").write_text(json.dumps(record))
    assert read_run_record(directory.path / "state.json").cgroup == Cgroup(path, unit.stat().st_ino)
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        (unit / "cgroup.procs").write_text(f"{stranger.pid}\n")
        assert node.outcome(spec).pids == (stranger.pid,)
        assert node.launcher.pids(spec.job_id, 1) == (stranger.pid,)
        assert node.launcher.kill_leftovers(spec.job_id, 1) == 1
    assert isinstance(node.outcome(spec), Ended)
    (unit / "cgroup.procs").unlink()
    unit.rmdir()
    assert isinstance(node.outcome(spec), Ended), "a group that is gone is empty"


@pytest.mark.parametrize("path", ["relative", "/a/../../etc", 5])
def test_a_run_record_with_no_path_of_a_group_is_none(tmp_path, path):
    record = {
        "version": 1, "job_id": 1, "attempt": 1, "launch": 1, "shim_pid": 1, "shim_start_ticks": 1, "pid": 1,
        "pid_start_ticks": 1, "uid": 1, "boot_id": "b", "started_at": 1.0, "cgroup": {"path": path, "inode": 1},
    }  # fmt: skip
    (tmp_path / "state.json").write_text(json.dumps(record))
    assert read_run_record(tmp_path / "state.json") is None


@pytest.mark.parametrize("stands", ["link", "file"])
def test_what_stands_in_the_place_of_a_jobs_directory_is_not_written_through(node, tmp_path, stands):
    spec = node.spec("true")
    jobs = node.state_dir / "jobs"
    jobs.mkdir()
    (tmp_path / "elsewhere").mkdir()
    place = jobs / str(spec.job_id)
    place.symlink_to(tmp_path / "elsewhere") if stands == "link" else place.touch()
    with pytest.raises(StartFailed, match=f"cannot start job {spec.job_id}: cannot write to"):
        node.launcher.launch(spec)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_not_used(node):
    spec = node.spec("true")
    directory = node.launcher.attempt(spec.job_id, 1)
    directory.path.mkdir(parents=True)
    os.chown(directory.path, 54321, 54321)
    with pytest.raises(StartFailed, match="belongs to somebody else"):
        node.launcher.launch(spec)


def test_a_directory_that_others_may_write_to_is_closed_to_them_before_it_is_used(node):
    spec = node.spec("true")
    directory: AttemptDirectory = node.launcher.attempt(spec.job_id, 1)
    directory.path.mkdir(parents=True)
    directory.path.chmod(0o777)
    node.launcher.launch(spec)
    assert directory.path.stat().st_mode & 0o777 == 0o711
    node.end_of(spec)


@pytest.mark.parametrize(
    ("group", "manager", "job"),
    [
        ("/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service", "", 42),
        ("/user.slice/user-7.slice/user@7.service/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service",
         "/user.slice/user-7.slice/user@7.service", 42),
        # The units of another user, and of the system, are not those of this user's manager.
        ("/user.slice/user-8.slice/user@8.service/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service",
         "/user.slice/user-7.slice/user@7.service", None),
        ("/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service", "/user.slice/user-7.slice/user@7.service", None),
    ],
)  # fmt: skip
def test_a_process_is_of_the_job_whose_unit_the_own_manager_started(tmp_path, monkeypatch, group, manager, job):
    monkeypatch.setattr(processes, "PROC", tmp_path)
    (tmp_path / "77").mkdir()
    (tmp_path / "77/cgroup").write_text(f"0::{group}\n")
    assert job_of_unit(77, manager) == job

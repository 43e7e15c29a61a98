from pathlib import Path

import pytest

from dcdaemon.runner import processes
from dcdaemon.runner.processes import job_of_unit


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "PROC", tmp_path)
    (tmp_path / "77").mkdir()

    def write(text: str) -> int | None:
        (tmp_path / "77" / "cgroup").write_text(text)
        return job_of_unit(77)

    return write


@pytest.mark.parametrize(
    "line",
    [
        "0::/system.slice/dcd-job-42.service\n",
        "0::/dcdaemon.slice/dcd-job-42.scope\n",
        "0::/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.scope/inner/deep\n",
        "12:cpu:/elsewhere\n1:name=systemd:/system.slice/dcd-job-42.service\n",
    ],
)
def test_a_process_in_the_unit_of_a_job_is_the_jobs(cgroup, line):
    assert cgroup(line) == 42


@pytest.mark.parametrize(
    "line",
    [
        "0::/\n",
        "",
        "0::/system.slice/ssh.service\n",
        "0::/system.slice/dcd-job-x.service\n",
        "0::/system.slice/my-dcd-job-42.service\n",
        # What a user starts by the same name is not the job's.
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/dcd-job-42.service\n",
        "0::/user.slice/user-1000.slice/session-3.scope/dcd-job-42.scope\n",
    ],
)
def test_any_other_process_is_not(cgroup, line):
    assert cgroup(line) is None


def test_a_process_that_is_gone_is_nobodys(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert job_of_unit(77) is None

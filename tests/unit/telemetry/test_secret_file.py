"""Secrets in files: whose they may be, and what is said of those that will not do."""

import os
from pathlib import Path

import pytest

from dcdaemon.telemetry.secret_file import BadSecret, read_secret


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(" secret words\n")
    file.chmod(0o600)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(BadSecret) as refused:
        read_secret(file, "community")
    return str(refused.value)


def test_a_secret_is_what_its_file_holds_without_the_space_around_it(file):
    assert read_secret(file, "community") == b"secret words"
    file.chmod(0o400)
    assert read_secret(file, "community") == b"secret words"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused(file, mode):
    file.chmod(mode)
    assert refusal(file) == f"{file} may be read by others (mode {mode:04o}): chmod 600 {file}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(file):
    os.chown(file, 65534, -1)
    assert refusal(file) == f"{file} belongs to user 65534, who may change it: chown root {file}"


def test_a_file_that_is_not_there_or_empty_is_refused(file):
    file.write_text("\n")
    assert refusal(file) == f"{file} is empty: it should hold the community"
    file.unlink()
    assert refusal(file) == f"the community in {file} cannot be read: No such file or directory"


def test_what_is_no_file_is_refused_and_not_waited_for(file, tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} is no file"
    file.unlink()
    os.mkfifo(file, 0o600)
    assert refusal(file) == f"{file} is no file"


def test_the_end_of_a_secret_that_is_too_long_is_not_cut_off(file):
    file.write_bytes(b"x" * 5000)
    assert refusal(file) == f"{file} is longer than 4096 bytes"


def test_no_file_stays_open(file):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  only how many
    read_secret(file, "community")
    refusal(file.parent)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  only how many

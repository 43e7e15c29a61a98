"""Environments of jobs on disk: private, shared where equal, forgotten when nobody needs them."""

import os
import time

import pytest

from dcdaemon.core.errors import Refused, StartFailed, StoreUnavailable
from dcdaemon.runner import envs as envs_module
from dcdaemon.runner.envs import EnvFiles

LONG_AGO = time.time() - 7200


@pytest.fixture
def envs(tmp_path):
    return EnvFiles(tmp_path / "env")


def files(envs):
    return sorted(path.name for path in envs._directory.iterdir())


def test_an_environment_comes_back_as_it_was(envs):
    env = {"TOKEN": "hunter2", "EMPTY": "", "WORD": "\udc80 not utf-8"}
    assert envs.load(envs.keep(1000, env)) == env


def test_files_are_private_and_their_names_tell_nothing(envs, tmp_path):
    ref = envs.keep(1000, {"A": "1"})
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "env" / ref).stat().st_mode & 0o777 == 0o600
    assert EnvFiles(tmp_path / "other").keep(1000, {"A": "1"}) != ref, "without the key it cannot be guessed"


def test_equal_environments_of_one_user_share_a_file_and_those_of_two_do_not(envs):
    assert envs.keep(1000, {"A": "1", "B": "2"}) == envs.keep(1000, {"B": "2", "A": "1"})
    assert envs.keep(1000, {"A": "1"}) != envs.keep(1001, {"A": "1"})


def test_only_old_ones_that_nobody_needs_are_forgotten(envs, tmp_path):
    needed, stale, fresh = (envs.keep(1000, {"A": value}) for value in ("needed", "stale", "fresh"))
    for ref in (needed, stale):
        os.utime(tmp_path / "env" / ref, (LONG_AGO, LONG_AGO))
    assert envs.keep_only(lambda: {needed}) == 1
    assert files(envs) == sorted(["key", needed, fresh])


def test_a_submit_makes_an_old_one_young_again(envs, tmp_path):
    ref = envs.keep(1000, {"A": "1"})
    os.utime(tmp_path / "env" / ref, (LONG_AGO, LONG_AGO))
    envs.keep(1000, {"A": "1"})
    assert envs.keep_only(set) == 0


def test_a_missing_one_is_a_failure_to_start(envs):
    with pytest.raises(StartFailed, match="cannot be read"):
        envs.load("0" * 40)


def test_a_disk_that_refuses_leaves_nothing_half_written(envs, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        envs.keep(1000, {"A": "1"})
    assert files(envs) == ["key"]


def test_one_user_cannot_fill_the_disk_with_environments_not_even_across_a_restart(envs, tmp_path, monkeypatch):
    monkeypatch.setattr(envs_module, "USER_MAX_BYTES", 3000)
    user = os.geteuid() + 1000
    first = envs.keep(user, {"A": "x" * 2000})
    for again in (envs, EnvFiles(tmp_path / "env")):
        with pytest.raises(Refused, match="environments of your jobs would take"):
            again.keep(user, {"B": "x" * 2000})
        assert again.keep(user, {"A": "x" * 2000}) == first, "it is there already"
        again.keep(user + 1, {"A": str(again) + "x" * 1000})


def test_what_is_forgotten_makes_room(envs, tmp_path, monkeypatch):
    monkeypatch.setattr(envs_module, "USER_MAX_BYTES", 3000)
    user = os.geteuid() + 1000
    ref = envs.keep(user, {"A": "x" * 2000})
    os.utime(tmp_path / "env" / ref, (LONG_AGO, LONG_AGO))
    envs.keep_only(set)
    envs.keep(user, {"B": "x" * 2000})

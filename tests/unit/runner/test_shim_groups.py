"""A job's groups: its user's, and the one that opens the GPUs where they are closed to all but jobs."""

import os
import pwd

import pytest

from dcdaemon.runner import shim_child

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts jobs of others")


def groups_of_a_job(extra: list[int]) -> list[int]:
    """Become nobody in a child as the shim does, and return its groups."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            shim_child._become_user(NOBODY, NOBODY, extra)
            os.write(write, " ".join(map(str, sorted(os.getgroups()))).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        groups = [int(word) for word in pipe.read().split()]
    os.waitpid(child, 0)
    return groups


def test_a_job_has_the_groups_of_its_user_and_no_more():
    assert groups_of_a_job([]) == sorted(os.getgrouplist(pwd.getpwuid(NOBODY).pw_name, NOBODY))


def test_a_job_with_gpus_has_the_group_that_opens_them_as_well():
    assert groups_of_a_job([54321]) == sorted([*groups_of_a_job([]), 54321])

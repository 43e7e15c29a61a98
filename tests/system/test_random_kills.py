"""SIGKILL of daemon, shims, fork-server and NVML child at random: each job runs once, ends in its true state."""

import pytest
from system.random_kills import DAEMON, FORK_SERVER, NVML_CHILD, SHIM, live_through_kills


@pytest.mark.slow
def test_jobs_live_through_forty_random_kills(new_site, driver_of_eight):
    site = new_site(**driver_of_eight)
    story = live_through_kills(site, seed=1, kills=40)
    assert set(story.kills) == {DAEMON, SHIM, FORK_SERVER, NVML_CHILD}
    assert len(story.expected) >= 10
    site.judge(story.expected, story.lost)

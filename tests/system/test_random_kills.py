"""SIGKILL of the daemon at random moments over fifty job lives: each runs exactly once and ends in its true state."""

import pytest
from system.random_kills import live_through_kills


@pytest.mark.slow
def test_fifty_jobs_live_through_random_kills(new_site):
    site = new_site()
    story = live_through_kills(site, seed=1, jobs=50)
    assert story.kills >= 15
    site.judge(story.expected)

"""Many job lives under random kills, with several seeds; its numbers stand in docs/reliability.md."""

import sys

import pytest
from system.random_kills import live_through_kills

pytestmark = pytest.mark.proof
JOBS = 100


@pytest.mark.parametrize("seed", [101, 102, 103, 104, 105])
def test_a_hundred_jobs_live_through_random_kills(new_site, seed, capsys):
    site = new_site()
    story = live_through_kills(site, seed=seed, jobs=JOBS)
    site.judge(story.expected)
    with capsys.disabled():
        sys.stdout.write(
            f"\nseed {seed}: {len(story.expected)} answered submits, {story.unanswered} unanswered, "
            f"{story.kills} kills of the daemon, {story.fork_server_kills} of the fork-server: each job ran once\n"
        )

"""Five hundred kills of daemon, shims, fork-server and NVML child; the rows stand in docs/reliability.md."""

import sys

import pytest
from system.random_kills import live_through_kills

pytestmark = pytest.mark.proof
KILLS = 100


@pytest.mark.parametrize("seed", [101, 102, 103, 104, 105])
def test_jobs_live_through_a_hundred_random_kills(new_site, driver_of_eight, seed, capsys):
    site = new_site(**driver_of_eight)
    story = live_through_kills(site, seed=seed, kills=KILLS)
    site.judge(story.expected, story.lost)
    with capsys.disabled():
        sys.stdout.write(f"\n{story.row(seed)}\n")

"""24 hours with a daemon killed every minute, in virtual time on a real database; and a real one killed 200 times."""

import contextlib
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from simulation.mortal_life import MortalLife
from system.daemon_process import until
from system.random_kills import (
    FORK_SERVER,
    NVML_CHILD,
    SHIM,
    Story,
    children_of,
    kill,
    submit_one,
)

from dcdaemon.store.check import check_file

pytestmark = pytest.mark.proof
MINUTES = 24 * 60
KILLS = 200
#: By then the daemon has opened what it opens when there is much to do at once, and keeps.
WARM_KILLS = 100
POOLED = 12
LIFE_S = 0.8


@pytest.mark.parametrize("seed", [301])
def test_a_day_with_a_kill_every_minute(tmp_path, seed, capsys):
    open_before = descriptors(os.getpid())
    life = MortalLife(seed, tmp_path / "dcdaemon.db")
    life.kill_every_minute(MINUTES)
    life.jobs_come(MINUTES * 60.0)
    life.live(MINUTES * 60.0)
    life.finish()
    jobs, booked = len(life.scene.jobs()), life.booked_as_counted()
    wrong, orphans = life.wrong_ends(), life.scene.engine.living()
    life.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\nseed {seed}: {life.crashes} kills {dict(life.fate.kills)}, {len(life.answered)} answered submits, "
            f"{jobs} jobs, {len(life.broken)} lost or doubled, {len(wrong)} wrong ends, {len(orphans)} orphans, "
            f"{len(life.violations)} violations, {descriptors(os.getpid()) - open_before} more descriptors\n"
        )
    assert booked
    assert (wrong, orphans, life.broken, life.violations) == ([], set(), [], [])
    assert life.crashes == MINUTES
    assert descriptors(os.getpid()) <= open_before


def test_a_real_daemon_killed_two_hundred_times_leaves_nothing_behind(new_site, driver_of_eight, capsys):
    site, story = new_site(**driver_of_eight), Story()
    dice, left, violations, opened = random.Random(302), 0, 0, []  # noqa: S311  dice, not secrets
    for _ in range(KILLS):
        site.start()
        opened.append(descriptors(site.pid))
        dies_s = time.monotonic() + dice.uniform(0.1, LIFE_S)
        while time.monotonic() < dies_s:
            submit_one(site, dice, story)
            time.sleep(dice.uniform(0.0, 0.1))
        helpers = children_of(site.pid, FORK_SERVER) + children_of(site.pid, NVML_CHILD)
        site.end()
        with contextlib.suppress(AssertionError):
            until(lambda: not any(map(lives, helpers)), "the end of the daemon's helpers")  # noqa: B023  at once
        left += sum(map(lives, helpers))
        violations += len(check_file(site.state_dir / "dcdaemon.db").violations)
    site.start()
    site.judge(story.expected)
    with capsys.disabled():
        sys.stdout.write(
            f"\nseed 302: {KILLS} kills of a real daemon, {len(story.expected)} answered submits, {left} helpers and "
            f"{len(site.living())} job processes left, {violations} violations in {KILLS} checks, "
            f"{min(opened)} to {max(opened)} descriptors at each first answer\n"
        )
    assert (left, violations) == (0, 0)


def test_a_daemon_that_lives_through_two_hundred_deaths_around_it_keeps_no_descriptor(new_site, capsys):
    # The NVML child has a soak of its own (test_telemetry_soak.py): its daemon waits longer after each death.
    site, story, dice = new_site(), Story(), random.Random(303)  # noqa: S311  dice, not secrets
    site.start()
    sizes = [at_rest(site)]
    for deaths in (WARM_KILLS, KILLS):
        while story.kills.total() < deaths:
            submit_one(site, dice, story)
            kill(site, dice, story, dice.choice((SHIM, SHIM, FORK_SERVER)))
            time.sleep(dice.uniform(0.0, 0.3))
        site.await_all()
        sizes.append(at_rest(site))
    first, warm, last = sizes
    with capsys.disabled():
        sys.stdout.write(
            f"\nseed 303: {story.kills.total()} deaths around one daemon {dict(story.kills)}, "
            f"{len(story.expected)} answered submits, descriptors "
            f"{len(first)} at first, {len(warm)} after {WARM_KILLS} deaths, {len(last)} "
            f"at the end; more than at first: {sorted((Counter(last) - Counter(first)).elements())}\n"
        )
    site.judge(story.expected | dict.fromkeys(site.jobs().keys() - story.expected.keys(), 0), story.lost)
    # Connections to the database are kept in a pool, and opened when many ask at once.
    more = Counter(last) - Counter(first)
    pooled = [name for name in more.elements() if Path(name).name.startswith("dcdaemon.db")]
    assert more.total() == len(pooled) <= POOLED


def at_rest(site):
    """List the daemon's descriptors when a job has been run and nothing is under way."""
    site.await_state(site.submit(), "succeeded")
    until(lambda: children_of(site.pid, FORK_SERVER), "its fork-server")
    time.sleep(6)  # what writes now and then has written: its connection is open
    return min(listed(site.pid), key=len)


def listed(pid):
    """Yield what is open some times: a request opens something for a moment."""
    for _ in range(20):
        found = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(str(link.readlink()).rstrip("0123456789[]"))
        yield found
        time.sleep(0.05)


def descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

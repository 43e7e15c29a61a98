"""Jobs come in while daemons are killed at random moments; the dice are seeded, the processes are not."""

import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from system.daemon_process import Site

from dcdaemon.core.errors import Unreachable

#: From the first answer of a daemon to its death, and the longest pause between two submits: every other daemon
#: dies in the midst of its work, the others at any time.
BUSY_S, BUSY_PAUSE_S = 0.08, 0.04
CALM_S, CALM_PAUSE_S = 0.9, 0.5
#: Kills after the last submit, while the last jobs run and end.
LAST_KILLS = 4


@dataclass
class Story:
    """What was done to a site, and what must have come of it."""

    expected: dict[int, int] = field(default_factory=dict)
    kills: int = 0
    fork_server_kills: int = 0
    unanswered: int = 0


def live_through_kills(site: Site, seed: int, jobs: int) -> Story:
    """Have this many submits answered while daemons come and go; leave a living daemon behind."""
    dice, story, last = random.Random(seed), Story(), LAST_KILLS  # noqa: S311  dice, not secrets
    while last:
        site.start()
        life_s, pause_s = dice.choice([(BUSY_S, BUSY_PAUSE_S), (CALM_S, CALM_PAUSE_S)])
        killer = threading.Timer(dice.uniform(0.0, life_s), site.kill)
        killer.start()
        if dice.random() < 0.2:
            story.fork_server_kills += kill_fork_server(site)
        while killer.is_alive():
            if len(story.expected) < jobs:
                submit_one(site, dice, story)
            time.sleep(dice.uniform(0.0, pause_s))
        killer.join()
        site.wait_for_death()
        story.kills += 1
        last -= len(story.expected) >= jobs
    site.start()
    return story


def submit_one(site: Site, dice: random.Random, story: Story) -> None:
    """Submit a job of random length, size and exit code; note it if the answer came."""
    code = dice.choice([0, 0, 0, 3])
    sleep_s = dice.choice([0.0, 0.0, 0.1, 0.5, 1.5])
    try:
        story.expected[site.submit(code=code, sleep_s=sleep_s, gpus=dice.choice([0, 1, 1, 2, 4, 8]))] = code
    except Unreachable:
        story.unanswered += 1


def kill_fork_server(site: Site) -> bool:
    """SIGKILL the fork-server of the daemon, if both still live."""
    try:
        children = Path(f"/proc/{site.pid}/task/{site.pid}/children").read_text().split()
        servers = [child for child in children if b"forkserver.py" in Path(f"/proc/{child}/cmdline").read_bytes()]
        for server in servers:
            os.kill(int(server), signal.SIGKILL)
    except OSError:
        return False
    return bool(servers)

"""Jobs come in while the processes that run them are killed at random; the dice are seeded, the processes are not."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from system.daemon_process import Site, until

from dcdaemon.core.errors import Unreachable
from dcdaemon.runner.attempt import AttemptDirectory

#: From the first answer of a daemon to its death, and the longest pause between two submits: every other daemon
#: dies in the midst of its work, the others at any time.
BUSY_S, BUSY_PAUSE_S = 0.08, 0.04
CALM_S, CALM_PAUSE_S = 0.9, 0.5
#: So many jobs may wait or run at once: a busy machine must not pile up work for hours.
MOST_OPEN = 12
DAEMON, SHIM, FORK_SERVER, NVML_CHILD = "daemon", "shim", "forkserver.py", "nvml_child"
#: What dies together; a daemon dies at the end of its time anyway, and half of the time takes some of these along.
STRIKES = (
    (SHIM,), (SHIM, SHIM), (FORK_SERVER,), (NVML_CHILD,), (FORK_SERVER, NVML_CHILD), (SHIM, FORK_SERVER),
    (SHIM, FORK_SERVER, NVML_CHILD), (SHIM, SHIM, NVML_CHILD),
)  # fmt: skip


@dataclass
class Story:
    """What was done to a site, and what must have come of it."""

    expected: dict[int, int] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    #: Jobs whose shim died after they were on record, and before their end was.
    lost: set[int] = field(default_factory=set)
    together: int = 0
    unanswered: int = 0

    def row(self, seed: int) -> str:
        """Return the row of the table; a judge that found anything else has raised by now."""
        counts = [self.kills[victim] for victim in (DAEMON, SHIM, FORK_SERVER, NVML_CHILD)]
        numbers = [
            seed,
            self.kills.total(),
            *counts,
            self.together,
            len(self.expected),
            self.unanswered,
            len(self.lost),
        ]
        return "| " + " | ".join(map(str, [*numbers, 0, 0, 0])) + " |"


def live_through_kills(site: Site, seed: int, kills: int) -> Story:
    """Submit jobs while at least so many processes are killed; leave a living daemon behind."""
    dice, story = random.Random(seed), Story()  # noqa: S311  dice, not secrets
    turn = 0
    while story.kills.total() < kills:
        site.start()
        turn += 1
        life_s, pause_s = dice.choice([(BUSY_S, BUSY_PAUSE_S), (CALM_S, CALM_PAUSE_S)])
        reaper = threading.Thread(target=strike, args=(site, random.Random(f"{seed} {turn}"), story, life_s))  # noqa: S311
        reaper.start()
        while reaper.is_alive():
            submit_one(site, dice, story)
            time.sleep(dice.uniform(0.0, pause_s))
        reaper.join()
        site.wait_for_death()
    site.start()
    return story


def submit_one(site: Site, dice: random.Random, story: Story) -> None:
    """Submit a job of random length, size and exit code; note it if the answer came."""
    code = dice.choice([0, 0, 0, 3])
    sleep_s = dice.choice([0.0, 0.0, 0.1, 0.5, 1.5])
    gpus = dice.choice([0, 1, 1, 2, 4, 8])
    try:
        if len(site.client.get("/v1/jobs", {"limit": MOST_OPEN})["jobs"]) < MOST_OPEN:
            story.expected[site.submit(code=code, sleep_s=sleep_s, gpus=gpus)] = code
    except Unreachable:
        story.unanswered += 1


def strike(site: Site, dice: random.Random, story: Story, life_s: float) -> None:
    """Kill some of what the daemon has started at some moment, and the daemon at another or at the same."""
    moments = sorted((dice.uniform(0.0, life_s), dice.uniform(0.0, life_s)))
    at_once = dice.random() < 0.5
    time.sleep(moments[0])
    first = [victim for victim in dice.choice(STRIKES) if kill(site, dice, story, victim)]
    if not at_once:
        time.sleep(moments[1] - moments[0])
    site.kill()
    story.kills[DAEMON] += 1
    story.together += (len(first) + at_once) > 1


def kill(site: Site, dice: random.Random, story: Story, victim: str) -> bool:
    """SIGKILL one process of this kind, if there is one, and count it."""
    killed = kill_a_shim(site, dice, story) if victim == SHIM else kill_a_child(site.pid or 0, victim)
    story.kills[victim] += killed
    return killed


def kill_a_child(daemon: int, program: str) -> bool:
    """SIGKILL a child of the daemon that runs this program."""
    for child in children_of(daemon, program):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            return True
    return False


def children_of(pid: int, program: str) -> list[int]:
    """Return the children of a process, of any of its threads, that run this program."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return [child for child in found if _runs(child, program)]


def _runs(pid: int, program: str) -> bool:
    try:
        return program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill_a_shim(site: Site, dice: random.Random, story: Story) -> bool:
    """SIGKILL the shim of some attempt; it is stopped first, to see what it has written down."""
    living = [attempt for attempt in site.attempts() if (shim := attempt.shim()) is not None and shim.alive()]
    if not living:
        return False
    attempt = dice.choice(living)
    shim = attempt.shim()
    if shim is None or not shim.send(signal.SIGSTOP):
        return False
    until(lambda: not shim.alive() or _stopped(shim.pid), "the shim standing still")
    lost = _lost_without(attempt)
    if not shim.send(signal.SIGKILL):
        return False
    until(lambda: not shim.alive(), "the end of the shim")
    if lost:
        story.lost.add(attempt.job_id)
    return True


def _stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _lost_without(attempt: AttemptDirectory) -> bool:
    """Tell whether nobody can know the end of this attempt once its shim is gone."""
    return (attempt.path / "state.json").exists() and not (attempt.path / "exit.json").exists()

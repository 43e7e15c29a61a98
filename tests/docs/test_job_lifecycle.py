"""docs/job-lifecycle.md shows the moves that the code allows."""

import re
import subprocess
import sys
from pathlib import Path

from dcdaemon.core.job import ENDED, MOVES, JobState

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_generator_prints():
    command = [sys.executable, "-m", "contributing.draw_job_lifecycle"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert (ROOT / "docs" / "job-lifecycle.md").read_text() == printed


def test_the_drawn_arrows_are_exactly_the_allowed_moves():
    page = (ROOT / "docs" / "job-lifecycle.md").read_text()
    drawn = set()
    for source, target in re.findall(r"(?m)^ {4}(\w+) --> (\w+)$", page):
        sources = ENDED if source == "ended" else {JobState(source)}
        targets = ENDED if target == "ended" else {JobState(target)}
        drawn |= {(one, other) for one in sources for other in targets}
    assert drawn == {(state, target) for state, targets in MOVES.items() for target in targets}

"""Print docs/job-lifecycle.md: the job's state machine, drawn from the table that enforces it."""  # noqa: INP001  a script

import sys
from collections.abc import Iterator

from dcdaemon.core.job import ACTIVE, ENDED, MOVES, JobState

MEANING = {
    JobState.WAITING: "in the queue, perhaps held; `dcd why` tells what it waits for",
    JobState.STARTING: "its GPUs are taken, its process is being made",
    JobState.RUNNING: "its process exists",
    JobState.STOPPING: "it was asked to end; its GPUs stay taken until its last process is gone",
    JobState.SUCCEEDED: "ended with exit code 0",
    JobState.FAILED: "ended with another exit code or by a signal, or could not be started",
    JobState.CANCELLED: "ended because somebody asked for it",
    JobState.TIMED_OUT: "reached its time limit",
    JobState.OUT_OF_MEMORY: "killed for lack of memory",
    JobState.PREEMPTED: "gave way to another job",
    JobState.INTERRUPTED: "ended by something outside: a reboot, a lost GPU",
    JobState.LOST: "its processes are gone and no record tells how it ended",
}

PAGE = """\
# The life of a job

Generated from `MOVES` in `dcdaemon/core/job.py`:
`python -m contributing.draw_job_lifecycle > docs/job-lifecycle.md`.

```mermaid
stateDiagram-v2
    [*] --> waiting
{arrows}
    state ended {{
{ended}
    }}
```

An arrow to `ended` stands for one to each state inside it, an arrow from `ended` for one from each: an
ended job may be requeued, as a new attempt of the same job. A hold is a flag of a waiting job, not a state.
Any other move is refused.

| state | GPUs | meaning |
|---|---|---|
{rows}
"""


def in_order(states: frozenset[JobState]) -> list[JobState]:
    """Return the states in the order in which they are declared."""
    return [state for state in JobState if state in states]


def arrows() -> Iterator[str]:
    """Yield one mermaid arrow per move, those of all ended states drawn as one."""
    for state in in_order(frozenset(JobState) - ENDED):
        targets = MOVES[state]
        if targets >= ENDED:
            targets -= ENDED
            yield f"    {state} --> ended"
        yield from (f"    {state} --> {target}" for target in in_order(targets))
    shared = frozenset.intersection(*(MOVES[state] for state in ENDED))
    yield from (f"    ended --> {target}" for target in in_order(shared))
    for state in in_order(ENDED):
        yield from (f"    {state} --> {target}" for target in in_order(MOVES[state] - shared))


def page() -> str:
    """Return the whole page."""
    rows = (f"| `{state}` | {'held' if state in ACTIVE else '-'} | {MEANING[state]} |" for state in JobState)
    return PAGE.format(
        arrows="\n".join(arrows()),
        ended="\n".join(f"        {state}" for state in in_order(ENDED)),
        rows="\n".join(rows),
    )


if __name__ == "__main__":
    sys.stdout.write(page())

"""A process that reads GPUs as the daemon does, very often, and tells of itself in a file: `soak_source.py FILE`."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from dcdaemon.core.event import Event
from dcdaemon.telemetry.gpu_plan import Patience, Plan, usual_plan
from dcdaemon.telemetry.gpu_source import NvmlSource
from dcdaemon.telemetry.gpu_supervisor import Upkeep
from dcdaemon.telemetry.nvml_process import NvmlChild

INTERVAL_S = 0.004


class Counting(NvmlChild):
    """A real telemetry child whose polls are counted."""

    polls = 0

    def lines(self) -> list[bytes] | None:
        said = super().lines()
        Counting.polls += sum(len(json.loads(line).get("gpus", ())) for line in said or ())
        return said


def main(target: Path) -> None:
    told: Counter[str] = Counter()

    def tell(event: Event) -> None:
        told[event.kind] += 1

    every = {name: every_s * INTERVAL_S for name, every_s in usual_plan(1).every.items()}
    upkeep = Upkeep(Plan(INTERVAL_S, every), Patience(60, restart_s=0.01, retry_s=0.2), Counting)
    source = NvmlSource(tell=tell, upkeep=upkeep)
    source.start()
    while True:
        samples = source.read().samples
        news = {
            "polls": Counting.polls,
            "answering": sum(sample.error is None for sample in samples),
            "released": source.read().released_until is not None,
            "child": source.child_pid,
            "told": dict(told),
        }
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps(news))
        fresh.replace(target)
        if target.with_suffix(".release").exists():
            target.with_suffix(".release").unlink()
            source.release(0.05)
        if os.getppid() == 1:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What the daemon and its helpers cost: resident memory and CPU with 8 GPUs at 1 s and an empty queue.

The GPUs are those of the fake NVML library of the tests, reached through the real telemetry child.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.node import GPUS, Node, running_node
from benchmarks.processes import cpu_s, memory_mb, tree

SETTLE_S = 10
MEASURE_S = 60


def main() -> None:
    """Print a line per process and the total."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from fake_nvml.fake_driver import FakeDriver, build  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="dcd-fake-nvml-") as name:
        state = Path(name) / "state"
        FakeDriver(build(Path(name)), state, GPUS)
        with running_node(driver={"LD_LIBRARY_PATH": name, "FAKE_NVML_STATE": str(state)}) as node:
            assert len(node.client.get("/v1/gpus")["gpus"]) == GPUS
            report(node)


def report(node: Node) -> None:
    """Measure every process of the daemon over a minute."""
    time.sleep(SETTLE_S)
    before = {pid: cpu_s(pid) for pid in tree(node.process.pid)}
    begin_s = time.monotonic()
    time.sleep(MEASURE_S)
    elapsed_s = time.monotonic() - begin_s
    print(f"{'process':<28} {'resident MB':>11} {'own MB':>8} {'% of a core':>11}")
    totals = [0.0, 0.0, 0.0]
    for pid in tree(node.process.pid):
        resident_mb, own_mb = memory_mb(pid)
        core_pct = 100 * (cpu_s(pid) - before.get(pid, 0.0)) / elapsed_s
        totals = [total + part for total, part in zip(totals, (resident_mb, own_mb, core_pct), strict=True)]
        print(f"{role(pid):<28} {resident_mb:>11.1f} {own_mb:>8.1f} {core_pct:>11.2f}")
    print(f"{f'total, {GPUS} GPUs at 1 s':<28} {totals[0]:>11.1f} {totals[1]:>8.1f} {totals[2]:>11.2f}")


def role(pid: int) -> str:
    """Name a process by what it does."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    for part, name in (("nvml_child", "telemetry child"), ("forkserver", "fork-server"), ("daemon", "daemon")):
        if any(part in word for word in words):
            return name
    return words[0]


if __name__ == "__main__":
    main()

"""CPU of one tick: every GPU read through the real child on the fake driver, and its row committed, each second.

The daemon commits only every fifth tick, so this is more than it takes.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import cpu_s

SETTLE_S = 15
TICKS = int(os.environ.get("DCD_BENCH_S", "60"))
SIZES = (8, 64)


def main() -> None:
    """Print the CPU of a tick for 8 and for 64 GPUs, and their ratio."""
    per_tick_ms = {gpus: tick_ms(gpus) for gpus in SIZES}
    small, large = (per_tick_ms[gpus] for gpus in SIZES)
    print(f"{'GPUs':<6} {'child ms':>9} {'daemon side ms':>15} {'tick ms':>8}   means of {TICKS} ticks")
    for gpus, (child, parent) in per_tick_ms.items():
        print(f"{gpus:<6} {child:>9.2f} {parent:>15.2f} {child + parent:>8.2f}")
    print(f"64 GPUs take {sum(large) / sum(small):.1f} x the CPU of 8")


def tick_ms(gpus: int) -> tuple[float, float]:
    """Return the CPU milliseconds of the child, and of reading and committing, of one tick."""
    from dcdaemon.store.sql_store import open_store  # noqa: PLC0415
    from dcdaemon.telemetry.gpu_source import NvmlSource  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="dcd-bench-") as name, fake_driver(Path(name), gpus):
        store = open_store(f"sqlite:///{name}/dcdaemon.db", "bench")
        source = NvmlSource(1.0, 5.0)
        source.start()
        try:
            assert source.wait_known(30)
            assert len(source.read().samples) == gpus
            for _ in range(SETTLE_S):
                time.sleep(1)
                store.record(source.read().samples)
                store.flush_samples()
            assert source.child_pid is not None
            child, parent = cpu_s(source.child_pid), time.process_time()
            for _ in range(TICKS):
                time.sleep(1)
                reading = source.read()
                store.record((*reading.samples, *reading.migs))
                store.flush_samples()
            return (
                1000 * (cpu_s(source.child_pid) - child) / TICKS,
                1000 * (time.process_time() - parent) / TICKS,
            )
        finally:
            source.close()
            store.close()


@contextlib.contextmanager
def fake_driver(folder: Path, gpus: int) -> Iterator[None]:
    """Install the fake driver of the tests, for processes started in this block."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import pytest  # noqa: PLC0415
    from fake_nvml.fake_driver import FakeDriver, build  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        FakeDriver(build(folder), folder / "state", gpus).installed(patch)
        yield


if __name__ == "__main__":
    main()

"""What the processes of jobs do, for simulated GPUs: the only place where runner, telemetry and fakes meet."""

from collections.abc import Mapping

from dcdaemon.control.book import Book
from dcdaemon.core.ports import Engine
from dcdaemon.fakes.gpus import GpuLoad
from dcdaemon.telemetry.processes import LoadMeter


class JobLoads:
    """Spreads the CPU load and memory of each job's processes over the simulated GPUs it holds."""

    def __init__(self, book: Book, engine: Engine) -> None:
        self._book = book
        self._engine = engine
        self._meter = LoadMeter()

    def __call__(self) -> Mapping[int, GpuLoad]:
        """Return the load of each held GPU since the last call."""
        jobs = [job for job in self._book.active() if job.gpus]
        loads = self._meter.load_of_jobs({job.id: self._engine.pids(job) for job in jobs})
        on_gpu: dict[int, GpuLoad] = {}
        for job in jobs:
            load, count = loads[job.id], len(job.gpus)
            for gpu in job.gpus:
                before = on_gpu.get(gpu, GpuLoad())
                on_gpu[gpu] = GpuLoad(
                    before.cpu_share + load.cpu_share / count,
                    before.rss_bytes + load.rss_bytes // count,
                    before.pids + load.pids,
                )
        return on_gpu

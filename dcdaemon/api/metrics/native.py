"""GET /metrics: everything the daemon knows now, under names that follow Prometheus' conventions."""

from collections.abc import Callable, Sequence

from dcdaemon.api.metrics.daemon import EndedJobs, write_daemon, write_jobs
from dcdaemon.api.metrics.devices import write_devices
from dcdaemon.api.metrics.gpus import write_events, write_gpus
from dcdaemon.api.metrics.text import Page
from dcdaemon.control.board import DutyReport
from dcdaemon.control.desk import Desk
from dcdaemon.core.samples import GpuSample

Duties = Callable[[], Sequence[DutyReport]]


class NativePage:
    """Written anew for each scrape, from memory alone: no driver and no database is asked."""

    def __init__(self, desk: Desk, duties: Duties, ended: EndedJobs) -> None:
        self._desk = desk
        self._duties = duties
        self._ended = ended

    def __call__(self) -> bytes:
        """Return the page."""
        desk, page = self._desk, Page()
        now_s = desk.clock.monotonic()
        fresh = desk.board.newest.fresh(now_s)
        uuids = {gpu.index: gpu.uuid for gpu in desk.board.gpus.gpus}
        write_devices(page, fresh, uuids)
        write_gpus(page, desk, (sample for sample, _ in fresh if type(sample) is GpuSample), now_s)
        write_events(page, desk)
        write_jobs(page, desk, self._ended)
        write_daemon(page, desk, self._duties())
        return page.encoded()

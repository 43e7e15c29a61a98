"""The GPUs as the node sees them: what they are, whether they answer, who may have them, what happened to them."""

from collections.abc import Iterable, Iterator, Mapping

from dcdaemon.api.metrics.own import write
from dcdaemon.api.metrics.text import Page, label, labels
from dcdaemon.control.desk import Desk
from dcdaemon.core.access import Visibility
from dcdaemon.core.event import EventKind
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job
from dcdaemon.core.samples import GpuSample
from dcdaemon.core.secrecy import mask_text
from dcdaemon.core.view import GpuBlock


def write_gpus(page: Page, desk: Desk, fresh: Iterable[GpuSample], now_s: float) -> None:
    """Add what each GPU is, whether it answers, how old its newest sample is, and whether it may be given away."""
    reading = desk.board.gpus
    given = {gpu.index: labels(gpu=gpu.index, uuid=gpu.uuid) for gpu in reading.gpus}
    answering = {sample.gpu for sample in fresh if sample.error is None} - reading.lost
    driver = reading.driver_version
    ages = ((of, desk.board.newest.age_s((GpuSample.KIND, gpu), now_s)) for gpu, of in given.items())
    write(page, "dcd_gpu_info", ((_facts(gpu, driver), 1) for gpu in reading.gpus))
    write(page, "dcd_gpu_up", ((of, int(gpu in answering)) for gpu, of in given.items()))
    write(page, "dcd_gpu_sample_age_seconds", ((of, None if s is None else round(s, 3)) for of, s in ages))
    write(page, "dcd_driver_up", [("", int(reading.driver_error is None))])
    _write_allocation(page, desk, given)


def write_events(page: Page, desk: Desk) -> None:
    """Add the counters of events and of XIDs since the daemon started."""
    counts, xids = desk.board.events.totals()
    uuids = {gpu.index: gpu.uuid for gpu in desk.board.gpus.gpus}
    by_code = (
        (labels(gpu=gpu, uuid=uuids.get(gpu), xid=code), count) for (gpu, code), count in sorted(xids.items())
    )  # fmt: skip
    write(page, "dcd_events_total", ((label("kind", kind), counts.get(kind, 0)) for kind in EventKind))
    write(page, "dcd_gpu_xid_events_total", by_code)
    write(page, "dcd_event_rows_dropped_total", [("", desk.board.events.dropped)])
    write(page, "dcd_samples_dropped_total", [("", desk.board.events.readings_dropped)])


def _facts(gpu: GpuInfo, driver_version: str | None) -> str:
    return labels(gpu=gpu.index, uuid=gpu.uuid, name=gpu.name, pci_bus_id=gpu.pci_bus_id, driver_version=driver_version)


def _write_allocation(page: Page, desk: Desk, given: Mapping[int, str]) -> None:
    holders = desk.book.sharers()
    blocked = {slot.index: slot.closed_by for slot in desk.book.node.gpus}
    jobs = ((_holding(desk, gpu, job), 1) for gpu in sorted(holders) for job in holders[gpu])
    write(page, "dcd_gpu_allocated", ((of, int(gpu in holders)) for gpu, of in given.items()))
    write(page, "dcd_gpu_blocked", _blocks(given, blocked))
    write(page, "dcd_job_gpu_info", jobs)


def _holding(desk: Desk, gpu: int, job: Job) -> str:
    return labels(gpu=gpu, job_id=job.id, **_whose(desk, job), instance=job.gpu_instance)


def _whose(desk: Desk, job: Job) -> dict[str, str]:
    """Return whose job it is: pages are for anybody, so nothing where people see their own jobs alone."""
    if desk.rules.visibility is Visibility.OWN:
        return {"name": "", "user": ""}
    return {"name": mask_text(job.spec.name), "user": job.spec.user}


def _blocks(given: Mapping[int, str], blocked: Mapping[int, GpuBlock | None]) -> Iterator[tuple[str, int]]:
    for gpu, of in given.items():
        for reason in GpuBlock:
            yield f"{of},{label('reason', reason)}", int(blocked.get(gpu) is reason)

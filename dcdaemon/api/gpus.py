"""GPUs over HTTP: each with its values, its job or its foreign processes, and the operator's drain and release."""

from collections.abc import Sequence

from fastapi import APIRouter

from dcdaemon.api.bodies import DrainBody, ReleaseBody
from dcdaemon.api.bookings import booking_brief
from dcdaemon.api.documents import SCHEMA, Document, iso
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.control.desk import Desk
from dcdaemon.control.drain import drain, undrain
from dcdaemon.control.gpu_state import health
from dcdaemon.control.newest import device
from dcdaemon.control.release import release_driver
from dcdaemon.core.container import Container
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.job import Job
from dcdaemon.core.metric import metrics_of
from dcdaemon.core.ports import Actor
from dcdaemon.core.samples import CLOCK_EVENT_BITS, GpuReading, GpuSample, MigSample
from dcdaemon.core.secrecy import mask_facts, mask_text
from dcdaemon.core.view import GpuBlock, GpuSlot

router = APIRouter(prefix="/v1", tags=["gpus"])
_STATE_OF_BLOCK = {GpuBlock.DRAINED: "drained", GpuBlock.HEALTH: "unhealthy", GpuBlock.FOREIGN: "foreign"}


@router.get("/gpus")
def get_gpus(desk: DeskOf, actor: ActorOf) -> Document:
    """Tell what each GPU does and for whom."""
    reading = desk.board.gpus
    samples = {sample.gpu: sample for sample in reading.samples}
    slots = {slot.index: slot for slot in desk.book.node.gpus}
    holders = desk.book.sharers()
    energy_mj = _energy_mj(desk)
    gpus = []
    for gpu in reading.gpus:
        jobs = holders.get(gpu.index, ())
        document = gpu_document(desk, gpu, reading, samples.get(gpu.index), slots.get(gpu.index), jobs)
        booked = energy_mj.get(str(gpu.index))
        gpus.append({**_seen(desk, actor, document, jobs), "energy_j": None if booked is None else booked / 1000})
    return {
        "schema": SCHEMA, "node": desk.node, "driver_version": reading.driver_version,
        "driver_error": reading.driver_error, "released_until": iso(reading.released_until),
        "simulated": desk.gpus_simulated, "gpus": gpus, "queues": _queues(desk),
    }  # fmt: skip


def _seen(desk: Desk, actor: Actor, document: Document, jobs: Sequence[Job]) -> Document:
    """Leave out what is not the reader's business: of others' jobs the commands, or all of them.

    Processes outside of the queue are told in full: they are in everybody's way.
    """
    seen = [_job(job) for job in jobs if desk.may_see(actor, job)]
    by_id = {job.id: job for job in jobs}
    processes = [_seen_process(desk, actor, one, by_id.get(one["job_id"])) for one in document["processes"]]
    known = {job["id"] for job in seen}
    migs = [one if one["job_id"] in known else {**one, "job_id": None} for one in document["migs"]]
    return {**document, "job": seen[0] if seen else None, "jobs": seen, "processes": processes, "migs": migs}


def _seen_process(desk: Desk, actor: Actor, process: Document, job: Job | None) -> Document:
    if job is None or desk.may_see_details(actor, job):
        return process
    hidden: Document = (
        {"command": None, "container": None}
        if desk.may_see(actor, job)
        else {"command": None, "container": None, "user": None, "job_id": None, "stray": False, "hidden": True}
    )
    return {**process, **hidden}


def _queues(desk: Desk) -> list[Document]:
    """Tell whose GPUs they are: each queue, with its GPUs if it may not have all."""
    sharing = desk.book.sharing
    return [
        {
            "name": queue.name, "default": queue.name == sharing.default, "limit_s": queue.max_limit_s,
            "gpus": None if queue.gpus is None else sorted(queue.gpus),
        }
        for queue in sharing.queues.values()
    ]  # fmt: skip


def _energy_mj(desk: Desk) -> dict[str, int]:
    """Return what each GPU used in all; while the database is away only that is unknown, not the GPUs."""
    try:
        return {row.key: row.energy_mj for row in desk.store.energy("gpu", None)}
    except StoreUnavailable:
        return {}


def gpu_document(
    desk: Desk, gpu: GpuInfo, reading: GpuReading, sample: GpuSample | None, slot: GpuSlot | None, jobs: Sequence[Job]
) -> Document:
    """Return one GPU with every metric under its own name; values of a missing or withdrawn sample are null."""
    value = sample or GpuSample(at=0.0, monotonic_s=0.0, gpu=gpu.index)
    now_s = desk.clock.monotonic()
    reasons = value.clock_event_reasons
    bookings = _bookings(desk, gpu.index)
    migs = [mig for mig in (*reading.migs, *reading.unread) if mig.gpu == gpu.index]
    return {
        "index": gpu.index, "uuid": gpu.uuid, "name": gpu.name, "pci_bus_id": gpu.pci_bus_id,
        **{metric.attribute: getattr(value, metric.attribute) for metric in metrics_of(GpuSample)},
        "mem_total_bytes": gpu.mem_total_bytes, "power_limit_w": value.power_limit_w or gpu.power_limit_w,
        "clock_events": None if reasons is None else [name for bit, name in CLOCK_EVENT_BITS.items() if bit & reasons],
        "sample_age_s": None if sample is None else round(max(now_s - sample.monotonic_s, 0.0), 3),
        "health": health(gpu.index, reading).value, "state": _state(slot, jobs, bookings),
        "blocked_detail": mask_text(slot.stopped.blocked_detail) if slot is not None and slot.stopped.blocked else None,
        "drained_reason": _why_drained(slot),
        "job": _job(jobs[0]) if jobs else None, "jobs": [_job(job) for job in jobs],
        "bookings": bookings,
        "processes": [_process(process) for process in value.processes or ()],
        "cut": gpu.index in reading.cut,
        "migs": [_mig(desk, mig, now_s, slot, jobs) for mig in migs],
        "simulated": gpu.simulated,
    }  # fmt: skip


def _why_drained(slot: GpuSlot | None) -> str | None:
    return mask_text(slot.blocked_detail) if slot is not None and slot.blocked is GpuBlock.DRAINED else None


def _job(job: Job) -> Document:
    spec = job.spec
    return {
        "id": job.id, "name": mask_text(spec.name), "user": spec.user, "gpu_mem_bytes": spec.gpu_mem_bytes,
        "gpu_instance": job.gpu_instance,
    }  # fmt: skip


def _process(process: GpuProcess) -> Document:
    return {
        "pid": process.pid, "user": process.user, "command": mask_facts(process.command),
        "age_s": None if process.age_s is None else round(process.age_s, 1),
        "mem_used_bytes": process.mem_used_bytes, "sm_util_ratio": process.sm_util_ratio,
        "instance": process.instance, "job_id": process.job_id, "job_by": process.job_by,
        "stray": process.stray, "hidden": False,
        "container": None if process.container is None else _container(process.container),
    }  # fmt: skip


def _container(container: Container) -> Document:
    return {
        "runtime": container.runtime, "id": container.id, "image": container.image,
        "names_job": container.names_job, "stop_command": container.stop_command,
    }  # fmt: skip


def _mig(desk: Desk, mig: MigSample, now_s: float, slot: GpuSlot | None, jobs: Sequence[Job]) -> Document:
    age_s = desk.board.newest.age_s(device(mig), now_s)
    job = next((job for job in jobs if job.gpu_instance == mig.instance), None)
    return {
        "instance": mig.instance,
        "state": _instance_state(slot, mig.instance, job),
        "job_id": None if job is None else job.id,
        **{metric.attribute: getattr(mig, metric.attribute) for metric in metrics_of(MigSample)},
        "sample_age_s": None if age_s is None else round(age_s, 3),
    }


def _instance_state(slot: GpuSlot | None, name: str, job: Job | None) -> str:
    if job is not None:
        return "busy"
    known = None if slot is None else next((one for one in slot.instances or () if one.name == name), None)
    block = slot.blocked if slot is not None and slot.blocked is not None else known.blocked if known else None
    return "free" if block is None else _STATE_OF_BLOCK[block]


def _state(slot: GpuSlot | None, jobs: Sequence[Job], bookings: Sequence[Document]) -> str:
    if jobs:
        return "busy"
    if slot is not None and (block := slot.closed_by) is not None:
        return _STATE_OF_BLOCK[block]
    return "booked" if any(booking["state"] == "open" for booking in bookings) else "free"


def _bookings(desk: Desk, index: int) -> list[Document]:
    """Tell for whom a GPU is set aside, now and later, the first to begin first."""
    now = desk.clock.now()
    mine = (booking for booking in desk.book.bookings if index in booking.gpus and booking.ends_at > now)
    return [booking_brief(booking, now) for booking in sorted(mine, key=lambda booking: booking.from_at)]


@router.post("/gpus/{index}/drain")
def drain_gpu(index: int, body: DrainBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Take a GPU out of placement; a job on it goes on."""
    drain(desk, actor, index, body.reason)
    return get_gpus(desk, actor)


@router.post("/gpus/{index}/undrain")
def undrain_gpu(index: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Give a GPU back."""
    undrain(desk, actor, index)
    return get_gpus(desk, actor)


@router.post("/gpus/release")
def release_gpus(body: ReleaseBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Let go of the driver so that it can be loaded anew, for `for_s` seconds; 0 takes it back."""
    release_driver(desk, actor, body.for_s, force=body.force)
    return get_gpus(desk, actor)

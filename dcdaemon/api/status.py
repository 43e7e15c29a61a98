"""The daemon about itself: its duties, queue, database and engine."""

import resource
from collections.abc import Iterator
from dataclasses import asdict

from fastapi import APIRouter

from dcdaemon.api.documents import SCHEMA, Document, iso
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.listing import summary
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.ports import Actor
from dcdaemon.core.samples import AnySample, GpuSample
from dcdaemon.core.secrecy import mask_facts, mask_text, mask_url
from dcdaemon.core.units import format_duration

router = APIRouter(prefix="/v1", tags=["daemon"])


@router.get("/status")
def get_status(desk: DeskOf, actor: ActorOf) -> Document:
    """Tell whether every duty ticks, and what is where."""
    facts, counts, (database, open_anomalies) = desk.board.facts, summary(desk), _of_store(desk)
    return {
        "schema": SCHEMA, "version": facts.version, "node": desk.node, "started_at": iso(facts.started_at),
        "pid": facts.pid, "uid": facts.uid, "simulated": facts.simulated, "you": actor.user, "operator": actor.operator,
        "duties": [
            {
                "name": duty.name, "every_s": duty.every_s, "last_tick_age_s": duty.last_tick_age_s,
                "last_duration_s": duty.last_duration_s, "ticks": duty.ticks,
                "ok": duty.error is None and not duty.late, "error": duty.error,
            }
            for duty in desk.board.duties
        ],
        "roles": list(facts.roles), "collectors": _collectors(desk), "troubles": _troubles(desk),
        "queue": {"waiting": counts["waiting"], "held": counts["held"], "running": counts["running"]},
        "gpus": {
            "total": counts["gpus"], "busy": counts["gpus_busy"], "drained": counts["gpus_drained"],
            "foreign": counts["gpus_foreign"], "unhealthy": counts["gpus_unhealthy"],
        },
        "database": database,
        "predictions": _predictions(desk), "forecasts": _forecasts(desk), "engine": facts.engine,
        "isolation": {"name": facts.isolation, "manager": facts.manager, "reasons": list(facts.isolation_reasons)},
        "driver_version": desk.board.gpus.driver_version,
        "driver_error": desk.board.gpus.driver_error,
        "open_anomalies": open_anomalies, "rss_bytes": _rss_bytes(),
        "config_warnings": mask_facts(list(facts.config_warnings)), "refused_callers": desk.attempts.refused,
        "visibility": desk.rules.visibility.value, "role": _role(actor),
    }  # fmt: skip


def _of_store(desk: Desk) -> tuple[Document, int | None]:
    """Tell of the database, and how many anomalies are open in it; while it does not answer, why that is."""
    try:
        facts, open_anomalies = desk.store.facts(), len(desk.store.anomalies(open_only=True))
    except StoreUnavailable as error:
        unknown = dict.fromkeys(("url", "dialect", "schema", "size_bytes", "jobs", "samples_dropped"))
        return {**unknown, "error": mask_facts(error.message)}, None
    return {
        "url": mask_url(facts.url), "dialect": facts.dialect, "schema": facts.schema, "size_bytes": facts.size_bytes,
        "jobs": facts.jobs, "samples_dropped": facts.samples_dropped, "error": None,
    }, open_anomalies  # fmt: skip


def _role(actor: Actor) -> str:
    return "viewer" if actor.read_only else "operator" if actor.operator else "submitter"


def _predictions(desk: Desk) -> Document:
    """Tell how well the last predictions of run times turned out, all of them and by what they were taken from."""
    by_source = desk.predictions.accuracy_by_source()
    by = {source.value: accuracy._asdict() for source, accuracy in by_source.items()}
    return {**desk.predictions.accuracy()._asdict(), "by": by}


def _forecasts(desk: Desk) -> Document:
    """Tell how well the starts of the last jobs were foretold when these were submitted."""
    return desk.forecasts.accuracy(desk.book.unfinished(), desk.clock.now())._asdict()


def _collectors(desk: Desk) -> list[Document]:
    """Tell of each collector whether it runs, how its last reading went, and why it has nothing to read."""
    board, now_s = desk.board, desk.clock.monotonic()
    swept = board.host.collectors if board.host is not None else ()
    return [
        {
            "name": one.name, "running": one.running, "every_s": one.every_s,
            "last_read_age_s": None if one.last_read_s is None else round(max(now_s - one.last_read_s, 0.0), 3),
            "last_duration_s": None if one.last_duration_s is None else round(one.last_duration_s, 6),
            "error": one.error, "lack": None if one.lack is None else asdict(one.lack),
        }
        for one in (*swept, *board.collectors.values())
    ]  # fmt: skip


def _troubles(desk: Desk) -> list[Document]:
    """Tell of what keeps jobs waiting, and of each device that does not answer: GPUs, mounts, switches, stores."""
    fresh = desk.board.newest.fresh(desk.clock.monotonic())
    told = [device_error for sample, _ in fresh if (device_error := _error(sample)) is not None]
    if desk.board.keeps_jobs is not None:
        told.append({"kind": "jobs", "device": "waiting", "error": mask_text(desk.board.keeps_jobs)})
    return sorted([*told, *_silent_gpus(desk)], key=lambda trouble: (trouble["kind"], trouble["device"]))


def _silent_gpus(desk: Desk) -> Iterator[Document]:
    """Tell of the GPUs whose values are withdrawn while the driver answers for others."""
    reading, now_s = desk.board.gpus, desk.clock.monotonic()
    if reading.driver_error is not None:
        return
    for gpu in {gpu.index for gpu in reading.gpus} - {sample.gpu for sample in reading.samples}:
        age_s = desk.board.newest.age_s((GpuSample.KIND, gpu), now_s)
        error = "has not answered yet" if age_s is None else f"has not answered for {format_duration(age_s)}"
        yield {"kind": GpuSample.KIND, "device": str(gpu), "error": error}


def _error(sample: AnySample) -> Document | None:
    error = getattr(sample, "error", None)
    device = "/".join(str(getattr(sample, key)) for key in sample.KEYS)
    return {"kind": sample.KIND, "device": device, "error": error} if error else None


def _rss_bytes() -> int:
    """Return the daemon's resident memory now, from /proc; its peak where there is no /proc."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  one small read
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

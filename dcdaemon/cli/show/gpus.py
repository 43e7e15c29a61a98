"""GPUs as a table: who uses each one, its load and its health."""

from dcdaemon.cli.show.bookings import window
from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, celsius, count, energy, memory, memory_of, percent, short, watts
from dcdaemon.client.answer import Document
from dcdaemon.core.container import SHORT_ID_CHARACTERS

_UUID_CHARACTERS = 8
_STATE_STYLE = {
    "free": "green", "busy": "", "drained": "yellow", "foreign": "yellow", "unhealthy": "red",
    "booked": "cyan",
}  # fmt: skip
_HEALTH_STYLE = {"ok": "green", "stale": "yellow"}


def gpus_page(document: Document) -> Page:
    """Return the page of `dcd gpus`."""
    return Page(document, document["gpus"], GPUS, id_key="index", talk=_summary(document))


def used_by(gpu: Document) -> str:
    """Return the job on a GPU, the foreign processes on it, or why it is out of use."""
    jobs = [_job(job) for job in gpu.get("jobs") or filter(None, [gpu["job"]])]
    if any(process.get("hidden") for process in gpu["processes"]) or (gpu["state"] == "busy" and not jobs):
        jobs.append("a job")  # of somebody else, who is not to be named here
    free = _free_instances(gpu)
    parts = [*([free] if free else []), *jobs]
    if gpu.get("cut") and not free:
        parts.append("MIG: nothing free" if gpu["migs"] else "MIG: no instances")
    if gpu.get("drained_reason"):
        parts.append(f"drained: {gpu['drained_reason']}")
    parts += [process_words(process) for process in gpu["processes"] if is_foreign(process)]
    parts += [window(booking) for booking in gpu.get("bookings") or ()]
    return ", ".join(parts)


def _job(job: Document) -> str:
    share, instance = job.get("gpu_mem_bytes"), job.get("gpu_instance")
    part = f"MIG {instance}" if instance else "" if share is None else memory(share)
    return f"job {job['id']} {job['name']} ({job['user']}{f', {part}' if part else ''})"


def _free_instances(gpu: Document) -> str:
    """Return what of a GPU that is cut may be had, by size; an empty text for nothing and for a whole GPU."""
    profiles = [one["profile"] or one["instance"] for one in gpu.get("migs", ()) if one.get("state") == "free"]
    counted = [f"{profiles.count(name)}x {name}" for name in dict.fromkeys(profiles)]
    return f"free MIG: {' + '.join(counted)}" if gpu.get("cut") and counted else ""


def is_foreign(process: Document) -> bool:
    """Tell whether a process belongs to no job that its GPU was given to; one of a job that is hidden does."""
    return not process.get("hidden") and (process["job_id"] is None or bool(process.get("stray")))


def process_words(process: Document) -> str:
    """Return a process with its user, its age, its memory and its container."""
    age = UNKNOWN if process["age_s"] is None else short(process["age_s"])
    stray = f" of job {process['job_id']}" if process.get("stray") else ""
    who = f"{process['command'] or '?'}, {process['user'] or '?'}"
    where = f" in MIG {process['instance']}" if process.get("instance") else ""
    used = memory(process["mem_used_bytes"])
    return f"pid {process['pid']} ({who}) {age} {used}{where}{_in_container(process)}{stray}"


def _in_container(process: Document) -> str:
    """Return the container of a process, as short as the runtime's own tools show it."""
    container = process.get("container")
    if container is None:
        return ""
    image = f" ({container['image']})" if container["image"] else ""
    return f" in {container['runtime']} {container['id'][:SHORT_ID_CHARACTERS]}{image}"


def _uuid(gpu: Document) -> str:
    return str(gpu["uuid"]).removeprefix("GPU-")[:_UUID_CHARACTERS]


def _age(gpu: Document) -> str:
    return UNKNOWN if gpu["sample_age_s"] is None else f"{gpu['sample_age_s']:.1f}s"


def _held_down(gpu: Document) -> str:
    """Return why the clocks are held down; idling is no reason to worry."""
    reasons = gpu.get("clock_events")
    if reasons is None:
        return UNKNOWN
    return ",".join(reason for reason in reasons if reason != "idle") or "no"


def _links(gpu: Document) -> str:
    """Return the PCIe link as `gen5 x16`, with the best it could be when that is more, and the NVLinks that are up."""
    now = gpu.get("pcie_link_gen"), gpu.get("pcie_link_width")
    best = gpu.get("pcie_link_gen_max"), gpu.get("pcie_link_width_max")
    parts = []
    if None not in now:
        parts.append(_pcie(*now) + (f" of {_pcie(*best)}" if None not in best and now != best else ""))
    if gpu.get("nvlink_links"):
        parts.append(f"nv{gpu['nvlink_links_up']}/{gpu['nvlink_links']}")
    return " ".join(parts) or UNKNOWN


def _pcie(generation: int | None, lanes: int | None) -> str:
    return f"gen{generation} x{lanes}"


def _number(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def _summary(document: Document) -> str:
    gpus = document["gpus"]
    states = [gpu["state"] for gpu in gpus]
    parts = [f"{states.count(state)} {state}" for state in _STATE_STYLE if state in states]
    driver = document["driver_error"] or (f"driver {document['driver_version']}" if document["driver_version"] else "")
    words = [f"{document['node']}: {count(len(gpus), 'GPU')}" + (f": {', '.join(parts)}" if parts else "")]
    return " · ".join([*words, *filter(None, [driver, "simulated GPUs" if document["simulated"] else ""])])


GPUS = (
    Column("GPU", lambda gpu: str(gpu["index"]), right=True, whole=True),
    Column("UUID", _uuid, whole=True),
    Column("MODEL", lambda gpu: str(gpu["name"]), wide=True),
    Column(
        "STATE",
        lambda gpu: str(gpu["state"]),
        whole=True,
        style=lambda gpu: _STATE_STYLE.get(gpu["state"], ""),
    ),
    Column("LOAD", lambda gpu: percent(gpu["util_ratio"]), right=True, whole=True),
    Column("MEMORY", lambda gpu: memory_of(gpu["mem_used_bytes"], gpu["mem_total_bytes"]), right=True, whole=True),
    Column("POWER", lambda gpu: watts(gpu["power_w"]), right=True, whole=True),
    Column("TEMP", lambda gpu: celsius(gpu["temp_c"]), right=True, whole=True),
    Column(
        "HEALTH",
        lambda gpu: str(gpu["health"]),
        whole=True,
        style=lambda gpu: _HEALTH_STYLE.get(gpu["health"], "red"),
    ),
    Column("LIMIT", lambda gpu: watts(gpu["power_limit_w"]), right=True, wide=True),
    Column("ENERGY", lambda gpu: energy(gpu["energy_j"]), right=True, wide=True),
    Column("SAMPLE", _age, right=True, wide=True),
    Column("SM", lambda gpu: percent(gpu.get("sm_active_ratio")), right=True, wide=True),
    Column("TENSOR", lambda gpu: percent(gpu.get("tensor_active_ratio")), right=True, wide=True),
    Column("HELD DOWN", _held_down, wide=True),
    Column("LINKS", _links, wide=True),
    Column("XID", lambda gpu: _number(gpu.get("last_xid")), right=True, wide=True),
    Column("USED BY", used_by),
)

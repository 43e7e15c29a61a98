"""GET /metrics/dcgm: the GPUs under dcgm-exporter's names, labels and units, so that its boards and alerts work on.

What is not known has no line; dcgm-exporter's own number for it (BLANK, 9223372036854775794) is never written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import floor
from typing import Any

from dcdaemon.api.metrics.sheet import Convert, Family, Row, Series, Sheet, before, device_labels
from dcdaemon.api.metrics.text import Page, header, label
from dcdaemon.api.metrics.xids import UNKNOWN, WORDS
from dcdaemon.control.desk import Desk
from dcdaemon.core.gpu import GpuInfo, gpu_instance
from dcdaemon.core.metric import Kind, Metric, metrics_of
from dcdaemon.core.samples import GpuSample, MigSample

_LABELS = (
    "gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID", "Hostname", "hostname",
    "DCGM_FI_DRIVER_VERSION", "hpc_job",
)  # fmt: skip
#: dcgm-exporter's name before and since DCGM 3.3; boards use either.
_CLOCK_EVENTS, _CLOCK_EVENTS_NOW = "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"
#: Counters there, although a reset of the board's memory repairs could lower them.
_COUNTERS_THERE = {"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"}
#: What belongs to an instance once a GPU is cut: told of the GPU as well, sums would count it twice.
_OF_INSTANCE = (
    "mem_used_bytes", "mem_total_bytes", "mem_free_bytes", "sm_active_ratio", "tensor_active_ratio",
    "dram_active_ratio",
)  # fmt: skip
_UNITS = {1 / 2**20: "MiB", 1e-6: "MHz", 1e9: "ns", 100: "%"}
_ENDINGS = {"_bytes_per_s": "bytes per second", "_ratio": "0 to 1", "_mj": "mJ", "_w": "W", "_c": "C"}
#: dcgm-exporter counts the XIDs of so long a time, by default.
_WINDOW_S = 300


class DcgmPage:
    """Written anew for each scrape, from memory alone."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self) -> bytes:
        """Return the page."""
        desk, page = self._desk, Page()
        fresh = [sample for sample, _ in desk.board.newest.fresh(desk.clock.monotonic())]
        ends = _Ends(desk)
        _sheet().write(page.lines, _rows(fresh, ends))
        _write_xids(page, desk, [sample for sample in fresh if type(sample) is GpuSample], ends)
        return page.encoded()


class _Ends:
    """Finishes the labels of a GPU or of one of its instances."""

    def __init__(self, desk: Desk) -> None:
        self._gpus: Mapping[int, GpuInfo] = {gpu.index: gpu for gpu in desk.board.gpus.gpus}
        self._jobs = {gpu: job.id for gpu, job in desk.book.holders().items() if job.gpu_instance is None}
        self._jobs_of_instances: dict[tuple[int, str], list[int]] = {}
        for job in desk.book.active():
            if job.gpu_instance is not None:
                place = job.gpus[0], gpu_instance(job.gpu_instance)
                self._jobs_of_instances.setdefault(place, []).append(job.id)
        self._node = desk.node
        self._driver = desk.board.gpus.driver_version

    def of(self, gpu: int, mig: MigSample | None = None) -> str:
        """Return labels in dcgm-exporter's order; both spellings of the host, as it changed from one to the other."""
        info, number = self._gpus.get(gpu), None if mig is None else gpu_instance(mig.instance)
        values = (
            gpu, info and info.uuid, info and info.pci_bus_id, f"nvidia{gpu}", info and info.name,
            mig and _profile(mig), number, self._node, self._node, self._driver, self._job(gpu, number),
        )  # fmt: skip
        return device_labels(_LABELS, values)

    def _job(self, gpu: int, number: str | None) -> int | None:
        """Return the job that has a GPU or a GPU instance; none of several."""
        if number is None:
            return self._jobs.get(gpu)
        jobs = self._jobs_of_instances.get((gpu, number), [])
        return jobs[0] if len(jobs) == 1 else None


def _profile(mig: MigSample) -> str | None:
    """Return the size of a GPU instance, also where it is divided once more: `1c.3g.40gb` is a part of `3g.40gb`."""
    part, _, whole = (mig.profile or "").partition(".")
    return whole if part.endswith("c") else mig.profile


def _rows(fresh: Sequence[Any], ends: _Ends) -> list[Row]:
    migs = [sample for sample in fresh if type(sample) is MigSample]
    cut = {mig.gpu for mig in migs}
    hidden: Mapping[str, Any] = dict.fromkeys(_OF_INSTANCE)
    gpus = [
        (ends.of(sample.gpu), replace(sample, **hidden) if sample.gpu in cut else sample)
        for sample in fresh
        if type(sample) is GpuSample
    ]
    # Compute instances of one GPU instance all tell its memory and its activity.
    once = {(mig.gpu, gpu_instance(mig.instance)): mig for mig in reversed(migs)}
    return gpus + [(ends.of(mig.gpu, mig), _as_gpu(mig)) for mig in reversed(once.values())]


def _as_gpu(mig: MigSample) -> GpuSample:
    total, used = mig.mem_total_bytes, mig.mem_used_bytes
    return GpuSample(
        mig.at, 0.0, mig.gpu, mem_used_bytes=used, mem_total_bytes=total,
        mem_free_bytes=None if total is None or used is None else total - used,
        sm_active_ratio=mig.sm_active_ratio, tensor_active_ratio=mig.tensor_active_ratio,
        dram_active_ratio=mig.dram_active_ratio,
    )  # fmt: skip


@cache
def _sheet() -> Sheet:
    metrics = metrics_of(GpuSample)
    families = [
        _family(name, place, metric)
        for place, metric in enumerate(metrics)
        if metric.dcgm is not None
        for name in ([_CLOCK_EVENTS, _CLOCK_EVENTS_NOW] if metric.dcgm.name == _CLOCK_EVENTS else [metric.dcgm.name])
    ]
    return Sheet([metric.attribute for metric in metrics], families)


def _family(name: str, place: int, metric: Metric) -> Family:
    kind = "counter" if metric.kind is Kind.COUNTER or name in _COUNTERS_THERE else "gauge"
    unit = unit_of(metric)
    meaning = f"{metric.meaning.removesuffix('.')} (in {unit})." if unit else metric.meaning
    return Family(header(name, kind, meaning), (Series(place, before(name, {}, keyed=True), _convert(metric)),))


def unit_of(metric: Metric) -> str:
    """Return dcgm-exporter's unit of a value; empty for what is counted."""
    scale = metric.dcgm.scale if metric.dcgm is not None else 1
    return _UNITS.get(scale) or next((unit for end, unit in _ENDINGS.items() if metric.attribute.endswith(end)), "")


def _convert(metric: Metric) -> Convert | None:
    """Return what brings a value to dcgm-exporter's unit: whole numbers but for watts and shares of one."""
    scale = metric.dcgm.scale if metric.dcgm is not None else 1
    if scale == 1 and metric.attribute.endswith(("_w", "_ratio")):
        return None
    return partial(_whole, scale=scale)


def _whole(value: float, scale: float) -> int:
    # Rounded down, as there; but 1980 MHz must not become 1979 for being 1979.9999999999998.
    return floor(value * scale + 1e-3)


def _write_xids(page: Page, desk: Desk, samples: Sequence[GpuSample], ends: _Ends) -> None:
    given = {sample.gpu: ends.of(sample.gpu).removesuffix("} ") for sample in samples}
    last = ((given[sample.gpu], sample.last_xid) for sample in samples)
    page.gauge(
        "DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered.",
        ((f"{of},{_worded(code)}", code) for of, code in last if code is not None),
    )  # fmt: skip
    recent = desk.board.events.xids_since(desk.clock.now() - _WINDOW_S)
    window = label("window_size_in_ms", _WINDOW_S * 1000)
    quiet = given.keys() - {gpu for gpu, _ in recent}
    counted = [(f"{given[gpu]},{window}", 0) for gpu in sorted(quiet)]
    counted += ((f"{of},{window}", count) for of, count in _by_code(recent, given))
    page.gauge("DCGM_EXP_XID_ERRORS_COUNT", "XID errors within the time window.", counted)
    _, totals = desk.board.events.totals()
    page.counter("DCGM_EXP_XID_ERRORS_TOTAL", "XID errors since the start.", _by_code(totals, given))


def _by_code(counts: Mapping[tuple[int, int], int], given: Mapping[int, str]) -> Iterator[tuple[str, int]]:
    for (gpu, code), count in sorted(counts.items()):
        if gpu in given:
            yield f"{given[gpu]},{label('xid', code)}", count


def _worded(code: int) -> str:
    return f"{label('err_code', code)},{label('err_msg', WORDS.get(code, UNKNOWN))}"

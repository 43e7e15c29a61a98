"""What the devices of the node measure, under our own names; only samples that may still be believed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dcdaemon.api.metrics.own import write
from dcdaemon.api.metrics.sheet import Row, device_labels, native_sheet, texts_of
from dcdaemon.api.metrics.text import Page, label
from dcdaemon.control.newest import device
from dcdaemon.core.samples import KINDS, GpuSample


def write_devices(page: Page, fresh: Sequence[tuple[Any, float]], uuids: Mapping[int, str]) -> None:
    """Add every kind of sample, and the age of the oldest of each kind."""
    rows: dict[type, list[Row]] = {kind: [] for kind in KINDS}
    oldest: dict[str, float] = {}
    for sample, age_s in fresh:
        rows[type(sample)].append((labels_of(sample, uuids), sample))
        oldest[sample.KIND] = max(age_s, oldest.get(sample.KIND, 0.0))
    for kind, of in rows.items():
        if of:
            native_sheet(kind).write(page.lines, of)
            _write_texts(page, kind, of)
    write(page, "dcd_sample_age_seconds", ((label("kind", kind), round(age_s, 3)) for kind, age_s in oldest.items()))


def labels_of(sample: Any, uuids: Mapping[int, str]) -> str:
    """Return what ends the labels of a sample's series: its keys, and for a GPU its UUID."""
    values = device(sample)[1:]
    if type(sample) is GpuSample:
        return device_labels(("gpu", "uuid"), (sample.gpu, uuids.get(sample.gpu)))
    return device_labels(sample.KEYS, values)


def _write_texts(page: Page, kind: Any, rows: Iterable[Row]) -> None:
    """Add what is told in words: an info family with the texts as labels, and whether there is an error."""
    texts = texts_of(kind)
    if texts:
        page.gauge(f"dcd_{kind.KIND}_info", "What is told in words of it; always 1.", _told(texts, rows))
    if "error" in kind.__dataclass_fields__ and kind is not GpuSample:
        errors = ((end.removesuffix("} "), int(sample.error is not None)) for end, sample in rows)
        page.gauge(f"dcd_{kind.KIND}_error", "1 while it does not answer as it should.", errors)


def _told(texts: Sequence[str], rows: Iterable[Row]) -> Iterable[tuple[str, int]]:
    for end, sample in rows:
        values = ((name, getattr(sample, name)) for name in texts)
        told = ",".join(label(name, value) for name, value in values if value is not None)
        if told:
            yield f"{told},{end.removesuffix('} ')}", 1

"""GPM: how busy the units of a Hopper or later GPU were between the last two samples, beside any profiler.

Two threads that share sample buffers can bring down the kernel (NVIDIA's driver reads a null pointer): the buffers
belong to one object, that is asked by the one thread that has its GPU.
"""

import math
import struct
from collections.abc import Callable, Iterable
from ctypes import byref, c_uint

from dcdaemon.telemetry.nvml_errors import UNSUPPORTED, function, unsupported
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_values import Asker, Values

# nvmlGpmMetricsGet_t: version, count, two samples; then for each metric id, return code, value and three texts.
_HEAD_BYTES, _METRIC = 24, struct.Struct("=IId24x")
#: A window is given up when so many beats were missed: its mean would be told as if it were of now.
_LONGEST_WINDOW = 3
_MIB = 2**20


class Metric:
    """One metric of GPM by its id: a percentage, or MiB per second."""

    __slots__ = ("id", "is_rate", "name")

    def __init__(self, name: str, number: int, *, is_rate: bool = False) -> None:
        self.name, self.id, self.is_rate = name, number, is_rate


class Gpm(Asker):
    """Keeps two samples, allocated once and used in turn; what is told is what happened between them."""

    def __init__(
        self, metrics: Iterable[Metric], values: Values, every_s: float, take_sample: Callable[[object], int]
    ) -> None:
        super().__init__(every_s)
        self._values, self._take_sample = values, take_sample
        self._older, self._newer = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
        self._sampled_s: float | None = None
        self._function = function("nvmlGpmMetricsGet")
        self._question = pynvml.c_nvmlGpmMetricsGet_t(version=pynvml.NVML_GPM_METRICS_GET_VERSION)
        self._keep(list(metrics))

    @property
    def over(self) -> bool:
        """Whether no metric is left."""
        return not self._metrics

    def ask(self, now_s: float) -> bool:
        """Take a sample and tell what happened since the last one."""
        self._older, self._newer = self._newer, self._older
        before_s, self._sampled_s = self._sampled_s, None
        code = self._take_sample(self._newer)
        if code:
            self._values.blank(self._places)
            if unsupported(code):
                self._keep([])
            return not self._metrics
        self._sampled_s = now_s
        if before_s is None or now_s - before_s > _LONGEST_WINDOW * self.every_s:
            self._values.blank(self._places)
            return True
        return self._compare()

    def free(self) -> None:
        """Give the buffers back; the object is not used any more."""
        for sample in (self._older, self._newer):
            function("nvmlGpmSampleFree")(sample)

    def _compare(self) -> bool:
        self._question.sample1, self._question.sample2 = self._older, self._newer
        code = self._function(byref(self._question))
        if code:
            self._values.blank(self._places)
            if unsupported(code):
                self._keep([])
            return True
        answers = list(_METRIC.iter_unpack(self._answers))
        for place, metric, (_, refused, value) in zip(self._places, self._metrics, answers, strict=True):
            self._values.put(place, None if refused else _value(metric, value))
        if any(code in UNSUPPORTED for _, code, _ in answers):
            left = [
                metric for metric, answer in zip(self._metrics, answers, strict=True) if answer[1] not in UNSUPPORTED
            ]
            self._keep(left)
        return True

    def _keep(self, metrics: list[Metric]) -> None:
        self._metrics = metrics
        self._places = [self._values.place(metric.name) for metric in metrics]
        self._question.numMetrics = len(metrics)
        for place, metric in enumerate(metrics):
            self._question.metrics[place].metricId = metric.id
        view = memoryview(self._question).cast("B")
        self._answers = view[_HEAD_BYTES : _HEAD_BYTES + len(metrics) * _METRIC.size]


def open_gpm(
    gpu: object, metrics: Iterable[Metric], values: Values, every_s: float, instance: int | None = None
) -> Gpm | None:
    """Return GPM of a GPU, or of one of its MIG instances; None where there is none."""
    try:
        if not pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice:
            return None
        whole, part = function("nvmlGpmSampleGet"), function("nvmlGpmMigSampleGet")
        take: Callable[[object], int] = lambda sample: whole(gpu, sample)  # noqa: E731  two shapes of one call
        if instance is not None:
            number = c_uint(instance)
            take = lambda sample: part(gpu, number, sample)  # noqa: E731
        return Gpm(metrics, values, every_s, take)
    except pynvml.NVMLError as error:
        unsupported(error.value)  # raises when the GPU is lost
        return None


def _value(metric: Metric, value: float) -> float | None:
    if math.isnan(value):
        return None
    if metric.is_rate:
        return value * _MIB
    # Numerator and denominator are sampled one by one: a hair above 100 % is 100 %.
    return 1.0 if 100 < value <= 105 else value / 100

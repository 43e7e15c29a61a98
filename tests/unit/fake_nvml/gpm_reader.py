"""Reads GPM as a caller has to: from two samples."""

import math
import time

import pynvml

_REFRESH_S = 0.1


def sleep_to_refreshes(count: int) -> None:
    """Wait until the counters were refreshed so many times."""
    time.sleep(count * _REFRESH_S - math.fmod(time.monotonic(), _REFRESH_S) + 0.01)


def between(first, second, *metrics: int) -> list[float | str]:
    question = pynvml.c_nvmlGpmMetricsGet_t(version=1, numMetrics=len(metrics), sample1=first, sample2=second)
    for place, metric in enumerate(metrics):
        question.metrics[place].metricId = metric
    pynvml.nvmlGpmMetricsGet(question)
    answers = question.metrics[: len(metrics)]
    return [str(pynvml.NVMLError(one.nvmlReturn)) if one.nvmlReturn else one.value for one in answers]

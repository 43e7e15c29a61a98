"""GPM of the fake: what lies between two samples."""

import ctypes
import math
import os
import signal
import subprocess
import sys

import pynvml
import pytest
from gpm_reader import between, sleep_to_refreshes


@pytest.fixture
def samples():
    made = [pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()]
    yield made
    for sample in made:
        pynvml.nvmlGpmSampleFree(sample)


def test_a_steady_value_is_told_exactly(driver, gpu, samples):
    driver.gpu(0, {"gpm.2": 42.5, "gpm.61": 1000})
    pynvml.nvmlGpmSampleGet(gpu, samples[0])
    sleep_to_refreshes(2)
    pynvml.nvmlGpmSampleGet(gpu, samples[1])
    assert between(*samples, 2, 61, 5) == [42.5, 1000, 0]


def test_a_value_that_changed_meanwhile_is_told_as_the_mean(driver, gpu, samples):
    driver.gpu(0, {"gpm.5": 100})
    sleep_to_refreshes(1)
    pynvml.nvmlGpmSampleGet(gpu, samples[0])
    sleep_to_refreshes(2)
    driver.gpu(0, {"gpm.5": 0})
    pynvml.nvmlGpmSampleGet(gpu, pynvml.nvmlGpmSampleAlloc())
    sleep_to_refreshes(2)
    pynvml.nvmlGpmSampleGet(gpu, samples[1])
    (mean,) = between(*samples, 5)
    assert 10 < mean < 90


def test_two_samples_of_one_refresh_have_nothing_between_them(gpu, samples):
    sleep_to_refreshes(1)
    for sample in samples:
        pynvml.nvmlGpmSampleGet(gpu, sample)
    assert math.isnan(between(*samples, 2)[0])


def test_a_metric_that_is_not_known_fails_alone(gpu, samples):
    pynvml.nvmlGpmSampleGet(gpu, samples[0])
    sleep_to_refreshes(2)
    pynvml.nvmlGpmSampleGet(gpu, samples[1])
    assert between(*samples, 99, 1) == ["Not Supported", 0]


def test_samples_of_two_gpus_or_none_cannot_be_compared(gpu, samples):
    pynvml.nvmlGpmSampleGet(gpu, samples[0])
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        between(*samples, 2)
    pynvml.nvmlGpmSampleGet(pynvml.nvmlDeviceGetHandleByIndex(1), samples[1])
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        between(*samples, 2)


def test_there_is_none_before_hopper(driver_of):
    driver_of(profile="a100")
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 0
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlGpmSampleGet(gpu, pynvml.nvmlGpmSampleAlloc())


def test_two_threads_in_one_sample_end_the_process(driver):
    program = (
        "import pynvml, threading\n"
        "pynvml.nvmlInit()\n"
        "gpu = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "sample = pynvml.nvmlGpmSampleAlloc()\n"
        "def take():\n"
        "    while True: pynvml.nvmlGpmSampleGet(gpu, sample)\n"
        "threading.Thread(target=take, daemon=True).start()\n"
        "take()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGABRT
    assert b"two threads use one GPM sample" in ended.stderr


def test_a_freed_sample_is_refused(gpu):
    taken = pynvml.nvmlGpmSampleAlloc()
    assert pynvml.nvmlLib.nvmlGpmSampleGet(gpu, ctypes.c_void_p()) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    pynvml.nvmlGpmSampleFree(taken)

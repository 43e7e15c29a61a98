"""How the fake misbehaves when it is told to."""

import os
import signal
import subprocess
import sys
import threading
import time

import pynvml
import pytest
from field_reader import values
from patience import until


def test_a_gpu_that_needs_a_reset_or_is_lost_answers_nothing_and_harms_no_other(driver, gpu):
    other = pynvml.nvmlDeviceGetHandleByIndex(1)
    for fault, error in (("lost", pynvml.NVMLError_GpuIsLost), ("reset_required", pynvml.NVMLError_ResetRequired)):
        driver.gpu(0, {fault: 1})
        with pytest.raises(error):
            pynvml.nvmlDeviceGetName(gpu)
        with pytest.raises(error):
            pynvml.nvmlDeviceGetFieldValues(gpu, [83])
        with pytest.raises(error):
            pynvml.nvmlDeviceGetHandleByIndex(0)
        assert pynvml.nvmlDeviceGetPowerUsage(other) == 70_000
        driver.gpu(0, {fault: None})
    assert pynvml.nvmlDeviceGetName(gpu) == "NVIDIA H100 80GB HBM3"


def test_any_error_for_all_calls_or_for_one_quantity(driver, gpu):
    driver.gpu(0, {"error.temp": pynvml.NVML_ERROR_NO_PERMISSION})
    with pytest.raises(pynvml.NVMLError_NoPermission):
        pynvml.nvmlDeviceGetTemperature(gpu, 0)
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 70_000
    driver.gpu(0, error=pynvml.NVML_ERROR_UNKNOWN)
    with pytest.raises(pynvml.NVMLError_Unknown):
        pynvml.nvmlDeviceGetPowerUsage(gpu)


def test_unsupported_quantities_are_so_in_every_call_that_tells_them(driver, gpu):
    driver.gpu(0, unsupported="energy_mj,compute,memory")
    for call in (pynvml.nvmlDeviceGetTotalEnergyConsumption, pynvml.nvmlDeviceGetMemoryInfo):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            call(gpu)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu)
    assert values(gpu, 83, 191) == ["Not Supported", "Not Supported"]
    assert pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3(gpu) == []


def in_a_thread(function, *arguments) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def test_a_hung_gpu_holds_its_caller_alone_until_the_fault_is_gone(driver, gpu):
    other = pynvml.nvmlDeviceGetHandleByIndex(1)
    driver.gpu(0, hang=1)
    caller = in_a_thread(pynvml.nvmlDeviceGetPowerUsage, gpu)
    assert pynvml.nvmlDeviceGetPowerUsage(other) == 70_000
    caller.join(0.1)
    assert caller.is_alive()
    driver.gpu(0, hang=None)
    until(lambda: not caller.is_alive())


def test_a_hang_may_concern_some_quantities_alone(driver, gpu):
    driver.gpu(0, hang="compute,temp")
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 70_000
    caller = in_a_thread(pynvml.nvmlDeviceGetTemperature, gpu, 0)
    caller.join(0.1)
    assert caller.is_alive()
    driver.gpu(0, hang=None)
    until(lambda: not caller.is_alive())


def test_a_hung_driver_holds_every_caller(driver, gpu):
    driver.driver(hang=1)
    callers = [in_a_thread(pynvml.nvmlDeviceGetPowerUsage, gpu), in_a_thread(pynvml.nvmlDeviceGetCount)]
    callers[0].join(0.1)
    assert all(caller.is_alive() for caller in callers)
    driver.driver(hang=None)
    until(lambda: not any(caller.is_alive() for caller in callers))


def test_a_slow_gpu_takes_its_time_for_each_call(driver, gpu):
    driver.gpu(0, slow="30:power_mw")
    before_s = time.monotonic()
    pynvml.nvmlDeviceGetPowerUsage(gpu)
    assert time.monotonic() - before_s >= 0.03


def test_a_crash_ends_the_process_that_asks(driver):
    driver.gpu(0, crash=1)
    program = "import pynvml; pynvml.nvmlInit(); pynvml.nvmlDeviceGetHandleByIndex(0)"
    ended = subprocess.run([sys.executable, "-c", program], env=os.environ, check=False, timeout=30)
    assert ended.returncode == -signal.SIGABRT


def test_a_driver_that_was_loaded_anew_wants_a_new_session_and_counts_from_0(driver, gpu):
    driver.gpu(0, energy_mj=5_000, ecc_corrected_volatile=3, ecc_corrected_aggregate=3)
    driver.reload()
    for call in (pynvml.nvmlDeviceGetCount, lambda: pynvml.nvmlDeviceGetName(gpu)):
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            call()
    pynvml.nvmlInit()
    assert values(gpu, 83, 3, 5) == [0, 0, 3]


def test_without_a_session_there_is_no_answer(driver, gpu):
    pynvml.nvmlShutdown()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetName(gpu)


def test_a_driver_that_cannot_be_used_says_so_at_the_start(driver):
    driver.driver(init_error=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with pytest.raises(pynvml.NVMLError_LibRmVersionMismatch):
        pynvml.nvmlInit()


def test_a_gpu_that_was_taken_out_is_lost(driver):
    last = pynvml.nvmlDeviceGetHandleByIndex(1)
    driver.driver(count=1)
    assert pynvml.nvmlDeviceGetCount() == 1
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetName(last)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetHandleByIndex(1)


def test_every_change_of_the_state_is_seen_at_the_next_call(driver, gpu):
    for celsius in range(20, 90):
        driver.gpu(0, temp=celsius)
        assert pynvml.nvmlDeviceGetTemperature(gpu, 0) == celsius

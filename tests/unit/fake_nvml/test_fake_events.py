"""Events of the fake: each once, and only what came after one registered for it."""

import threading

import pynvml
import pytest

XID, ECC = pynvml.nvmlEventTypeXidCriticalError, pynvml.nvmlEventTypeDoubleBitEccError


@pytest.fixture
def events(gpu):
    made = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu, XID | ECC, made)
    yield made
    pynvml.nvmlEventSetFree(made)


def waits_in_vain(events) -> bool:
    try:
        pynvml.nvmlEventSetWait_v2(events, 1)
    except pynvml.NVMLError_Timeout:
        return True
    return False


def test_an_xid_comes_with_its_code_its_gpu_and_its_instance(driver, events):
    driver.event(0, "xid", 79)
    driver.event(0, "xid", 13, instance=(9, 2))
    first, second = (pynvml.nvmlEventSetWait_v2(events, 1000) for _ in range(2))
    assert (first.eventType, first.eventData, pynvml.nvmlDeviceGetIndex(first.device)) == (XID, 79, 0)
    assert (first.gpuInstanceId, first.computeInstanceId) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert (second.eventData, second.gpuInstanceId, second.computeInstanceId) == (13, 9, 2)
    assert waits_in_vain(events)


def test_each_set_is_told_of_each_event(driver, gpu, events):
    another = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu, ECC, another)
    driver.event(0, "ecc_double")
    assert [pynvml.nvmlEventSetWait_v2(one, 1000).eventType for one in (events, another)] == [ECC, ECC]


def test_what_came_before_or_was_not_asked_for_is_not_told(driver, gpu):
    driver.event(0, "xid", 1)
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu, XID, events)
    driver.event(1, "xid", 2)
    driver.event(0, "ecc_double")
    assert waits_in_vain(events)
    driver.event(0, "xid", 3)
    assert pynvml.nvmlEventSetWait_v2(events, 1000).eventData == 3


def test_a_waiting_caller_is_woken(driver, events):
    told = []
    waiting = threading.Thread(target=lambda: told.append(pynvml.nvmlEventSetWait_v2(events, 60_000)), daemon=True)
    waiting.start()
    waiting.join(0.1)
    driver.event(0, "xid", 48)
    waiting.join(10)
    assert [one.eventData for one in told] == [48]


def test_a_lost_gpu_is_told_after_what_happened_before(driver, events):
    driver.gpu(0, lost=1)
    driver.event(0, "xid", 79)
    assert pynvml.nvmlEventSetWait_v2(events, 1000).eventData == 79
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlEventSetWait_v2(events, 1000)


def test_kinds_that_a_gpu_does_not_know_are_refused(driver, gpu):
    driver.gpu(0, event_types=XID)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceRegisterEvents(gpu, XID | ECC, pynvml.nvmlEventSetCreate())


def test_an_old_driver_knows_five_kinds(driver_of):
    driver_of("OLD_DRIVER")
    assert pynvml.nvmlDeviceGetSupportedEventTypes(pynvml.nvmlDeviceGetHandleByIndex(0)) == 0x1F

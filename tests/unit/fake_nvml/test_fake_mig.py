"""MIG instances of the fake."""

import pynvml
import pytest
from field_reader import values
from gpm_reader import between, sleep_to_refreshes


@pytest.fixture
def instances(driver, gpu):
    driver.mig(
        0, 0, gi=9, ci=1, name="NVIDIA H100 80GB HBM3 MIG 2g.20gb", mem_total=20 * 2**30, mem_used=2**30, slices=2
    )
    driver.mig(0, 2, {"gpm.2": 30})
    return [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place) for place in (0, 2)]


def test_instances_are_found_at_their_places(gpu, instances):
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 7
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)
    first, last = instances
    assert pynvml.nvmlDeviceIsMigDeviceHandle(first)
    assert (pynvml.nvmlDeviceGetGpuInstanceId(first), pynvml.nvmlDeviceGetComputeInstanceId(first)) == (9, 1)
    assert (pynvml.nvmlDeviceGetUUID(last), pynvml.nvmlDeviceGetGpuInstanceId(last)) == ("MIG-fake-0000-2", 9)
    assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(last)) == 0
    assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByUUID(b"MIG-fake-0000-2")) == 2


def test_an_instance_has_its_own_memory_and_size(instances):
    memory = pynvml.nvmlDeviceGetMemoryInfo(instances[0], version=pynvml.nvmlMemory_v2)
    assert (memory.total, memory.used, memory.free) == (20 * 2**30, 2**30, 19 * 2**30)
    attributes = pynvml.nvmlDeviceGetAttributes_v2(instances[0])
    assert (attributes.gpuInstanceSliceCount, attributes.multiprocessorCount, attributes.memorySizeMB) == (2, 32, 20480)


def test_an_instance_lists_its_own_processes_alone(driver, gpu, instances):
    driver.gpu(0, compute="11:1:9:1,12:2:9:0,13:3:7:0")
    assert [p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses_v3(instances[0])] == [11]
    assert [p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu)] == [11, 12, 13]


def test_a_gpu_that_is_cut_does_not_tell_its_use(gpu, instances):
    for call in (
        pynvml.nvmlDeviceGetUtilizationRates,
        pynvml.nvmlDeviceGetRemappedRows,
        lambda one: pynvml.nvmlDeviceGetProcessUtilization(one, 0),
    ):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            call(gpu)
    assert values(gpu, 142) == ["Not Supported"]
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 70_000


def test_an_instance_does_not_tell_what_is_of_the_whole_board(instances):
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetPowerUsage(instances[0])


def test_gpm_of_an_instance_by_its_id_or_its_handle(gpu, driver):
    driver.mig(0, 1, {"gpm.2": 30}, gi=5)
    first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    pynvml.nvmlGpmMigSampleGet(gpu, 5, first)
    sleep_to_refreshes(2)
    pynvml.nvmlGpmSampleGet(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1), second)
    # Traffic is of the whole GPU.
    assert between(first, second, 2, 20) == [30, "Not Supported"]
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlGpmMigSampleGet(gpu, 6, first)


def test_an_instance_shares_the_faults_of_its_gpu_and_goes_when_it_is_removed(driver, gpu, instances):
    driver.gpu(0, lost=1)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetUUID(instances[0])
    driver.gpu(0, lost=None)
    driver.mig(0, 0, gi=None)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)


def test_a_gpu_that_is_not_cut_has_none(gpu):
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 0]
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)

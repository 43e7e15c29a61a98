"""Every structure of the fake against nvidia-ml-py's: each member is given a value of its own and has to arrive."""

import os
import re
from ctypes import byref
from pathlib import Path

import pynvml
import pytest

GIB = 1024**3


def members(structure) -> dict[str, object]:
    return {name: getattr(structure, name) for name, *_ in structure._fields_}


def test_memory_of_both_versions(driver, gpu):
    driver.gpu(0, mem_total=80 * GIB, mem_used=7 * GIB, mem_reserved=GIB)
    assert members(pynvml.nvmlDeviceGetMemoryInfo(gpu, version=pynvml.nvmlMemory_v2)) == {
        "version": pynvml.nvmlMemory_v2, "total": 80 * GIB, "reserved": GIB, "free": 72 * GIB, "used": 7 * GIB
    }  # fmt: skip
    # Version 1 counts as used what is reserved.
    assert members(pynvml.nvmlDeviceGetMemoryInfo(gpu)) == {"total": 80 * GIB, "free": 72 * GIB, "used": 8 * GIB}


def test_bar1_memory(driver, gpu):
    driver.gpu(0, bar1_total=100, bar1_used=30)
    assert members(pynvml.nvmlDeviceGetBAR1MemoryInfo(gpu)) == {"bar1Total": 100, "bar1Free": 70, "bar1Used": 30}


def test_pci_address(driver, gpu):
    driver.gpu(0, pci="0000000A:4B:1C.0")
    pci = pynvml.nvmlDeviceGetPciInfo(gpu)
    assert (pci.busId, pci.busIdLegacy) == ("0000000A:4B:1C.0", "000A:4B:1C.0")
    assert (pci.domain, pci.bus, pci.device) == (0xA, 0x4B, 0x1C)


def test_use_and_its_periods(driver, gpu):
    driver.gpu(0, util=61, mem_util=17, encoder=5, decoder=9)
    assert members(pynvml.nvmlDeviceGetUtilizationRates(gpu)) == {"gpu": 61, "memory": 17}
    assert pynvml.nvmlDeviceGetEncoderUtilization(gpu)[0] == 5
    assert pynvml.nvmlDeviceGetDecoderUtilization(gpu)[0] == 9


def test_temperatures_may_be_below_zero(driver, gpu):
    driver.gpu(0, temp=-3, temp_margin=-7)
    assert pynvml.nvmlDeviceGetTemperatureV(gpu, pynvml.NVML_TEMPERATURE_GPU) == -3
    assert pynvml.nvmlDeviceGetMarginTemperature(gpu) == -7


def test_remapped_rows_and_their_histogram(driver, gpu):
    driver.gpu(
        0, remap_correctable=3, remap_uncorrectable=2, remap_pending=1, remap_failed=0, remap_banks="636,1,2,0,4"
    )
    assert pynvml.nvmlDeviceGetRemappedRows(gpu) == (3, 2, 1, 0)
    assert members(pynvml.nvmlDeviceGetRowRemapperHistogram(gpu)) == {
        "max": 636, "high": 1, "partial": 2, "low": 0, "none": 4
    }  # fmt: skip


def test_sram_errors(driver, gpu):
    driver.gpu(0, sram_parity=2, sram_secded=3, sram_corrected=5, sram_threshold=1)
    status = pynvml.c_nvmlEccSramErrorStatus_v1_t()
    pynvml.nvmlDeviceGetSramEccErrorStatus(gpu, byref(status))
    assert (status.aggregateUncParity, status.aggregateUncSecDed, status.aggregateCor) == (2, 3, 5)
    assert (status.volatileUncParity, status.volatileUncSecDed, status.volatileCor) == (2, 3, 5)
    assert (status.aggregateUncBucketL2, status.aggregateUncBucketOther, status.bThresholdExceeded) == (5, 0, 1)


def test_a_structure_of_another_version_is_refused(gpu):
    status = pynvml.c_nvmlEccSramErrorStatus_v1_t()
    status.version = 1
    with pytest.raises(pynvml.NVMLError_ArgumentVersionMismatch):
        pynvml.nvmlDeviceGetSramEccErrorStatus(gpu, byref(status))


def test_ecc_errors_by_kind_and_counter(driver, gpu):
    driver.gpu(0, ecc_corrected_volatile=1, ecc_uncorrected_volatile=2, ecc_corrected_aggregate=3)
    driver.gpu(0, ecc_uncorrected_aggregate=2**40)
    counts = [pynvml.nvmlDeviceGetTotalEccErrors(gpu, kind, counter) for kind in (0, 1) for counter in (0, 1)]
    assert counts == [1, 3, 2, 2**40]


def test_retired_pages_of_a_board_that_has_them(driver_of):
    driver_of(profile="v100").gpu(0, retired_sbe=2, retired_dbe=1)
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert [len(pynvml.nvmlDeviceGetRetiredPages(gpu, cause)) for cause in (0, 1)] == [2, 1]


def test_processes_of_every_list(driver, gpu):
    driver.gpu(0, compute="11:4096,12:-1:9:2", graphics="13:77", mps="14:5")
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu)
    assert [(p.pid, p.usedGpuMemory) for p in listed] == [(11, 4096), (12, None)]
    assert (listed[0].gpuInstanceId, listed[1].gpuInstanceId, listed[1].computeInstanceId) == (0xFFFFFFFF, 9, 2)
    assert [p.pid for p in pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2(gpu)] == [13]
    assert [p.pid for p in pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3(gpu)] == [14]


def test_a_process_that_ended_leaves_a_bound_list(driver, gpu):
    driver.gpu(0, compute=f"{os.getpid()}:1,4194303:2")
    assert len(pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu)) == 2
    driver.driver(bound=1)
    assert [p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu)] == [os.getpid()]


def test_the_use_of_processes_is_told_once_per_measurement(driver, gpu):
    driver.gpu(0, proc_util="11:40:30:20:10,12:1:2:3:4")
    first, second = pynvml.nvmlDeviceGetProcessUtilization(gpu, 0)
    assert (first.pid, first.smUtil, first.memUtil, first.encUtil, first.decUtil) == (11, 40, 30, 20, 10)
    assert (second.pid, second.decUtil) == (12, 4)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(gpu, first.timeStamp + 10**9)


def test_clocks_links_and_versions(driver, gpu):
    driver.gpu(0, graphics_mhz=1, sm_mhz=2, mem_mhz=3, video_mhz=4, pcie_gen=3, pcie_width=8, pcie_replay=5)
    driver.gpu(0, nvlink_down="2,17", fan=41)
    assert [pynvml.nvmlDeviceGetClockInfo(gpu, clock) for clock in (0, 1, 2, 3)] == [1, 2, 3, 4]
    assert [pynvml.nvmlDeviceGetMaxClockInfo(gpu, clock) for clock in (1, 2)] == [1980, 2619]
    assert (pynvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu), pynvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu)) == (3, 5)
    assert (pynvml.nvmlDeviceGetCurrPcieLinkWidth(gpu), pynvml.nvmlDeviceGetMaxPcieLinkWidth(gpu)) == (8, 16)
    assert (pynvml.nvmlDeviceGetPcieReplayCounter(gpu), pynvml.nvmlDeviceGetFanSpeed(gpu)) == (5, 41)
    assert [link for link in range(18) if not pynvml.nvmlDeviceGetNvLinkState(gpu, link)] == [2, 17]
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetNvLinkState(gpu, 18)
    assert (pynvml.nvmlSystemGetCudaDriverVersion_v2(), pynvml.nvmlDeviceGetVbiosVersion(gpu)) == (
        13000,
        "96.00.89.00.01",
    )


def test_handles_by_uuid_and_by_address(driver, gpu):
    for found in (
        pynvml.nvmlDeviceGetHandleByUUID(b"GPU-fake-0001"),
        pynvml.nvmlDeviceGetHandleByPciBusId(b"00000000:11:00.0"),
    ):
        assert pynvml.nvmlDeviceGetIndex(found) == 1
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID(b"GPU-none")


def test_sixty_four_gpus(driver_of):
    driver_of(count=64)
    assert pynvml.nvmlDeviceGetCount() == 64
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(64)]
    assert len({pynvml.nvmlDeviceGetUUID(handle) for handle in handles}) == 64


@pytest.mark.parametrize(
    ("profile", "name", "gib", "watts", "links", "gpm"),
    [
        ("v100", "Tesla V100-SXM2-32GB", 32, 300, 6, 0),
        ("a100", "NVIDIA A100-SXM4-80GB", 80, 400, 12, 0),
        ("h100", "NVIDIA H100 80GB HBM3", 80, 700, 18, 1),
        ("h200", "NVIDIA H200", 140, 700, 18, 1),
        ("b200", "NVIDIA B200", 179, 1000, 18, 1),
    ],
)
def test_a_profile_is_one_kind_of_board(driver_of, profile, name, gib, watts, links, gpm):
    driver_of(profile=profile)
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetName(gpu) == name
    assert round(pynvml.nvmlDeviceGetMemoryInfo(gpu).total / GIB) == gib
    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) == watts * 1000
    assert pynvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT])[0].value.uiVal == links
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == gpm


def names_of_nvidia_ml_py() -> set[str]:
    return set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"', Path(pynvml.__file__).read_text()))


def test_what_is_not_written_is_there_and_not_supported(driver, gpu):
    assert [name for name in names_of_nvidia_ml_py() if not hasattr(pynvml.nvmlLib, name)] == []
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetVirtualizationMode(gpu)


def test_an_old_driver_lacks_what_came_later(driver_of):
    driver_of("OLD_DRIVER")
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    for name in ("FieldValues", "MemoryInfo_v2", "ComputeRunningProcesses_v3", "TemperatureV", "MarginTemperature"):
        assert not hasattr(pynvml.nvmlLib, f"nvmlDeviceGet{name}")
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 70_000
    assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu) == 1
    assert pynvml.nvmlDeviceGetComputeRunningProcesses_v2(gpu) == []

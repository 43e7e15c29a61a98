"""Unmodified gpustat, nvitop and nvitop-exporter read the same driver, and say what we say."""

import getpass
import math
import subprocess
import sys
from collections.abc import Iterator

import pytest
from definitions import READ_BY_PEERS
from peer_tools import gpustat, nvitop, nvitop_exporter

from dcdaemon.core.samples import GpuReading, GpuSample

MIB, GIB = 2**20, 2**30
COUNT = 3


def scene(driver, count: int = COUNT) -> None:
    """Give each GPU another value of everything."""
    for gpu in range(count):
        driver.gpu(
            gpu, util=11 + 7 * gpu, mem_util=5 + gpu, power_mw=301_234 + 1000 * gpu,
            power_limit_mw=350_000 + 1000 * gpu, temp=41 + gpu, mem_used=(3 + gpu) * GIB, sm_mhz=1001 + gpu,
            mem_mhz=1501 + gpu, ecc_uncorrected_volatile=gpu,
        )  # fmt: skip


def complete(reading: GpuReading) -> bool:
    return len(reading.samples) == COUNT and all(
        getattr(sample, name) is not None for sample in reading.samples for name in READ_BY_PEERS
    )


@pytest.mark.parametrize("profile", ["a100", "h100", "h200"])
def test_all_agree_on_every_value_of_every_gpu(driver_of, ours, peers, profile):
    scene(driver_of(profile, COUNT))
    reading = ours(complete)
    with nvitop_exporter(peers, COUNT) as page:
        for info, sample, of_gpustat, of_nvitop in zip(
            reading.gpus, reading.samples, gpustat(peers), nvitop(peers), strict=True
        ):
            names = (info.index, info.uuid, info.name)
            assert names == (of_gpustat["index"], of_gpustat["uuid"], of_gpustat["name"])
            assert names == (of_nvitop["index"], of_nvitop["uuid"], of_nvitop["name"])
            assert info.pci_bus_id == of_nvitop["bus_id"]
            assert as_gpustat(sample) == {name: of_gpustat[name] for name in as_gpustat(sample)}
            assert as_nvitop(sample) == {name: of_nvitop[name] for name in as_nvitop(sample)}
            assert as_exporter(sample) == pytest.approx(
                {name: page[name, str(info.index)] for name in as_exporter(sample)}
            )


def as_gpustat(sample: GpuSample) -> dict[str, int]:
    """Say our sample in gpustat's words: whole watts and MiB."""
    return {
        "temperature.gpu": sample.temp_c,
        "utilization.gpu": round(sample.util_ratio * 100),
        "power.draw": int(sample.power_w),
        "enforced.power.limit": int(sample.power_limit_w),
        "memory.used": sample.mem_used_bytes // MIB,
        "memory.total": sample.mem_total_bytes // MIB,
    }


def as_nvitop(sample: GpuSample) -> dict[str, object]:
    """Say our sample in nvitop's words: mW, MHz, per cent."""
    sm_mhz, mem_mhz = sample.sm_clock_hz // 1_000_000, sample.mem_clock_hz // 1_000_000
    return {
        "gpu_utilization": round(sample.util_ratio * 100),
        "memory_utilization": round(sample.mem_bw_busy_ratio * 100),
        "memory_info": {
            "total": sample.mem_total_bytes, "free": sample.mem_free_bytes,
            "used": sample.mem_used_bytes, "reserved": sample.mem_reserved_bytes,
        },
        "power_usage": round(sample.power_w * 1000),
        "power_limit": round(sample.power_limit_w * 1000),
        "temperature": sample.temp_c,
        "sm_clock": sm_mhz,
        "memory_clock": mem_mhz,
        "nvlinks": sample.nvlink_links,
        "total_volatile_uncorrected_ecc_errors": sample.ecc_uncorrected_volatile,
    }  # fmt: skip


def as_exporter(sample: GpuSample) -> dict[str, float]:
    """Say our sample in the names of nvitop-exporter."""
    return {
        "gpu_utilization_Percentage": sample.util_ratio * 100,
        "gpu_memory_utilization_Percentage": sample.mem_bw_busy_ratio * 100,
        "gpu_memory_total_MiB": sample.mem_total_bytes / MIB,
        "gpu_memory_used_MiB": sample.mem_used_bytes / MIB,
        "gpu_memory_free_MiB": sample.mem_free_bytes / MIB,
        "gpu_clock_sm_MHz": sample.sm_clock_hz / 1e6,
        "gpu_clock_memory_MHz": sample.mem_clock_hz / 1e6,
        "gpu_power_usage_W": sample.power_w,
        "gpu_power_limit_W": sample.power_limit_w,
        "gpu_temperature_C": sample.temp_c,
    }


def test_the_highest_clocks_are_the_same(driver_of, ours, peers):
    driver_of("h200", COUNT).gpu(1, sm_max_mhz=1755, mem_max_mhz=3000)
    told = nvitop_clocks(peers)
    reading = ours(complete)
    assert [(s.sm_clock_max_hz / 1e6, s.mem_clock_max_hz / 1e6) for s in reading.samples] == told
    assert told[1] == (1755, 3000)


def nvitop_clocks(peers) -> list[tuple[int, int]]:
    program = "from nvitop import Device\nfor d in Device.all(): print(d.max_sm_clock(), d.max_memory_clock())"
    told = subprocess.run([peers / "python", "-c", program], check=True, capture_output=True, text=True, timeout=60)
    return [tuple(map(int, line.split())) for line in told.stdout.splitlines()]


@pytest.fixture
def two_processes() -> Iterator[list[int]]:
    """Two real processes, since every tool looks them up."""
    waiting = [sys.executable, "-c", "input()"]
    with (
        subprocess.Popen(waiting, stdin=subprocess.PIPE) as first,
        subprocess.Popen(waiting, stdin=subprocess.PIPE) as second,
    ):
        yield [first.pid, second.pid]
        for process in (first, second):
            process.kill()


def test_processes_are_the_same_with_their_memory_and_user(driver_of, ours, peers, two_processes):
    first, second = two_processes
    driver_of("h100", 1).gpu(
        0, compute=f"{first}:{5 * GIB},{second}:{3 * MIB}", graphics=f"{second}:{3 * MIB}",
        proc_util=f"{first}:40:20:0:0",
    )  # fmt: skip
    reading = ours(lambda reading: reading.samples and reading.samples[0].processes)
    mine = {process.pid: process for process in reading.samples[0].processes}
    assert {pid: one.mem_used_bytes for pid, one in mine.items()} == {first: 5 * GIB, second: 3 * MIB}
    assert {one.user for one in mine.values()} == {getpass.getuser()}

    of_gpustat = {one["pid"]: one for one in gpustat(peers)[0]["processes"]}
    assert {pid: one["gpu_memory_usage"] * MIB for pid, one in of_gpustat.items()} == {
        pid: one.mem_used_bytes for pid, one in mine.items()
    }
    assert {one["username"] for one in of_gpustat.values()} == {one.user for one in mine.values()}
    of_nvitop = nvitop(peers)[0]["processes"]
    assert {int(pid): one["memory"] for pid, one in of_nvitop.items()} == {
        pid: one.mem_used_bytes for pid, one in mine.items()
    }
    assert of_nvitop[str(first)]["sm"] == 40
    with nvitop_exporter(peers, 1, processes=2) as page:
        assert {pid: page["process_gpu_memory_MiB", f"0/{pid}"] * MIB for pid in mine} == {
            pid: one.mem_used_bytes for pid, one in mine.items()
        }


def test_what_a_board_does_not_tell_is_unknown_to_all(driver_of, ours, peers):
    driver_of("h100", 1).gpu(0, unsupported="util,power_mw,power_field,temp")
    sample = ours(lambda reading: reading.samples and reading.samples[0].mem_used_bytes is not None).samples[0]
    assert (sample.util_ratio, sample.power_w, sample.temp_c) == (None, None, None)
    of_gpustat, of_nvitop = gpustat(peers)[0], nvitop(peers)[0]
    assert [of_gpustat[name] for name in ("utilization.gpu", "power.draw", "temperature.gpu")] == [None] * 3
    assert [of_nvitop[name] for name in ("gpu_utilization", "power_usage", "temperature")] == [None] * 3
    with nvitop_exporter(peers, 1) as page:
        assert all(math.isnan(page[name, "0"]) for name in ("gpu_utilization_Percentage", "gpu_power_usage_W"))


def test_a_lost_gpu_takes_no_other_along(driver_of, ours, peers):
    driver = driver_of("h100", COUNT)
    scene(driver)
    driver.gpu(1, lost=1)
    reading = ours(lambda reading: reading.lost == {1} and len(reading.samples) == COUNT)
    told = {sample.gpu: sample for sample in reading.samples if sample.temp_c is not None}
    assert {gpu: one["temperature.gpu"] for gpu, one in enumerate(gpustat(peers)) if gpu != 1} == {
        gpu: sample.temp_c for gpu, sample in told.items()
    }
    assert {one["index"]: one["temperature"] for one in nvitop(peers) if one["temperature"] is not None} == {
        gpu: sample.temp_c for gpu, sample in told.items()
    }


def test_all_agree_on_an_old_driver(driver_of, ours, peers):
    """Without version 2 of the memory call what the driver reserved counts as used, for us as for the others."""
    driver = driver_of("a100", COUNT, "OLD_DRIVER")
    scene(driver)
    reading = ours(lambda reading: len(reading.samples) == COUNT and reading.samples[0].temp_c is not None)
    for sample, of_gpustat, of_nvitop in zip(reading.samples, gpustat(peers), nvitop(peers), strict=True):
        assert as_gpustat(sample) == {name: of_gpustat[name] for name in as_gpustat(sample)}
        assert of_nvitop["memory_used"] == sample.mem_used_bytes == (3 + sample.gpu) * GIB + 512 * MIB
        assert (of_nvitop["sm_clock"], of_nvitop["power_usage"]) == (1001 + sample.gpu, round(sample.power_w * 1000))


def test_mig_instances_are_the_same(driver_of, ours, peers, two_processes):
    driver = driver_of("h100", 1)
    name = "NVIDIA H100 80GB HBM3 MIG"
    driver.mig(0, 0, gi=9, ci=0, name=f"{name} 1g.10gb", mem_total=10 * GIB, mem_used=GIB)
    driver.mig(0, 1, gi=1, ci=2, name=f"{name} 4g.40gb", mem_total=40 * GIB, mem_used=7 * GIB)
    driver.gpu(0, compute=f"{two_processes[0]}:{GIB}:1:2")
    reading = ours(lambda reading: len(reading.migs) == 2)
    (of_nvitop,) = nvitop(peers)
    assert {(one.instance, one.uuid, one.mem_used_bytes, one.mem_total_bytes) for one in reading.migs} == {
        (f"{mig['gi']}/{mig['ci']}", mig["uuid"], mig["memory_used"], mig["memory_total"]) for mig in of_nvitop["migs"]
    }
    assert {f"{name} {one.profile}" for one in reading.migs} == {mig["name"] for mig in of_nvitop["migs"]}
    assert [list(mig["processes"]) for mig in of_nvitop["migs"]] == [[], [str(two_processes[0])]]
    assert of_nvitop["gpu_utilization"] is None
    assert reading.samples[0].util_ratio is None


def test_all_agree_under_a_load_that_has_settled(driver_of, ours, peers):
    driver = driver_of("h100", COUNT)
    for gpu in range(COUNT):
        driver.load(gpu, 1.0, limit_w=400 + 100 * gpu, ago_s=600)
    samples = ours(complete).samples
    assert [(sample.util_ratio, sample.power_w) for sample in samples] == [(1, 400), (1, 500), (1, 600)]
    for sample, of_gpustat, of_nvitop in zip(samples, gpustat(peers), nvitop(peers), strict=True):
        assert as_gpustat(sample) == {name: of_gpustat[name] for name in as_gpustat(sample)}
        assert of_nvitop["sm_clock"] * 1_000_000 == sample.sm_clock_hz < sample.sm_clock_max_hz

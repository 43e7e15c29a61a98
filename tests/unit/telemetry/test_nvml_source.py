"""The real telemetry child against the fake driver library, through the C ABI."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from fake_nvml.quick_plan import INTERVAL_S, quick_plan
from patience import alive, until

from dcdaemon.core.samples import GpuReading, GpuSample
from dcdaemon.telemetry.gpu_plan import Patience, Plan
from dcdaemon.telemetry.gpu_source import NvmlSource
from dcdaemon.telemetry.gpu_supervisor import Upkeep
from dcdaemon.telemetry.nvml_process import NvmlChild

GIB = 1024**3
REPOSITORY = Path(__file__).parents[3]


def sample(reading: GpuReading, gpu: int) -> GpuSample:
    withdrawn = GpuSample(0, 0, gpu, error="withdrawn")
    return next((s for s in reading.samples if s.gpu == gpu), withdrawn)


def fresh(source: NvmlSource) -> set[int]:
    return {s.gpu for s in source.read().samples}


def test_every_value_is_the_drivers(driver, start):
    driver.gpu(2, util=37, mem_util=21, mem_used=7 * GIB, power_mw=412_345, energy_mj=9_007_199_254_740_993, temp=66)
    reading = start().read()

    assert (reading.driver_version, reading.driver_error, reading.lost) == ("580.65.06", None, frozenset())
    assert [gpu.index for gpu in reading.gpus] == [s.gpu for s in reading.samples] == [0, 1, 2, 3]
    info = reading.gpus[2]
    assert (info.uuid, info.name, info.minor, info.numa_node) == ("GPU-fake-0002", "Fake H100", 5, 0)
    assert (info.pci_bus_id, info.mem_total_bytes, info.power_limit_w) == (
        "00000000:12:00.0",
        80 * GIB,
        700.0,
    )
    got = sample(reading, 2)
    assert (got.util_ratio, got.mem_bw_busy_ratio, got.power_w, got.temp_c) == (0.37, 0.21, 412.345, 66)
    assert (got.mem_used_bytes, got.mem_total_bytes) == (7 * GIB, 80 * GIB)
    assert got.energy_counter_mj == 9_007_199_254_740_993
    assert (got.sm_clock_hz, got.mem_clock_hz, got.power_limit_w) == (1_980_000_000, 2_619_000_000, 700.0)
    assert (got.processes, got.error, got.simulated) == ((), None, False)
    assert abs(got.at - time.time()) < 10
    assert abs(got.monotonic_s - time.monotonic()) < 10


def test_where_the_nvlinks_lead_is_told_each_end_once(driver, start):
    one, other, switch = "00000000:11:00.0", "00000000:12:00.0", "00000000:05:00.0"
    driver.gpu(3, nvlink_links=0)
    driver.gpu(0, nvlink_links=4, nvlink_ends=f"{other},{one}")
    driver.gpu(1, nvlink_links=2, nvlink_ends=one, nvlink_down="1")
    reading = start().read()
    assert [gpu.nvlink_ends for gpu in reading.gpus] == [(one, other), (one,), (switch,), ()]


def test_the_numa_node_is_the_hosts_however_many_there_are(driver, start):
    driver.gpu(0, numa=70)
    driver.gpu(1, {"error.numa": 3})
    assert [gpu.numa_node for gpu in start().read().gpus] == [70, None, 0, 0]


def test_a_change_is_seen_within_the_next_polls(driver, start):
    source = start()
    driver.gpu(1, util=99)
    until(lambda: sample(source.read(), 1).util_ratio == 0.99)


def test_processes_are_named_and_vanished_ones_left_out(driver, start):
    me = os.getpid()
    driver.gpu(0, compute=f"{me}:1048576,4194303:5", graphics=f"{me}:1048576")
    driver.gpu(1, compute=f"{me}:-1")
    reading = start().read()

    (mine,) = sample(reading, 0).processes
    assert (mine.pid, mine.mem_used_bytes, mine.job_id) == (me, 1048576, None)
    assert "pytest" in mine.command
    assert 0 <= mine.age_s < 3600
    assert mine.user
    (unknown_memory,) = sample(reading, 1).processes
    assert unknown_memory.mem_used_bytes is None


def test_what_a_gpu_does_not_support_is_unknown_and_never_zero(driver, start):
    driver.gpu(0, unsupported="energy_mj,util,compute,graphics")
    reading = start().read()
    got = sample(reading, 0)
    assert (got.energy_counter_mj, got.util_ratio, got.processes, got.error) == (None, None, None, None)
    assert got.power_w == 100.5
    assert sample(reading, 1).energy_counter_mj == 5_000_000_001


def test_power_falls_back_to_the_older_call(driver, start):
    driver.gpu(0, unsupported="power_field")
    assert sample(start().read(), 0).power_w == 100.5


def test_an_implausible_value_is_dropped_and_counted(driver, start):
    driver.gpu(0, temp=4_000_000)
    source = start()
    assert sample(source.read(), 0).temp_c is None
    assert source.implausible_values > 0


def test_a_counter_that_went_back_is_shown_as_it_is(driver, start):
    source = start()
    driver.gpu(0, energy_mj=12)
    until(lambda: sample(source.read(), 0).energy_counter_mj == 12)


@pytest.mark.parametrize(("fault", "error"), [("lost", "lost"), ("reset_required", "reset required")])
def test_a_lost_gpu_is_told_and_harms_no_other(driver, start, fault, error):
    source = start()
    driver.gpu(1, **{fault: 1})
    until(lambda: source.read().lost == {1})
    got = sample(source.read(), 1)
    assert (got.error, got.util_ratio, got.processes) == (error, None, None)
    until(lambda: fresh(source) == {0, 1, 2, 3})

    driver.gpu(1, **{fault: None})
    until(lambda: source.read().lost == frozenset() and sample(source.read(), 1).util_ratio == 0.11)


def test_a_library_that_writes_to_standard_output_disturbs_nothing(driver, start, capfd):
    driver.driver(chatter=1)
    source = start()
    assert (source.read().driver_error, fresh(source)) == (None, {0, 1, 2, 3})
    assert capfd.readouterr() == ("", "a library that writes to standard output\n")


def test_a_gpu_lost_from_the_start_does_not_hide_the_others(driver, start):
    driver.gpu(3, lost=1)
    reading = start().read()
    assert reading.lost == {3}
    assert [gpu.index for gpu in reading.gpus] == [0, 1, 2]


def test_a_hung_driver_is_told_with_its_age_and_read_and_close_stay_quick(driver, start):
    source = start()
    for gpu in range(4):
        driver.gpu(gpu, hang=1)
    driver.driver(hang=1)
    slowest_s = 0.0
    deadline_s = time.monotonic() + 10
    while not (source.read().driver_error or "").startswith("the driver does not answer since "):
        assert time.monotonic() < deadline_s
        before = time.monotonic()
        source.read()
        slowest_s = max(slowest_s, time.monotonic() - before)
    assert slowest_s < 0.2
    assert source.read().samples == ()
    assert len(source.read().gpus) == 4

    hung = source.child_pid
    before = time.monotonic()
    source.close()
    assert time.monotonic() - before < 1
    until(lambda: not alive(hung))


def test_a_hang_during_start_is_overcome_once_the_driver_answers(driver):
    driver.driver(hang=1)
    patience = Patience(0.5, restart_s=0.05, retry_s=0.3)
    source = NvmlSource(upkeep=Upkeep(quick_plan(), patience))
    source.start()
    try:
        until(lambda: source.read().driver_error)
        driver.driver(hang=None)
        until(lambda: fresh(source) == {0, 1, 2, 3})
        assert source.read().driver_error is None
    finally:
        source.close()


def test_a_crash_in_the_driver_is_told_and_the_child_restarted(driver, start):
    source = start()
    first_child = source.child_pid
    driver.gpu(0, crash=1)
    until(lambda: source.read().driver_error == "the telemetry child was ended by SIGABRT")
    driver.gpu(0, crash=None)
    until(lambda: fresh(source) == {0, 1, 2, 3} and source.read().driver_error is None)
    assert source.child_pid != first_child


@pytest.mark.parametrize(
    ("code", "words"), [(9, "Driver Not Loaded"), (18, "RM has detected an NVML/RM version mismatch.")]
)
def test_a_driver_that_cannot_be_used_is_told_and_asked_again(driver, start, code, words):
    driver.driver(init_error=code)
    source = start()
    reading = source.read()
    assert reading.driver_error == f"the NVIDIA driver cannot be used: {words} (NVML code {code})"
    assert (reading.gpus, reading.samples, reading.driver_version) == ((), (), None)

    driver.driver(init_error=None)
    until(lambda: fresh(source) == {0, 1, 2, 3})


def test_a_driver_unloaded_under_us_is_told_and_found_again(driver, start):
    source = start()
    driver.driver(init_error=9)
    os.kill(source.child_pid, signal.SIGTERM)
    until(lambda: "Driver Not Loaded" in (source.read().driver_error or ""))
    driver.driver(init_error=None, count=2)
    until(lambda: fresh(source) == {0, 1})
    assert len(source.read().gpus) == 2


def test_a_driver_without_gpus_is_told(driver, start):
    driver.driver(count=0)
    assert start().read().driver_error == "driver 580.65.06 sees no GPU"


def test_a_machine_without_the_driver_has_no_gpus(start, monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        reading = start().read()
        assert reading.driver_error == (
            "the NVIDIA driver cannot be used: NVML Shared Library Not Found (NVML code 12)"
        )
        assert reading.gpus == ()
    else:
        pytest.skip("this machine has a driver")


def test_an_old_driver_without_the_newer_calls_still_tells_everything(tmp_path, start, monkeypatch):
    me = os.getpid()
    old = FakeDriver(build(tmp_path, "OLD_DRIVER"), tmp_path / "state", count=1).installed(monkeypatch)
    old.gpu(0, compute=f"{me}:77")
    reading = start().read()
    got = sample(reading, 0)
    assert (got.energy_counter_mj, got.power_w, got.temp_c) == (5_000_000_000, 100.5, 40)
    # Version 1 of the memory call counts what the driver reserved.
    assert got.mem_used_bytes == GIB + 512 * 1024**2
    assert [(p.pid, p.mem_used_bytes) for p in got.processes] == [(me, 77)]
    assert reading.gpus[0].numa_node is None


class Unkillable(NvmlChild):
    """Stands for a child stuck in the kernel: signals do not end it."""

    born: ClassVar[list["Unkillable"]] = []

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        Unkillable.born.append(self)

    def ask_to_end(self) -> None:
        pass

    def kill(self) -> None:
        pass


def test_at_most_one_stuck_child_is_left_behind(driver, start, monkeypatch):
    monkeypatch.setattr(Unkillable, "born", [])
    # A stuck child does not notice its parent's going either.
    monkeypatch.setattr(Unkillable, "end", lambda self: self.gone())
    source = start(launch=Unkillable, deadline_s=0.4)
    for gpu in range(4):
        driver.gpu(gpu, hang=1)
    driver.driver(hang=1)
    until(lambda: len(Unkillable.born) == 2)
    time.sleep(0.9)  # two deadlines
    assert len(Unkillable.born) == 2
    assert "does not answer" in source.read().driver_error

    os.kill(Unkillable.born[0].pid, signal.SIGKILL)
    until(lambda: len(Unkillable.born) == 3)
    before = time.monotonic()
    source.close()
    assert time.monotonic() - before < 1
    for child in Unkillable.born:
        if not child.gone():
            os.kill(child.pid, signal.SIGKILL)
        NvmlChild.kill(child)
        NvmlChild.end(child)


@pytest.mark.parametrize("hung", [False, True])
def test_the_child_goes_when_the_daemon_is_killed(driver, hung):
    program = (
        "import time\n"
        "from dcdaemon.telemetry.gpu_source import NvmlSource\n"
        f"source = NvmlSource({INTERVAL_S}, 60)\n"
        "source.start()\n"
        "source.wait_known(10)\n"
        "print(source.child_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE) as daemon:
        child = int(daemon.stdout.readline())
        assert alive(child)
        if hung:
            for gpu in range(4):
                driver.gpu(gpu, hang=1)
            time.sleep(3 * INTERVAL_S)
        daemon.kill()
    until(lambda: not alive(child))


def test_the_child_is_small(driver, start):
    pid = start().child_pid
    modules = Path(f"/proc/{pid}/status").read_text()
    resident_kib = next(int(line.split()[1]) for line in modules.splitlines() if line.startswith("VmRSS"))
    assert resident_kib < 20 * 1024

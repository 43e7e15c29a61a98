"""The load model: from utilisation to power, temperature, energy and throttling."""

import os
import subprocess
import sys
import time

import pynvml
import pytest
from field_reader import values
from gpm_reader import between, sleep_to_refreshes

IDLE_W, LIMIT_W = 70, 700
SW_POWER_CAP, SW_THERMAL, HW_THERMAL, IDLE = 0x4, 0x20, 0x40, 0x1
POWER, THERMAL, SW_THERMAL_NS, HW_THERMAL_NS = 74, 75, 269, 270


def loaded(driver, gpu, util: float, for_s: float, **limits: float) -> object:
    """Let GPU 0 have been under this load for so long; nobody has to wait."""
    driver.gpu(0, load=None)
    driver.load(0, util, ago_s=for_s, **limits)
    return gpu


def watts(gpu) -> float:
    return pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000


def joules(gpu) -> float:
    return pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000


def celsius(gpu) -> int:
    return pynvml.nvmlDeviceGetTemperatureV(gpu, pynvml.NVML_TEMPERATURE_GPU)


def test_an_idle_gpu_says_so(driver, gpu):
    idle = loaded(driver, gpu, 0, for_s=60)
    assert (watts(idle), pynvml.nvmlDeviceGetUtilizationRates(idle).gpu) == (IDLE_W, 0)
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(idle) == IDLE
    assert pynvml.nvmlDeviceGetClockInfo(idle, pynvml.NVML_CLOCK_SM) == 345
    assert values(idle, POWER, THERMAL) == [0, 0]


def test_a_load_may_be_older_than_the_machine(driver, gpu):
    old = loaded(driver, gpu, 1, for_s=time.monotonic() + 1000)
    assert (watts(old), pynvml.nvmlDeviceGetUtilizationRates(old).gpu) == (LIMIT_W, 100)


def test_utilisation_becomes_power_and_power_becomes_warmth(driver, gpu):
    seen = [
        (pynvml.nvmlDeviceGetUtilizationRates(one).gpu, watts(one), celsius(one))
        for util in (0.2, 0.5, 0.8)
        for one in [loaded(driver, gpu, util, for_s=120)]
    ]
    assert [util for util, _, _ in seen] == [20, 50, 80]
    assert seen == sorted(seen)
    assert all(IDLE_W < power < LIMIT_W for _, power, _ in seen)


def test_warmth_comes_slower_than_power(driver, gpu):
    early, late = ((watts(one), celsius(one)) for for_s in (8, 80) for one in [loaded(driver, gpu, 0.5, for_s=for_s)])
    assert early[0] == pytest.approx(late[0], rel=0.01)
    assert early[1] < late[1] - 5


def test_energy_is_the_integral_of_power(driver, gpu):
    step_s, steps = 0.25, 80
    integral_j = sum(
        values(loaded(driver, gpu, 0.9, for_s=(step + 0.5) * step_s), 186)[0] / 1000 * step_s for step in range(steps)
    )
    told_j = joules(loaded(driver, gpu, 0.9, for_s=steps * step_s))
    assert told_j == pytest.approx(integral_j, rel=0.02)
    assert told_j > 1.5 * IDLE_W * steps * step_s


def test_throttling_sets_in_at_the_power_limit(driver, gpu):
    below = loaded(driver, gpu, 0.5, for_s=60, limit_w=500)
    assert watts(below) < 500
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(below) == 0
    assert (pynvml.nvmlDeviceGetClockInfo(below, pynvml.NVML_CLOCK_SM), values(below, POWER)) == (1980, [0])

    capped = loaded(driver, gpu, 0.5, for_s=60, limit_w=300)
    assert (watts(capped), pynvml.nvmlDeviceGetEnforcedPowerLimit(capped)) == (300, 300_000)
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(capped) == SW_POWER_CAP
    assert 1000 < pynvml.nvmlDeviceGetClockInfo(capped, pynvml.NVML_CLOCK_SM) < 1980
    # All but the first second, in which the load came up.
    assert 58e9 < values(capped, POWER)[0] <= 60e9
    assert values(capped, THERMAL, SW_THERMAL_NS) == [0, 0]


def test_heat_throttles_too_and_holds_the_temperature(driver, gpu):
    cool_watts = watts(loaded(driver, gpu, 0.9, for_s=300, ambient_c=30))
    hot = loaded(driver, gpu, 0.9, for_s=300, ambient_c=60)
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(hot) & SW_THERMAL
    assert watts(hot) < cool_watts
    assert 80 <= celsius(hot) <= 92
    by_software, by_hardware, all_together = values(hot, SW_THERMAL_NS, HW_THERMAL_NS, THERMAL)
    assert by_software > 100e9
    assert all_together == by_software + by_hardware
    assert pynvml.nvmlDeviceGetMarginTemperature(hot) == pytest.approx(87 - celsius(hot), abs=1)


def test_when_that_does_not_help_the_hardware_halves_the_clock(driver, gpu):
    burning = loaded(driver, gpu, 1, for_s=300, ambient_c=95)
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(burning) & HW_THERMAL
    assert pynvml.nvmlDeviceGetClockInfo(burning, pynvml.NVML_CLOCK_SM) <= 990
    assert values(burning, HW_THERMAL_NS)[0] > 100e9


def test_a_new_target_changes_what_comes_and_not_what_was(driver, gpu):
    driver.load(0, 1, ago_s=40)
    before_j = joules(gpu)
    driver.load(0, 0, limit_w=200)
    after_j = joules(gpu)
    assert before_j <= after_j < before_j + 2 * LIMIT_W
    assert before_j > 30 * LIMIT_W


def test_a_given_value_comes_before_the_models(driver, gpu):
    driver.load(0, 1, ago_s=30)
    driver.gpu(0, temp=4_000_000)
    assert celsius(gpu) == 4_000_000
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu == 100


def test_a_driver_that_is_loaded_anew_counts_from_0_and_goes_on(driver, gpu):
    driver.load(0, 1, ago_s=100)
    assert joules(gpu) > 50_000
    driver.reload()
    pynvml.nvmlInit()
    assert joules(gpu) < 10_000


def test_gpm_and_traffic_follow_the_load(driver, gpu):
    driver.load(0, 0.5, ago_s=30, limit_w=700)
    first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    pynvml.nvmlGpmSampleGet(gpu, first)
    sent_kib = values(gpu, (138, 0xFFFFFFFF))[0]
    sleep_to_refreshes(3)
    pynvml.nvmlGpmSampleGet(gpu, second)
    assert between(first, second, 1, 2, 61) == pytest.approx([50, 47.5, 51_200], rel=1e-6)
    assert values(gpu, (138, 0xFFFFFFFF))[0] > sent_kib


def test_processes_share_the_use(driver, gpu):
    driver.load(0, 0.8, ago_s=30)
    driver.gpu(0, compute="11:1,12:1")
    assert [(p.pid, p.smUtil) for p in pynvml.nvmlDeviceGetProcessUtilization(gpu, 0)] == [(11, 40), (12, 40)]


def test_every_process_sees_the_same(driver, gpu):
    driver.load(0, 0.7, ago_s=50)
    program = (
        "import pynvml; pynvml.nvmlInit(); gpu = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "print(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu), pynvml.nvmlDeviceGetPowerUsage(gpu))\n"
    )
    before_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    told = subprocess.run([sys.executable, "-c", program], env=os.environ, check=True, capture_output=True, timeout=30)
    after_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    energy_mj, power_mw = map(int, told.stdout.split())
    assert before_mj <= energy_mj <= after_mj
    assert power_mw == pynvml.nvmlDeviceGetPowerUsage(gpu)

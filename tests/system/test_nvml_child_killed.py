"""SIGKILL of the NVML child at any step of a job's life: readings come back, no job is lost, no energy booked twice."""

import os
import signal
import subprocess
import sys

import pytest
from system.daemon_process import until
from system.random_kills import NVML_CHILD, children_of

GPUS = 8
COUNTERS = f"""
import pynvml
pynvml.nvmlInit()
for gpu in range({GPUS}):
    print(pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(gpu)))
"""


@pytest.fixture
def site(new_site, driver_of_eight):
    site = new_site(**driver_of_eight)
    site.counted_before_mj = counters_mj(driver_of_eight)
    site.start()
    until(lambda: all_answer(site), "the first reading of all GPUs")
    return site


def counters_mj(driver):
    """Return what each GPU has counted, as the driver says itself."""
    ended = subprocess.run(
        [sys.executable, "-c", COUNTERS], env=os.environ | driver, capture_output=True, text=True, check=True
    )
    return [int(line) for line in ended.stdout.split()]


def all_answer(site):
    gpus = site.client.get("/v1/gpus")["gpus"]
    return len(gpus) == GPUS and all(gpu["util_ratio"] is not None for gpu in gpus)


def kill_child(site):
    """Kill the child that reads the GPUs, and return when another one's reading is there."""
    [child] = until(lambda: children_of(site.pid, NVML_CHILD), "the NVML child")
    os.kill(child, signal.SIGKILL)
    until(lambda: children_of(site.pid, NVML_CHILD) not in ([], [child]), "another child")
    until(lambda: fresh(site), "a fresh reading")


def fresh(site):
    """Tell whether the last reading is of a child that lives; what is not known is None."""
    age_s = site.client.get("/v1/gpus")["gpus"][0]["sample_age_s"]
    return age_s is not None and age_s < 1.5


def booked_mj(site):
    return dict(site.query("SELECT gpu, SUM(energy_mj) FROM energy GROUP BY gpu"))


def test_a_killed_child_costs_no_job_and_books_no_energy_twice(site, driver_of_eight):
    waits = site.submit(code=3, held=True)
    runs = site.submit("sleep 2.5", code=3, gpus=4)
    site.await_state(runs, "running")
    kill_child(site)  # while a job runs
    assert site.job(runs)["state"] == "running"
    site.client.post("/v1/jobs/release", {"select": [str(waits)]})
    kill_child(site)  # while one starts
    more = [site.submit(code=0, gpus=gpus) for gpus in (1, 8, 0)]
    kill_child(site)  # while they start and end
    site.judge({waits: 3, runs: 3, **dict.fromkeys(more, 0)})

    site.end(signal.SIGTERM)  # it books what it has measured
    after_mj = counters_mj(driver_of_eight)
    booked = booked_mj(site)
    assert sorted(booked) == list(range(GPUS))
    for gpu, energy_mj in booked.items():
        assert 0 < energy_mj <= after_mj[gpu] - site.counted_before_mj[gpu]


def test_a_child_that_dies_again_and_again_keeps_no_job_from_its_end(site):
    job_id = site.submit("sleep 1", code=3)
    for _ in range(3):
        [child] = until(lambda: children_of(site.pid, NVML_CHILD), "the NVML child")
        os.kill(child, signal.SIGKILL)
        until(lambda child=child: child not in children_of(site.pid, NVML_CHILD), "its end")
    site.judge({job_id: 3})
    until(lambda: all_answer(site), "readings of all GPUs")

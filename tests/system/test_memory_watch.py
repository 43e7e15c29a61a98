"""Without units, a job that takes more memory than it asked for is ended by the daemon, and said to have been."""

import sys

from system.daemon_process import until

HOG = f"exec {sys.executable} -I -S -c 'import time; b = bytearray(300 * 2**20); time.sleep(1000)'"


def test_a_job_above_its_memory_is_ended_and_one_within_goes_on(site):
    greedy = site.submit(HOG, mem_bytes=100 * 2**20)
    modest = site.submit(HOG, mem_bytes=600 * 2**20)
    ended = until(lambda: (job := site.job(greedy))["state"] == "out_of_memory" and job)
    assert ended["cause"] == "out of memory"
    assert site.job(modest)["state"] == "running"
    events = until(lambda: [e for e in site.client.get("/v1/events")["events"] if e["kind"] == "memory_exceeded"])
    assert [event["job_id"] for event in events] == [greedy]

"""How soon after its last process a job's GPU is free; the row stands in docs/reliability.md."""

import select
import signal
import statistics
import sys
import time

import pytest
from system.daemon_process import until
from system.test_adoption import shim_of

pytestmark = pytest.mark.proof
ENDS = 50
WITHIN_S = 1.0
#: What a busy machine may add to it, once in fifty times.
SLACK_S = 1.0


def last_process(site, job_id, how):
    """Bring the job to where one process is left, and return that."""
    until(site.attempt(job_id).processes, "its processes")
    if how == "daemonised":
        main = until(site.attempt(job_id).run_record, "the record").pid
        until(lambda: {one.pid for one in site.attempt(job_id).processes()} - {main}, "the grandchild")
        until(lambda: main not in {one.pid for one in site.attempt(job_id).processes()}, "the end of the main process")
    if how == "without its shim":
        shim = shim_of(site.attempt(job_id))
        shim.send(signal.SIGKILL)
        until(site.attempt(job_id).leftovers, "the leftovers")
    [last] = until(site.attempt(job_id).processes, "the last process")
    return last


@pytest.mark.parametrize("how", ["plain", "daemonised", "without its shim"])
def test_gpus_are_free_soon_after_the_last_process(site, how, capsys):
    took_s = []
    for number in range(ENDS):
        # One process that waits by itself: a shell that forks sleeps has others beside it for moments.
        gate = site.path / f"gate-{number}"
        wait = f"{sys.executable} -S -c 'import os, time\nwhile not os.path.exists(\"{gate}\"): time.sleep(0.002)'"
        job_id = site.submit(f"setsid {wait} & exit 0" if how == "daemonised" else f"exec {wait}")
        until(lambda job_id=job_id: f"{job_id}.1" in site.runs(), "the job's mark")
        last = last_process(site, job_id, how)
        descriptor = last.open_pidfd()
        gate.touch()
        assert select.select([descriptor], [], [], 20)[0]
        ended_s = time.monotonic()
        until(lambda: site.client.get("/v1/gpus")["gpus"][0]["state"] == "free", "the GPU being free")
        took_s.append(time.monotonic() - ended_s)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{how}: {ENDS} ends, GPU seen free after {statistics.median(took_s) * 1000:.0f} ms in the median, "
            f"{max(took_s) * 1000:.0f} ms at most\n"
        )
    assert statistics.median(took_s) < WITHIN_S
    assert max(took_s) < WITHIN_S + SLACK_S

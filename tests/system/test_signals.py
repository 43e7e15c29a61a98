"""The daemon as it is started by hand or by systemd: signals, and what it leaves behind."""

import os
import signal
import subprocess
import sys

import pytest
from system.daemon_process import until


@pytest.fixture
def by_hand(new_site):
    site = new_site()
    command = [sys.executable, "-m", "dcdaemon", "daemon", "run", "--simulate-gpus", "8"]
    process = subprocess.Popen(
        command, env=site.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    )
    until(lambda: process.poll() is not None or site.answers(), "the first answer")
    yield site, process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_and_no_job(by_hand, number):
    site, process = by_hand
    job_id = site.submit(sleep_s=1)
    site.await_state(job_id, "running")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "SIMULATED" in stdout.splitlines()[0]
    assert f"why={number.name}" in stderr.splitlines()[-1]
    assert not site.socket.exists()
    site.start()
    site.judge({job_id: 0})


def test_hup_rereads_the_configuration_and_ends_nothing(by_hand):
    site, process = by_hand
    job_id = site.submit(sleep_s=0.3)
    os.kill(process.pid, signal.SIGHUP)
    assert site.await_state(job_id)["state"] == "succeeded"
    assert process.poll() is None

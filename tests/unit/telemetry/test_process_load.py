import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import until

from dcdaemon.core.gpu import GpuProcess
from dcdaemon.telemetry.process_identity import ProcessIdentities
from dcdaemon.telemetry.processes import LoadMeter, descendants, process_load, start_ticks

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def write_stat(proc: Path, pid: int, *, cpu_s: float, start: int = 500, state: str = "R", pages: int = 10) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    fields = ["0"] * 52
    fields[0], fields[1], fields[2] = str(pid), "(odd) name (x)", state
    fields[13], fields[14] = str(int(cpu_s * TICKS) - 3), "3"
    fields[21], fields[23] = str(start), str(pages)
    (folder / "stat").write_text(" ".join(fields))


def test_cpu_seconds_are_user_and_system_time_whatever_the_command_is_called(tmp_path):
    write_stat(tmp_path, 7, cpu_s=2.5)
    write_stat(tmp_path, 8, cpu_s=9, state="Z")
    assert process_load([7, 8, 9], tmp_path) == {7: 2.5}


def test_a_jobs_load_is_the_cores_its_processes_kept_busy_since_the_last_reading(tmp_path):
    meter = LoadMeter(tmp_path)
    write_stat(tmp_path, 7, cpu_s=100)
    first = meter.load_of_jobs({1: [7]}, now_s=10)[1]
    assert (first.cpu_share, first.rss_bytes, first.pids) == (0.0, 10 * PAGE, (7,))

    write_stat(tmp_path, 7, cpu_s=101)
    write_stat(tmp_path, 8, cpu_s=2, pages=5)
    load = meter.load_of_jobs({1: [7, 8, 9]}, now_s=12)[1]
    assert load.cpu_share == pytest.approx((1 + 2) / 2)
    assert (load.rss_bytes, load.pids) == (15 * PAGE, (7, 8))


def test_a_reused_pid_is_another_process(tmp_path):
    meter = LoadMeter(tmp_path)
    write_stat(tmp_path, 7, cpu_s=100)
    meter.load_of_jobs({1: [7]}, now_s=10)
    write_stat(tmp_path, 7, cpu_s=1, start=900)
    assert meter.load_of_jobs({1: [7]}, now_s=11)[1].cpu_share == pytest.approx(1.0)


def test_a_real_busy_process_keeps_about_one_core_and_a_sleeper_none():
    meter = LoadMeter()
    with (
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy,
        subprocess.Popen(["sleep", "60"]) as idle,
    ):
        try:
            until(lambda: process_load([busy.pid]).get(busy.pid, 0) > 0.05)
            meter.load_of_jobs({1: [busy.pid], 2: [idle.pid]})
            time.sleep(0.3)
            loads = meter.load_of_jobs({1: [busy.pid], 2: [idle.pid]})
        finally:
            busy.kill()
            idle.kill()
    assert loads[1].cpu_share > 0.1
    assert loads[2].cpu_share < 0.05
    assert loads[1].rss_bytes > 1024**2


def test_descendants_are_children_and_grandchildren():
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as shell:
        sleeper = int(shell.stdout.readline())
        try:
            assert descendants(shell.pid) == (sleeper,)
            assert {shell.pid, sleeper} <= set(descendants(os.getpid()))
        finally:
            os.kill(sleeper, 9)
            shell.kill()
    assert descendants(sleeper) == ()


def described(*argv: str) -> GpuProcess:
    """Return what is told of a process that holds 42 bytes of a GPU, once it runs its command."""
    with subprocess.Popen(argv) as process:
        try:
            identities = ProcessIdentities()
            until(lambda: identities.describe(process.pid, 42).command)
            return identities.describe(process.pid, 42)
        finally:
            process.kill()


def test_a_process_is_described_with_its_owner_command_and_age():
    sleeper = described("sleep", "61.5")
    assert (sleeper.command, sleeper.mem_used_bytes) == ("sleep 61.5", 42)
    assert sleeper.user == ProcessIdentities().describe(os.getpid(), None).user
    assert 0 <= sleeper.age_s < 10


def test_a_secret_on_a_command_line_is_not_shown():
    shell = described("sh", "-c", "sleep 61.7; true", "--api-token", "hunter2")
    assert shell.command == "sh -c sleep 61.7; true --api-token ***"


def test_a_pid_that_is_not_here_has_no_identity():
    assert ProcessIdentities().describe(2**22 + 1, 42) is None
    assert start_ticks(2**22 + 1) is None

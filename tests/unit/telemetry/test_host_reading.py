"""The host's sensors on a captured tree, and once on the machine itself."""

import time
from pathlib import Path

import pytest

from dcdaemon.telemetry.disk import parse_diskstats
from dcdaemon.telemetry.host import LinuxHost, parse_cpu_times, parse_pressure
from dcdaemon.telemetry.network import parse_net_dev

KIB = 1024
STAT = "cpu  {user} 0 300 {idle} 100 0 0 0 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
DISKSTATS = """\
   7       0 loop0 9 0 9 9 0 0 0 0 0 0 0
 259       0 nvme0n1 1000 5 2048 700 300 2 4096 90 0 4500 800 0 0 0 0 0 0
 259       1 nvme0n1p1 900 5 2000 600 300 2 4096 90 0 4000 700 0 0 0 0 0 0
 253       0 dm-0 10 0 16 1 2 0 32 1 0 2 2
"""
NET_DEV = """\
Inter-|   Receive                            |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier
    lo:     999       9    0    0    0     0     0     0      999       9    0    0    0     0     0     0
  eth0: 5000000    4000    3    2    0     0     0    10   700000    3000    1    4    0     0     0     0
  ib0:12 1 0 0 0 0 0 0 34 1 0 0 0 0 0 0
vethab1:      1       1    0    0    0     0     0     0        1       1    0    0    0     0     0     0
"""
MEMINFO = """\
MemTotal: 1000 kB
MemFree: 1 kB
MemAvailable: 400 kB
SwapTotal: 50 kB
SwapFree: 20 kB
HugePages_Total: 3
"""
PRESSURE = """\
some avg10={share} avg60=1.00 avg300=0.10 total=99
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    write(
        proc,
        {
            "stat": STAT.format(user=600, idle=9000),
            "meminfo": MEMINFO,
            "loadavg": "1.25 0.50 0.10 2/300 4242\n",
            "pressure/cpu": PRESSURE.format(share="12.50"),
            "pressure/memory": PRESSURE.format(share="0.00"),
            "diskstats": DISKSTATS,
            "net/dev": NET_DEV,
            "self/mountinfo": f"27 1 254:0 / {tmp_path} rw - ext4 /dev/vda rw\n",
        },
    )
    write(
        sys,
        {
            "block/nvme0n1/size": "1\n",
            "block/dm-0/size": "1\n",
            "class/net/eth0/operstate": "up\n",
            "class/net/eth0/speed": "25000\n",
            "class/net/ib0/operstate": "down\n",
            "class/net/ib0/speed": "-1\n",
        },
    )
    return proc, sys


def test_cpu_utilisation_needs_two_readings(roots):
    host = LinuxHost(*roots)
    assert host.read().host.cpu_util_ratio is None
    (roots[0] / "stat").write_text(STAT.format(user=675, idle=9025))
    assert host.read().host.cpu_util_ratio == 0.75
    assert host.read().host.cpu_util_ratio is None  # no tick has passed


def test_idle_time_that_steps_back_never_makes_more_than_all(roots):
    host = LinuxHost(*roots)
    host.read()
    (roots[0] / "stat").write_text(STAT.format(user=700, idle=8990))
    assert host.read().host.cpu_util_ratio == 1


def test_memory_load_and_pressure_are_in_base_units_and_the_missing_is_unknown(roots):
    host = LinuxHost(*roots).read().host
    assert (host.mem_total_bytes, host.mem_available_bytes, host.swap_used_bytes) == (
        1000 * KIB,
        400 * KIB,
        30 * KIB,
    )
    assert host.load_1m == 1.25
    assert (host.psi_cpu_some_ratio, host.psi_mem_some_ratio, host.psi_io_some_ratio) == (0.125, 0.0, None)


def test_whole_disks_are_counted_and_their_partitions_and_loops_are_not(roots):
    nvme, mapped = LinuxHost(*roots).read().disks
    assert (nvme.device, nvme.reads, nvme.writes, nvme.busy_s) == ("nvme0n1", 1000, 300, 4.5)
    assert (nvme.read_bytes, nvme.written_bytes) == (2048 * 512, 4096 * 512)
    assert mapped.device == "dm-0"
    assert [s.device for s in parse_diskstats(DISKSTATS, 0.0)] == ["nvme0n1", "nvme0n1p1", "dm-0"]


def test_networks_are_counted_without_loopback_and_container_ends(roots):
    ethernet, infiniband = LinuxHost(*roots).read().nets
    assert (ethernet.interface, ethernet.received_bytes, ethernet.sent_bytes) == ("eth0", 5_000_000, 700_000)
    assert (ethernet.errors_in, ethernet.drops_in, ethernet.errors_out, ethernet.drops_out) == (3, 2, 1, 4)
    assert (ethernet.up, ethernet.speed_bps) == (True, 25_000_000_000)
    assert (infiniband.interface, infiniband.sent_bytes) == ("ib0", 34)
    assert (infiniband.up, infiniband.speed_bps) == (False, None)


def test_an_empty_tree_gives_unknowns_and_no_error(tmp_path):
    reading = LinuxHost(tmp_path, tmp_path).read()
    assert (reading.disks, reading.filesystems, reading.nets) == ((), (), ())
    assert (reading.host.cpu_util_ratio, reading.host.load_1m, reading.host.mem_total_bytes) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "intr 5\n"])
def test_a_stat_of_another_shape_is_unknown(text):
    assert parse_cpu_times(text) is None


def test_a_pressure_file_of_another_shape_is_unknown():
    assert parse_pressure("full avg10=1.00\n") is None


def test_an_alias_interface_keeps_its_colon():
    assert list(parse_net_dev("eth0:1: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n")) == ["eth0:1"]


def test_this_machine_answers_quickly_and_possibly():
    host = LinuxHost()
    host.read()
    before = time.monotonic()
    reading = host.read()
    assert time.monotonic() - before < 1
    assert 0 < reading.host.mem_available_bytes <= reading.host.mem_total_bytes
    assert reading.filesystems
    assert all(0 <= f.used_ratio <= 1 for f in reading.filesystems if f.used_ratio is not None)

"""Whatever the kernel's files hold, a reading comes back, and it can be stored."""

import json
from dataclasses import asdict, astuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcdaemon.telemetry.host import LinuxHost

_FILES = {
    "stat": b"cpu  10 0 300 4000 100 0 0 0 50 0\n",
    "loadavg": b"0.50 0.40 0.30 1/100 4242\n",
    "meminfo": b"MemTotal: 1000 kB\nMemAvailable: 400 kB\n",
    "pressure/cpu": b"some avg10=1.25 avg60=1.00 avg300=0.10 total=99\n",
    "diskstats": b" 259 0 nvme0n1 1000 5 2048 700 300 2 4096 90 0 4500 800\n",
    "net/dev": b"  eth0: 5000000 4000 3 2 0 0 0 10 700000 3000 1 4 0 0 0 0\n",
    "self/mountinfo": b"22 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n",
}
_SPOIL = st.sampled_from(
    [
        b"N/A",
        b"-1",
        b"nan",
        b"inf",
        b"1e999",
        b"",
        b"\xff\xfe",
        "²".encode(),
        b"18446744073709551615",
        b"9223372036854775807",
    ]
)


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, bytes]:
    """The usual files, with some words of some of them replaced, or a file of anything at all."""
    name = draw(st.sampled_from(sorted(_FILES)))
    if draw(st.booleans()):
        return {name: draw(st.binary(max_size=200))}
    words = _FILES[name].split(b" ")
    for _ in range(draw(st.integers(1, 3))):
        words[draw(st.integers(0, len(words) - 1))] = draw(_SPOIL)
    return {name: b" ".join(words)}


def _whole(sample: object) -> list[int]:
    return [value for value in astuple(sample) if isinstance(value, int)]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    proc, sys = tmp_path_factory.mktemp("proc"), tmp_path_factory.mktemp("sys")
    for name in _FILES:
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
    (sys / "block/nvme0n1").mkdir(parents=True)
    (sys / "class/net/eth0").mkdir(parents=True)
    return proc, sys


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(spoilt=_spoilt(), speed=_SPOIL)
def test_no_content_of_a_file_stops_a_reading(roots, spoilt, speed):
    proc, sys = roots
    for name, content in (_FILES | spoilt).items():
        (proc / name).write_bytes(content)
    (sys / "class/net/eth0/speed").write_bytes(speed)
    host = LinuxHost(proc, sys)
    host.read()

    reading = host.read()

    assert json.dumps(asdict(reading), allow_nan=False).encode()
    assert all(abs(number) < 2**63 for part in (reading.host, *reading.disks, *reading.nets) for number in _whole(part))
    assert reading.disks or "diskstats" in spoilt
    assert reading.nets or "net/dev" in spoilt
    assert reading.host.mem_total_bytes == 1000 * 1024 or "meminfo" in spoilt


def test_a_mount_point_that_is_no_utf_8_is_told_in_text_that_can_be_stored(roots):
    proc, sys = roots
    for name, content in _FILES.items():
        (proc / name).write_bytes(content)
    (proc / "self/mountinfo").write_bytes(b"22 1 259:1 / /data/f\xfcr rw - ext4 /dev/nvme0n1p1 rw\n")

    (mount,) = LinuxHost(proc, sys).read().filesystems

    assert mount.mount == "/data/f\ufffdr"
    assert mount.error == "No such file or directory"

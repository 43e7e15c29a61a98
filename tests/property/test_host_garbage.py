"""Whatever the kernel's files hold, a reading comes back, and it can be stored."""

import math
from contextlib import contextmanager
from dataclasses import fields

import pytest
from fixtures.host_tree import plant
from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.event import EventKind
from dcdaemon.core.samples import IbSample, NfsSample, RaplSample, SensorSample
from dcdaemon.fakes.clock import FakeClock
from dcdaemon.telemetry.host import LinuxHost

_SPOIL = st.sampled_from(
    [
        b"N/A",
        b"-1",
        b"nan",
        b"inf",
        b"1e999",
        b"",
        b"\xff\xfe",
        b"\x00\x1b[31m",
        "²".encode(),
        b"18446744073709551615",
        b"9223372036854775807",
        b"-9223372036854775809",
    ]
)
#: Files that name other files: links and folders stay as they are.
_PLACE = "subsystem", "uevent"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("host")
    plant("xeon.tree", root)
    plant("devices.tree", root)
    return root


def files(root):
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path.relative_to(root).as_posix() for path in found if path.name not in _PLACE]


@contextmanager
def spoilt(root, name, content):
    """Have one file hold something else for a while."""
    path = root / name
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def host_of(root, told):
    """Make a host that was read once already."""
    host = LinuxHost(root / "proc", root / "sys", told.append, clock=(clock := FakeClock()))
    host.patience_s = 30.0
    try:
        host.read()
        clock.advance(60.0)
        yield host
    finally:
        host.close()


def check_storable(reading):
    for sample in reading.samples():
        for field in fields(sample):
            value = getattr(sample, field.name)
            if isinstance(value, str):
                assert value.encode(), field.name  # PostgreSQL and JSON take neither surrogates nor NUL
                assert "\x00" not in value
            elif isinstance(value, float):
                assert math.isfinite(value), field.name
            elif isinstance(value, int):
                assert abs(value) < 2**63, field.name


def check_others(reading, name):
    """What was not spoilt is as ever."""
    kinds = {type(sample) for sample in reading.others}
    assert reading.disks or "diskstats" in name
    assert reading.nets or "net/" in name
    assert reading.filesystems or "mountinfo" in name
    assert reading.host.mem_total_bytes == 1000 * 1024 or "meminfo" in name
    assert reading.host.psi_io_some_ratio == 0.04 or "pressure/io" in name
    assert reading.host.edac_corrected == 7 or "edac" in name
    assert SensorSample in kinds
    assert RaplSample in kinds
    assert NfsSample in kinds or "mount" in name
    assert IbSample in kinds or "infiniband" in name


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_no_content_of_a_file_stops_a_reading(root, data):
    name = data.draw(st.sampled_from(files(root)))
    if data.draw(st.booleans()):
        content = data.draw(st.binary(max_size=200))
    else:
        words = (root / name).read_bytes().split(b" ")
        for _ in range(data.draw(st.integers(1, 3))):
            words[data.draw(st.integers(0, len(words) - 1))] = data.draw(_SPOIL)
        content = b" ".join(words)
    told = []
    with spoilt(root, name, content), host_of(root, told) as host:
        reading = host.read()

    check_storable(reading)
    check_others(reading, name)
    assert [(one.name, one.error) for one in reading.collectors if one.error] == []
    for event in told:
        assert event.kind is not EventKind.COLLECTOR_FAILED
        assert event.subject.encode()
        assert event.message.encode()


def test_nothing_is_told_of_files_that_are_well(root):
    told = []
    with host_of(root, told) as host:
        check_others(host.read(), "")
    assert told == []


def test_a_mount_point_that_is_no_utf_8_is_told_in_text_that_can_be_stored(root):
    told = []
    line = b"22 1 259:1 / /data/f\xfcr rw - ext4 /dev/nvme0n1p1 rw\n"
    with spoilt(root, "proc/self/mountinfo", line), host_of(root, told) as host:
        (mount,) = host.read().filesystems

    assert mount.mount == "/data/f\ufffdr"
    assert mount.error == "No such file or directory"

"""Whatever the files about storage hold, every collector comes back with what can be stored."""

import json
from dataclasses import asdict, astuple
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcdaemon.telemetry.disk import DiskCounters
from dcdaemon.telemetry.drives import DriveHealth
from dcdaemon.telemetry.nfs import NfsCounters
from dcdaemon.telemetry.smart import drive_sample

FIXTURES = Path(__file__).parents[1] / "fixtures"
MOUNTSTATS = (FIXTURES / "proc/mountstats").read_bytes()
MOUNTINFO = b"40 1 0:50 / /home rw - nfs4 store:/export/home rw\n42 1 0:51 / /mnt/old ro - nfs old:/data ro\n"
DISKSTATS = b" 259 0 nvme0n1 1000 5 2048 700 300 2 4096 90 0 4500 800\n"
REPORTS = [json.loads(path.read_text()) for path in sorted((FIXTURES / "smartctl").glob("*.json"))]
SPOIL = st.sampled_from(
    [
        b"N/A",
        b"-1",
        b"nan",
        b"1e999",
        b"",
        b"\xff\xfe",
        "²".encode(),
        b"18446744073709551615",
        b"9223372036854775807",
        b":",
        b"device",
    ]
)
#: Anything that JSON can hold.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """The usual file with some of its words replaced, or anything at all."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    words = content.split(b" ")
    for _ in range(draw(st.integers(1, 4))):
        words[draw(st.integers(0, len(words) - 1))] = draw(SPOIL)
    return b" ".join(words)


def storable(samples: tuple) -> bool:
    whole = [value for sample in samples for value in astuple(sample) if isinstance(value, int)]
    return bool(json.dumps([asdict(sample) for sample in samples], allow_nan=False).encode()) and all(
        0 <= number < 2**63 for number in whole
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("root")
    (made / "self").mkdir()
    (made / "block/nvme0n1").mkdir(parents=True)
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(contents=st.lists(spoilt(DISKSTATS), min_size=1, max_size=3))
def test_no_diskstats_stops_a_reading(root, contents):
    disks = DiskCounters(root, root, [].append)
    for at, content in enumerate([DISKSTATS, *contents, DISKSTATS]):
        (root / "diskstats").write_bytes(content)
        assert storable(disks.read(float(at)))
    assert [disk.device for disk in disks.read(9.0)] == ["nvme0n1"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(mountstats=spoilt(MOUNTSTATS), mountinfo=spoilt(MOUNTINFO))
def test_no_mountstats_stops_a_reading(root, mountstats, mountinfo):
    counters = NfsCounters(root, [].append)
    for stats, info in ((MOUNTSTATS, MOUNTINFO), (mountstats, mountinfo), (mountstats, MOUNTINFO)):
        (root / "self/mountstats").write_bytes(stats)
        (root / "self/mountinfo").write_bytes(info)
        assert storable(counters.read(1.0))


@settings(deadline=None)
@given(report=st.sampled_from(REPORTS), data=st.data())
def test_no_report_of_a_drive_stops_a_reading(report, data):
    changed = json.loads(json.dumps(report))
    place = changed
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(sorted(place)))
        if data.draw(st.booleans()) or not isinstance(place[key], dict):
            place[key] = data.draw(ANYTHING)
            break
        place = place[key]
    sample = drive_sample({"name": "/dev/x", "type": "sat", "report": changed, "at": data.draw(ANYTHING)}, 1.0)
    assert sample is None or storable((sample,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(drives=ANYTHING, at=ANYTHING, problem=ANYTHING)
def test_no_file_of_the_sensors_unit_stops_a_reading(root, drives, at, problem):
    path = root / "drives.json"
    path.write_text(json.dumps({"schema": 1, "at": at, "problem": problem, "drives": drives}))
    health = DriveHealth([].append, path=path)
    assert storable(health.read(100.0))
    assert storable(health.read(1e6))

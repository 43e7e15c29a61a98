"""dcd-sensors, run as its unit runs it: with smartctl itself, and with one that plays recorded reports."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_drives.fake_drives import FakeDrives, build
from lack import missing, program

from dcdaemon.core.samples import DriveSample
from dcdaemon.telemetry.drives import DriveHealth

REPORTS = Path(__file__).parents[2] / "fixtures/smartctl"
#: Plays what smartctl printed for each drive, and talks nonsense.
PLAYER = """\
#!{python} -IS
import os, sys
if "--scan-open" in sys.argv:
    name = "scan"
else:
    assert sys.argv[1:6] == ["-a", "-j", "-n", "standby", "-d"], sys.argv
    names = {{"/dev/sda": "sata_ssd", "/dev/sdb": "sata_failing", "/dev/sdc": "standby", "/dev/sdd": "virtual",
             "/dev/bus/0": "sas", "/dev/nvme0": "nvme", "/dev/sde": "nonsense"}}
    name = names[sys.argv[-1]]
path = {reports!r} + "/" + name + ".json"
text = open(path).read() if os.path.exists(path) else name
sys.stdout.write(text)
"""


def player(folder: Path) -> Path:
    path = folder / "smartctl"
    path.write_text(PLAYER.format(python=sys.executable, reports=str(REPORTS)))
    path.chmod(0o755)
    return path


def run(out: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "dcdaemon.telemetry.sensors", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def samples_in(out: Path) -> dict[str, DriveSample]:
    return {sample.device: sample for sample in DriveHealth([].append, path=out).read(time.time())}


@pytest.fixture
def smartctl() -> None:
    program("smartctl", "smartmontools")


@pytest.fixture
def fake_drives(tmp_path: Path) -> FakeDrives:
    try:
        return FakeDrives(build(tmp_path), tmp_path / "drives")
    except FileNotFoundError:
        missing("no C compiler for the fake drives: apt-get install gcc")


@pytest.mark.usefixtures("smartctl")
def test_the_real_smartctl_finds_what_this_machine_has(tmp_path):
    out, events = tmp_path / "drives.json", []
    done = run(out)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(out.read_text())
    assert (document["schema"], document["problem"]) == (1, None)
    assert abs(document["at"] - time.time()) < 60
    health = DriveHealth(events.append, path=out)
    samples = health.read(time.time())
    # A virtual machine has no drive that smartctl knows; a real one tells at least its model, or why not.
    assert all(sample.model or sample.error for sample in samples)
    assert bool(health.lack()) == (not document["drives"])


@pytest.mark.usefixtures("smartctl")
def test_the_real_smartctl_reads_drives_of_both_kinds(tmp_path, fake_drives):
    fake_drives.nvme("nvme0", temperature=41, used=12, units_written=1000, hours=77, unsafe=2, media_errors=5, log=9)
    fake_drives.nvme("nvme1", critical_warning=4, available_spare=8)
    fake_drives.sata("sda", {5: 7, 9: 1000, 187: 2, 194: 33, 197: 1})
    fake_drives.sata("sdb", {5: 3000}, failing=True)
    fake_drives.sata("sdc", {5: 0}, asleep=True)
    out = tmp_path / "drives.json"
    done = run(out, env=fake_drives.environment)
    assert (done.returncode, done.stderr) == (0, "")
    events = []
    samples = {sample.device: sample for sample in DriveHealth(events.append, path=out).read(0.0)}
    at = {name: sample.at for name, sample in samples.items()}
    assert samples["nvme0"] == DriveSample(
        at=at["nvme0"], device="nvme0", model="FAKE NVME", healthy=True, wear_ratio=0.12, spare_ratio=1.0,
        spare_threshold_ratio=0.1, critical_warning=0, media_errors=5, error_log_entries=9, unsafe_shutdowns=2,
        written_bytes=512_000_000, temp_c=41, power_on_s=77 * 3600.0, serial="NV0042",
    )  # fmt: skip
    assert samples["sda"] == DriveSample(
        at=at["sda"], device="sda", model="FAKE DISK", healthy=True, media_errors=2, temp_c=33,
        power_on_s=1000 * 3600.0, reallocated_sectors=7, pending_sectors=1, serial="SA0042",
    )  # fmt: skip
    assert samples["sdb"].healthy is False
    assert samples["sdc"] == DriveSample(at["sdc"], "sdc", error="asleep, and not woken to be asked")
    spare = "spare blocks are below the threshold of 10%"
    assert [event.message for event in events] == [
        "drive sdb (FAKE DISK): it says that it is failing",
        f"drive nvme1 (FAKE NVME): it has become unreliable; it says that it is failing; {spare}",
    ]


@pytest.mark.usefixtures("smartctl")
def test_a_drive_that_takes_no_command_back_does_not_keep_the_others_from_being_read(tmp_path, fake_drives):
    fake_drives.nvme("nvme0")
    fake_drives.sata("sda", {5: 7})
    fake_drives.sata("sdb", {5: 8})
    fake_drives.hang("sda")  # as soon as it is looked for
    out = tmp_path / "drives.json"
    run(out, "--timeout", "2", env=fake_drives.environment)
    samples = samples_in(out)
    assert samples["sda"].error == "smartctl got no answer within 2 s"
    assert (samples["sdb"].reallocated_sectors, samples["nvme0"].healthy) == (8, True)


def test_every_drive_is_read_and_everyone_may_read_the_file(tmp_path):
    out = tmp_path / "drives.json"
    old_umask = os.umask(0o077)
    try:
        done = run(out, "--smartctl", str(player(tmp_path)))
    finally:
        os.umask(old_umask)
    assert (done.returncode, done.stderr) == (0, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []
    samples = samples_in(out)
    assert list(samples) == ["sda", "sdb", "sdc", "bus/0 megaraid,3", "nvme0", "sde"]
    assert samples["nvme0"].wear_ratio == 0.07
    assert (samples["sdb"].healthy, samples["sdb"].error_log_entries) == (False, 812)
    assert samples["sdc"].error == "asleep, and not woken to be asked"
    assert "printed no JSON" in samples["sde"].error


def test_a_missing_smartctl_leaves_a_file_that_says_so(tmp_path):
    out = tmp_path / "drives.json"
    assert run(out, "--smartctl", "/nowhere/smartctl").returncode == 0
    document = json.loads(out.read_text())
    assert document["problem"] == "/nowhere/smartctl cannot be run: No such file or directory"
    assert document["drives"] == []


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    done = run(tmp_path / "absent/drives.json", "--smartctl", "/nowhere/smartctl")
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}/absent/drives.json cannot be written: No such file or directory\n"


def test_a_link_left_in_its_way_is_not_followed(tmp_path):
    victim, out = tmp_path / "victim", tmp_path / "drives.json"
    victim.write_text("precious")
    (tmp_path / ".drives.json.new").symlink_to(victim)
    assert run(out, "--smartctl", "/nowhere/smartctl").returncode == 0
    assert victim.read_text() == "precious"
    assert not out.is_symlink()

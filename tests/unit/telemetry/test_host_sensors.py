"""Temperatures, fans and energy counters on the tree of a two-package node."""

import os
import subprocess
import sys as python
from pathlib import Path

import pytest
from fixtures.host_tree import grown, plant

from dcdaemon.core.event import EventKind
from dcdaemon.telemetry.hwmon import Sensors
from dcdaemon.telemetry.rapl import Rapl, growth_uj

NVME = "devices/pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/hwmon3"
BOARD = "devices/pci0000:00/0000:00:1f.4/i2c-3/3-002e/hwmon/hwmon4"
ROOT = Path(__file__).parents[3]
RAPL = "devices/virtual/powercap/intel-rapl"


@pytest.fixture
def sys(tmp_path):
    return plant("xeon.tree", tmp_path)[1]


def by_name(samples):
    return {f"{sample.chip}/{sample.sensor}": sample for sample in samples}


def test_chips_are_named_by_driver_and_place_and_sensors_by_their_labels(sys, told):
    found = by_name(Sensors(sys, told.append).read(1.0))
    assert {name: sample.temp_c if sample.fan_rpm is None else sample.fan_rpm for name, sample in found.items()} == {
        "acpitz-virtual-0/temp1": 27.8,
        "coretemp-isa-0000/Package id 0": 54.0,
        "coretemp-isa-0001/Package id 1": 49.5,
        "drivetemp-scsi-0-0/temp1": 33.0,
        "nct7802-i2c-3-2e/Board": -5.0,
        "nct7802-i2c-3-2e/temp2": 31.0,  # a label that another sensor has already
        "nct7802-i2c-3-2e/temp3": None,  # its chip says that it is broken
        "nct7802-i2c-3-2e/fan1": 8400.0,
        "nct7802-i2c-3-2e/CPU fan": 0.0,
        "nvme-pci-0100/Composite": 38.85,
        "nvme-pci-0100/Sensor 1": 40.85,
    }
    assert found["nvme-pci-0100/Composite"].temp_critical_c == 84.85
    assert found["nvme-pci-0100/Sensor 1"].temp_critical_c is None  # 65262 degrees, as some drives say
    assert told == []


def test_names_do_not_depend_on_the_kernels_numbers(sys, told):
    before = by_name(Sensors(sys, told.append).read(1.0))
    hwmon = sys / "class/hwmon"
    for old, new in (("hwmon1", "hwmon9"), ("hwmon3", "hwmon1"), ("hwmon9", "hwmon3")):
        (hwmon / old).rename(hwmon / new)
    assert by_name(Sensors(sys, told.append).read(1.0)) == before


def test_two_chips_of_one_name_are_told_apart(sys, told):
    grown(sys, "devices/virtual/thermal/thermal_zone0/hwmon0/name", "x\n")
    for zone in (1, 2):
        folder = sys / f"devices/virtual/thermal/thermal_zone{zone}/hwmon1{zone}"
        folder.mkdir(parents=True)
        (folder / "name").write_text("x\n")
        (folder / "temp1_input").write_text(f"{zone}000\n")
        (folder / "device").symlink_to(f"../../thermal_zone{zone}")
        (sys / f"class/hwmon/hwmon1{zone}").symlink_to(folder)
    found = by_name(Sensors(sys, told.append).read(1.0))
    assert found["x-virtual-0/temp1"].temp_c == 27.8
    assert found["x-virtual-0-thermal_zone1/temp1"].temp_c == 1.0
    assert found["x-virtual-0-thermal_zone2/temp1"].temp_c == 2.0


def test_a_sensor_that_says_nonsense_is_unknown_alone_and_told_once(sys, told):
    sensors = Sensors(sys, told.append)
    sensors.read(1.0)
    grown(sys, f"{NVME}/temp1_input", "N/A\n")
    for at in (11.0, 21.0):
        found = by_name(sensors.read(at))
        assert found["nvme-pci-0100/Composite"].temp_c is None
        assert found["nvme-pci-0100/Sensor 1"].temp_c == 40.85
    assert [(event.at, event.kind, event.subject) for event in told] == [
        (11.0, EventKind.UNREADABLE, "nvme-pci-0100/Composite")
    ]


def test_a_temperature_that_cannot_be_is_dropped_and_told_once(sys, told):
    sensors = Sensors(sys, told.append)
    grown(sys, f"{BOARD}/temp2_input", "4000000000\n")
    for at in (1.0, 11.0):
        assert by_name(sensors.read(at))["nct7802-i2c-3-2e/temp2"].temp_c is None
    assert [(event.at, event.kind, event.evidence) for event in told] == [(1.0, EventKind.IMPLAUSIBLE_VALUE, {})]
    assert "4000000000" in told[0].message


def test_a_chip_that_goes_is_told_and_another_in_its_place_is_not_mistaken_for_it(sys, told):
    sensors = Sensors(sys, told.append)
    sensors.read(1.0)
    link = sys / "class/hwmon/hwmon3"
    link.unlink()
    link.symlink_to(f"../../{BOARD}")
    found = by_name(sensors.read(11.0))
    assert not [name for name in found if name.startswith("nvme")]
    assert [(event.kind, event.subject) for event in told] == [(EventKind.DEVICE_GONE, "nvme-pci-0100")]


def test_a_node_without_sensors_is_explained(tmp_path, told):
    sensors = Sensors(tmp_path, told.append)
    assert sensors.read(1.0) == ()
    assert (sensors.lack().wrong, told) == (False, [])


def energies(rapl, at=1.0):
    return {sample.domain: sample.energy_mj for sample in rapl.read(at)}


def test_energy_counts_from_the_first_reading_over_wraps_and_only_grows(sys, told):
    times = iter([0.0] * 5 + [5.0] * 5 + [10.0] * 5)
    rapl = Rapl(sys, told.append, monotonic=lambda: next(times))
    assert energies(rapl) == {"package-0": 0, "package-0/dram": 0, "package-1": 0, "package-1/dram": 0, "psys": 0}
    grown(sys, f"{RAPL}/intel-rapl:0/energy_uj", "1671150\n")  # 328850 uJ to the top of its range, and on from 0
    grown(sys, f"{RAPL}/intel-rapl:1/energy_uj", "500001000\n")
    grown(sys, f"{RAPL}/intel-rapl:0/intel-rapl:0:0/energy_uj", "5001999\n")
    grown(sys, f"{RAPL}/intel-rapl:2/energy_uj", "77000500\n")
    assert energies(rapl) == {
        "package-0": 2000,
        "package-0/dram": 1,
        "package-1": 500_000,
        "package-1/dram": 0,
        "psys": 0,
    }
    grown(sys, f"{RAPL}/intel-rapl:2/energy_uj", "77001000\n")
    assert energies(rapl)["psys"] == 1  # what is less than one of ours is not lost
    assert told == []


def test_a_counter_that_begins_anew_is_no_wrap_and_told(sys, told):
    times = iter([0.0] * 5 + [5.0] * 5 + [10.0] * 5)
    rapl = Rapl(sys, told.append, monotonic=lambda: next(times))
    energies(rapl)
    grown(sys, f"{RAPL}/intel-rapl:2/energy_uj", "9000\n")  # 262 kJ in 5 s would be 52 kW
    assert energies(rapl)["psys"] == 0
    grown(sys, f"{RAPL}/intel-rapl:2/energy_uj", "5009000\n")
    assert energies(rapl)["psys"] == 5000
    assert [(event.kind, event.subject) for event in told] == [(EventKind.COUNTER_RESET, "rapl psys")]


def test_a_counter_that_cannot_be_read_for_a_while_loses_no_energy(sys, told):
    rapl = Rapl(sys, told.append)
    energies(rapl)
    file = f"{RAPL}/intel-rapl:1/energy_uj"
    grown(sys, file, "garbage\n")
    assert energies(rapl)["package-1"] is None
    grown(sys, file, "4001000\n")
    assert energies(rapl)["package-1"] == 4000
    assert [event.kind for event in told] == [EventKind.UNREADABLE]


def test_a_domain_that_is_found_in_another_place_is_read_there(sys, told):
    rapl = Rapl(sys, told.append)
    energies(rapl)
    (sys / "class/powercap/intel-rapl:2").unlink()
    (sys / RAPL / "intel-rapl:2").rename(sys / RAPL / "intel-rapl:7")
    (sys / "class/powercap/intel-rapl:7").symlink_to(sys / RAPL / "intel-rapl:7")
    counter = sys / RAPL / "intel-rapl:7/energy_uj"
    counter.unlink()  # what the old zone counted in is gone
    counter.write_text("1000\n")
    assert energies(rapl)["psys"] == 0
    counter.write_text("5001000\n")
    assert energies(rapl)["psys"] == 5000
    assert told == []


@pytest.mark.parametrize(
    ("before", "now", "range_uj", "elapsed_s", "grown_uj"),
    [
        (5, 9, 100, 1, 4),
        (9, 5, 10, 1, 6),
        (9, 5, None, 1, None),
        (9, 5, 10**12, 1, None),
        (9, 5, 10**12, 3600, 10**12 - 4),
    ],
)
def test_growth_of_a_counter_that_wraps(before, now, range_uj, elapsed_s, grown_uj):
    assert growth_uj(before, now, range_uj, elapsed_s) == grown_uj


_AS_NOBODY = """
import os, sys
from pathlib import Path
from dcdaemon.telemetry.rapl import Rapl
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
told = []
rapl = Rapl(Path("sys"), told.append)
print(rapl.read(1.0), told, rapl.lack().why, rapl.lack().fix, rapl.lack().wrong, sep="\\n")
"""


def test_counters_for_root_alone_are_explained_with_the_way_to_allow_it(sys, tmp_path):
    tmp_path.chmod(0o755)
    for counter in sys.rglob("energy_uj"):
        counter.chmod(0o400 if os.geteuid() == 0 else 0)
    said = subprocess.run(
        [python.executable, "-c", _AS_NOBODY, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = said.stdout.splitlines()
    assert lines[:2] == ["()", "[]"], said.stderr
    assert "CVE-2020-8694" in lines[2]
    assert "chmod g+r /sys/class/powercap/*/energy_uj" in lines[3]
    assert lines[4] == "False"


def test_a_node_without_energy_counters_is_explained(tmp_path, told):
    rapl = Rapl(tmp_path, told.append)
    assert rapl.read(1.0) == ()
    assert ("virtual machine" in rapl.lack().why, told) == (True, [])

"""The health of drives: smartctl's reports of every kind, and the file that carries them."""

import json
import os
from pathlib import Path

import pytest

from dcdaemon.core.event import EventKind
from dcdaemon.core.samples import DriveSample
from dcdaemon.telemetry.drives import DriveHealth
from dcdaemon.telemetry.smart import drive_sample, exit_words

REPORTS = Path(__file__).parents[2] / "fixtures/smartctl"
AT = 1_795_680_000.0


def drive(kind: str, **changes) -> dict:
    """Return a drive as the sensors unit writes it."""
    document = json.loads((REPORTS / f"{kind}.json").read_text())
    device = document["device"]
    made = {
        "at": AT, "name": device["name"], "type": device["type"], "error": None,
        "exit_status": document["smartctl"]["exit_status"], "report": document,
    }  # fmt: skip
    entries = document.get("ata_smart_error_log", {}).get("summary", {}).get("count")
    if entries is not None:
        document["ata_error_log_entries"] = entries
    return made | changes


def sample(kind: str, **changes) -> DriveSample:
    made = drive_sample(drive(kind, **changes), AT)
    assert made is not None
    return made


def test_an_nvme_drive_tells_everything():
    assert sample("nvme") == DriveSample(
        at=AT, device="nvme0", model="EXAMPLE NVMe 7.68TB", healthy=True, wear_ratio=0.07, spare_ratio=1.0,
        spare_threshold_ratio=0.1, critical_warning=0, media_errors=3, error_log_entries=17, unsafe_shutdowns=9,
        written_bytes=1_200_000_000 * 512_000, temp_c=38, power_on_s=10240 * 3600.0, serial="NV0001",
    )  # fmt: skip


def test_a_sata_ssd_tells_what_its_attributes_do():
    assert sample("sata_ssd") == DriveSample(
        at=AT, device="sda", model="EXAMPLE SSD 960GB", healthy=True, wear_ratio=pytest.approx(0.12), media_errors=2,
        error_log_entries=5, written_bytes=50_000_000_000 * 512, temp_c=29, power_on_s=21000 * 3600.0,
        reallocated_sectors=4, pending_sectors=1, serial="SSD0001",
    )  # fmt: skip


def test_a_sas_drive_behind_a_controller_is_named_by_its_place_there():
    assert sample("sas") == DriveSample(
        at=AT, device="bus/0 megaraid,3", model="EXAMPLE SAS SSD", healthy=True, wear_ratio=0.12, media_errors=3,
        written_bytes=56_643_667_000_000, temp_c=33, power_on_s=12437 * 3600.0 + 29 * 60, reallocated_sectors=6,
        serial="SAS0001",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "raw", "written"),
    [("Host_Writes_32MiB", 7, 7 * 32 * 2**20), ("Total_Writes_GiB", 7, 7 * 2**30), ("Unknown_Attribute", 7, None)],
)
def test_what_a_sata_drive_wrote_is_told_only_where_the_unit_is_known(name, raw, written):
    changed = drive("sata_ssd")
    table = changed["report"]["ata_smart_attributes"]["table"]
    table[-1] = table[-1] | {"name": name, "raw": {"value": raw, "string": str(raw)}}
    assert drive_sample(changed, AT).written_bytes == written


def test_a_sleeping_drive_is_not_woken_and_says_so():
    asleep = sample("standby", error="Device is in STANDBY mode, exit(2)")
    assert (asleep.healthy, asleep.temp_c, asleep.error) == (None, None, "asleep, and not woken to be asked")


def test_a_drive_that_knows_no_smart_is_left_out():
    assert drive_sample(drive("virtual"), AT) is None


@pytest.mark.parametrize("nonsense", ["N/A", -1, True, 2**70, [], {}, None, 1e300])
def test_nonsense_in_a_report_costs_only_its_value(nonsense):
    changed = drive("nvme")
    changed["report"]["nvme_smart_health_information_log"]["media_errors"] = nonsense
    told = drive_sample(changed, AT)
    assert (told.media_errors, told.unsafe_shutdowns) == (None, 9)
    for key in list(changed["report"]):
        changed["report"][key] = nonsense
    assert drive_sample(changed, AT).device == "nvme0"


def test_the_exit_status_of_smartctl_is_explained():
    assert exit_words(0) == []
    assert exit_words(8 | 64) == ["the drive says that it is failing", "its error log has entries"]
    assert len(exit_words(255)) == 8


class Unit:
    """The sensors unit's file, and a daemon that reads it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.events, self.written = folder / "drives.json", [], 0
        self.health = DriveHealth(self.events.append, path=self.path)

    def writes(self, *drives: dict, at: float = AT, **more) -> None:
        self.leaves(json.dumps({"schema": 1, "at": at, "problem": None, "drives": list(drives)} | more))

    def leaves(self, text: str) -> None:
        self.path.write_text(text)
        self.written += 1
        os.utime(self.path, ns=(self.written, self.written))

    def read(self, at: float = AT) -> dict[str, DriveSample]:
        return {sample.device: sample for sample in self.health.read(at)}

    def told(self) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.message) for event in self.events]


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


def test_the_file_is_read_once_for_each_time_it_is_written(unit):
    unit.writes(drive("nvme"), drive("sata_ssd"))
    assert list(unit.read()) == ["nvme0", "sda"]
    assert unit.read() == {}
    unit.writes(drive("nvme"))
    assert list(unit.read()) == ["nvme0"]
    assert unit.health.lack() is None


def test_healthy_drives_are_no_event(unit):
    unit.writes(drive("nvme"), drive("sata_ssd"), drive("sas"))
    unit.read()
    unit.writes(drive("nvme"), drive("sata_ssd"), drive("sas"))
    unit.read()
    assert unit.events == []


def test_a_failing_drive_is_told_once_and_again_after_it_was_well(unit):
    for _ in range(3):
        unit.writes(drive("sata_failing"))
        unit.read()
    assert unit.told() == [
        (EventKind.DRIVE_WARNING, "drive sdb (EXAMPLE HDD 16TB): it says that it is failing"),
    ]
    assert unit.events[0].evidence["serial"] == "HDD0001"
    assert "the drive says that it is failing" in unit.events[0].evidence["smartctl"]
    assert unit.events[0].subject == "drive sdb"


def nvme(**values) -> dict:
    changed = drive("nvme")
    changed["report"]["nvme_smart_health_information_log"].update(values)
    return changed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"critical_warning": 1}, "spare blocks are running out"),
        ({"critical_warning": 6}, "it has become unreliable; its temperature is out of range"),
        ({"critical_warning": 8}, "it takes no more writes"),
        ({"available_spare": 9}, "spare blocks are below the threshold of 10%"),
        ({"percentage_used": 100}, "all its rated writes are used up"),
        ({"media_errors": 5}, "2 more errors of the medium (5 in all)"),
    ],
)
def test_what_turns_bad_is_told_in_words(unit, values, words):
    unit.writes(drive("nvme"))
    unit.read()
    unit.writes(nvme(**values))
    unit.read()
    unit.writes(nvme(**values))
    unit.read()
    assert unit.told() == [(EventKind.DRIVE_WARNING, f"drive nvme0 (EXAMPLE NVMe 7.68TB): {words}")]


def test_errors_that_grew_while_a_drive_slept_are_told_when_it_wakes(unit):
    unit.writes(drive("sata_ssd"))
    unit.read()
    unit.writes(drive("sata_ssd", report={}, error="Device is in STANDBY mode, exit(2)", exit_status=2))
    assert unit.read()["sda"].error == "asleep, and not woken to be asked"
    woken = drive("sata_ssd")
    woken["report"]["ata_smart_attributes"]["table"][0]["raw"]["value"] = 9
    unit.writes(woken)
    unit.read()
    assert unit.told() == [
        (EventKind.DRIVE_WARNING, "drive sda (EXAMPLE SSD 960GB): 5 more replaced sectors (9 in all)")
    ]


def test_a_drive_that_is_gone_is_told(unit):
    unit.writes(drive("nvme"), drive("sas"))
    unit.read()
    unit.writes(drive("nvme"))
    unit.read()
    assert unit.told() == [(EventKind.DEVICE_GONE, "drive bus/0 megaraid,3 is not found any more")]


def test_an_old_reading_is_withdrawn_and_explained(unit):
    unit.writes(drive("nvme"))
    unit.read()
    assert unit.read(AT + 1700) == {}
    withdrawn = unit.read(AT + 1900)["nvme0"]
    assert (withdrawn.healthy, withdrawn.wear_ratio, withdrawn.error) == (None, None, "not read since 32 min")
    assert unit.read(AT + 2000) == {}
    assert unit.health.lack().why == "the drives were not read since 33 min"
    assert unit.health.lack().wrong
    unit.writes(drive("nvme"), at=AT + 2100)
    assert unit.read(AT + 2100)["nvme0"].wear_ratio == 0.07
    assert unit.health.lack() is None


@pytest.mark.parametrize("at", [float("nan"), "now", None, AT + 1e6])
def test_a_reading_of_no_known_time_grows_old_from_when_it_was_found(unit, at):
    unit.writes(drive("nvme"), at=at)
    unit.read()
    assert unit.read(AT + 1900)["nvme0"].error == "not read since 32 min"


def test_a_node_without_the_unit_is_told_how_to_get_it(unit):
    assert unit.read() == {}
    assert "dcdaemon-sensors.timer" in unit.health.lack().fix
    assert not unit.health.lack().wrong


def test_a_missing_smartctl_is_told_with_what_to_install(unit):
    unit.writes(problem="smartctl cannot be run: No such file or directory")
    unit.read()
    lack = unit.health.lack()
    assert (lack.why, lack.wrong) == ("smartctl cannot be run: No such file or directory", True)
    assert "smartmontools" in lack.fix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": 2}',
        "[" * 100_000,
        '{"schema": 1, "drives": 7}',
        '{"schema": 1, "drives": [7, {}]}',
    ],
)
def test_no_content_of_the_file_stops_a_reading(unit, text):
    unit.leaves(text)
    unit.read()
    unit.read(AT + 4000)
    assert len(unit.events) <= 1


def test_a_file_of_nonsense_is_told_once(unit):
    for _ in range(3):
        unit.leaves("nonsense")
        unit.read()
    assert [kind for kind, _ in unit.told()] == [EventKind.UNREADABLE]
    assert unit.health.lack().wrong

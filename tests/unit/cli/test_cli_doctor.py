"""`dcd doctor`: every judgement of the daemon's status, and the exit codes of a Nagios plugin."""

import json
from importlib import metadata

import documents
import pytest

from dcdaemon.cli import checks
from dcdaemon.cli.check import Check
from dcdaemon.cli.checks import status_checks
from dcdaemon.cli.verbs.doctor import exit_code

LATE = {
    "name": "collect",
    "every_s": 1.0,
    "last_tick_age_s": 9.0,
    "last_duration_s": 8.0,
    "ok": False,
    "error": "NVML hangs",
}
FULL = {
    "url": "sqlite:////x/d.db",
    "dialect": "sqlite",
    "schema": "1",
    "size_bytes": 1,
    "jobs": 1,
    "samples_dropped": 5,
}


NO_GPUS = {"driver_version": None, "driver_error": "library not found", "gpus": {"total": 0, "busy": 0}}
HUNG = {"driver_error": "the driver hangs"}


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({}, "duties", "ok", "all 2 duties tick on time"),
        ({"duties": [LATE]}, "duties", "fail", "not on time: collect: NVML hangs"),
        ({}, "driver", "ok", "driver 580.65, 8 GPUs seen"),
        ({"simulated": True, "driver_version": None}, "driver", "ok", "8 simulated GPUs"),
        ({"driver_version": None, "driver_error": "library not found"}, "driver", "warn", "library not found"),
        (NO_GPUS, "driver", "warn", "no NVIDIA driver (library not found): 0 GPUs, the host alone is watched"),
        (HUNG, "driver", "warn", "the driver hangs: nothing is known of 8 GPUs now"),
        ({"roles": ["storage"], "driver_version": None, "driver_error": "x"}, "driver", "ok", "GPUs are not read"),
        ({}, "collectors", "ok", "2 collectors read: cpu, disks"),
        ({}, "database", "ok", "schema 1"),
        ({"database": FULL}, "database", "warn", "5 samples dropped"),
        ({"config_warnings": ["unknown setting gpus.pol"]}, "config", "warn", "unknown setting gpus.pol"),
    ],
)
def test_the_status_is_judged(changes, name, level, words):
    found = next(check for check in status_checks(documents.status(**changes)) if check.name == name)
    assert found.level == level
    assert words in found.message
    assert (found.fix is None) == (level == "ok")


def lacks(why: str, fix: str | None = None, *, wrong: bool = False) -> dict:
    return {"why": why, "fix": fix, "wrong": wrong}


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        # Hardware that is not there is well; what it would take is a hint.
        (
            {"name": "infiniband", "lack": lacks("no InfiniBand here")},
            ("infiniband", "ok", "no InfiniBand here", None),
        ),
        (
            {"name": "rapl", "lack": lacks("for root alone", "run it as root")},
            ("rapl", "ok", "for root alone", "run it as root"),
        ),
        # What was set up and does not work is not.
        (
            {"name": "drives", "lack": lacks("not read since 40 min", "systemctl status x", wrong=True)},
            ("drives", "warn", "not read since 40 min", "systemctl status x"),
        ),
        (
            {"name": "snmp", "lack": lacks("SNMPv3 needs PyCryptodome", "pip install x", wrong=True)},
            ("snmp", "warn", "SNMPv3 needs PyCryptodome", "pip install x"),
        ),
        (
            {"name": "disks", "error": "ValueError: x"},
            ("disks", "warn", "disks: ValueError: x", "journalctl -u dcdaemon tells where; the other collectors go on"),
        ),
        (
            {"name": "snmp", "running": False, "lack": lacks("none is configured")},
            ("roles", "ok", "node.roles compute, storage, network; not read: snmp (none is configured)", None),
        ),
    ],
)
def test_a_collector_is_explained(collector, expected):
    status = documents.status(collectors=[documents.collector(**collector)])
    [found] = [check for check in status_checks(status) if check.name in {"roles", collector["name"]}]
    assert (found.name, found.level, found.message, found.fix) == expected


@pytest.mark.parametrize(
    ("kind", "device", "error", "fix"),
    [
        ("filesystem", "/data", "does not answer since 12 s", "umount -l"),
        ("switch", "leaf1", "no answer", "[snmp]"),
        ("object_store", "s3", "403 Forbidden", "[object_store]"),
        ("gpu", "3", "GPU is lost", "nvidia-smi -q"),
        ("anything", "x", "no", "dcd status"),
    ],
)
def test_a_device_that_does_not_answer_is_a_warning_with_its_fix(kind, device, error, fix):
    status = documents.status(troubles=[{"kind": kind, "device": device, "error": error}])
    [found] = [check for check in status_checks(status) if check.name == kind]
    assert (found.level, found.message) == ("warn", f"{kind} {device}: {error}")
    assert fix in found.fix


def test_a_hint_is_no_fix(daemon, dcd):
    lack = lacks("the kernel tells no pressure", "boot it with psi=1")
    daemon.routes["GET /v1/status"] = documents.status(collectors=[documents.collector("pressure", lack=lack)])
    said = dcd("doctor")
    assert " ok    the kernel tells no pressure\n        hint: boot it with psi=1" in said.out


def test_the_state_of_the_daemon_lists_its_collectors_and_what_does_not_answer(daemon, dcd):
    daemon.routes["GET /v1/status"] = documents.status(
        collectors=[
            documents.collector("cpu", last_duration_s=0.00006),
            documents.collector("disks", last_read_age_s=None, last_duration_s=None, error="OSError: no"),
            documents.collector("rapl", lack=lacks("no energy counters here")),
            documents.collector("kernel log", every_s=None, last_read_age_s=None, last_duration_s=None),
            documents.collector("snmp", running=False, lack=lacks("none is configured")),
        ],
        troubles=[{"kind": "switch", "device": "leaf1", "error": "no answer"}],
    )
    lines = dcd("status").out.splitlines()
    assert "  cpu            every 5s     last 2s ago     took 0.1ms  ok" in lines
    assert "  disks          every 5s     last -          took -      in trouble: OSError: no" in lines
    assert "  rapl           every 5s     last 2s ago     took 1.0ms  no energy counters here" in lines
    assert "  kernel log     follows what comes                       ok" in lines
    assert "  switch leaf1: no answer" in lines
    assert not [line for line in lines if "snmp" in line]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "580.65"),
        (HUNG, "580.65: the driver hangs"),
        (NO_GPUS, "library not found"),
        ({"driver_version": None}, "none found"),
        (NO_GPUS | {"roles": ["storage"]}, "not read, by node.roles"),
    ],
)
def test_the_state_of_the_daemon_tells_what_is_wrong_with_the_driver(daemon, dcd, changes, words):
    daemon.routes["GET /v1/status"] = documents.status(**changes)
    assert f"  driver     {words}" in dcd("status").out.splitlines()


def test_a_daemon_that_tells_nothing_of_its_collectors_is_judged_all_the_same():
    status = documents.status()
    for key in ("roles", "collectors", "troubles"):
        del status[key]
    assert [check.name for check in status_checks(status)] == ["duties", "driver", "persistence", "database"]


def test_a_driver_that_nothing_keeps_loaded_is_hinted_at(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_PERSISTENCED", tmp_path / "socket")
    found = {check.name: check for check in status_checks(documents.status())}["persistence"]
    assert (found.level, "nvidia-smi -pm 1" in found.fix) == ("ok", True)
    (tmp_path / "socket").touch()
    found = {check.name: check for check in status_checks(documents.status())}["persistence"]
    assert (found.level, found.fix) == ("ok", None)
    for without in ({"simulated": True}, {"driver_version": None}):
        assert "persistence" not in {check.name for check in status_checks(documents.status(**without))}


@pytest.mark.parametrize(("free_bytes", "level"), [(2**40, "ok"), (2**29, "warn"), (2**20, "fail")])
def test_room_on_the_database_disk(tmp_path, monkeypatch, free_bytes, level):
    class Stat:
        f_bavail = free_bytes // 4096
        f_frsize = 4096

    monkeypatch.setattr(checks.os, "statvfs", lambda _: Stat)
    base = {**documents.status()["database"], "url": f"sqlite:///{tmp_path}/d.db"}
    found = next(check for check in status_checks(documents.status(database=base)) if check.name == "disk")
    assert (found.level, str(tmp_path) in found.message) == (level, True)


@pytest.mark.parametrize(("version", "level"), [("11.5.3", "fail"), ("13.0.1", "ok"), (None, "ok")])
def test_the_outdated_pynvml_package_is_found(monkeypatch, version, level):
    def look_up(name):
        assert name == "pynvml"
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(checks.metadata, "version", look_up)
    found = next(check for check in checks.local_checks() if check.name == "nvml")
    assert found.level == level
    assert (found.fix is not None and "pip uninstall pynvml" in found.fix) == (level == "fail")


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ({"python": "ok", "daemon": "ok"}, 0),
        ({"python": "ok", "clock": "warn"}, 1),
        ({"clock": "warn", "duties": "fail"}, 2),
        ({"clock": "warn", "nvml": "fail", "daemon": "fail"}, 3),
    ],
)
def test_the_exit_code_is_that_of_a_nagios_plugin(levels, code):
    assert exit_code([Check(name, level, "") for name, level in levels.items()]) == code


def test_the_page_shows_each_check_with_its_fix(daemon, dcd):
    daemon.routes["GET /v1/status"] = documents.status(duties=[LATE])
    said = dcd("doctor")
    assert said.code == 2
    assert " fail  not on time: collect: NVML hangs\n        fix: dcd status shows each" in said.out
    document = json.loads(dcd("doctor", "--json").out)
    assert document["exit_code"] == 2
    assert {"name": "python", "level": "ok"}.items() <= document["checks"][0].items()


def test_without_a_daemon_the_local_checks_still_run(dcd, monkeypatch, tmp_path):
    monkeypatch.setenv("DCD_URL", f"unix://{tmp_path}/none.sock")
    said = dcd("doctor", "-o", "json")
    assert said.code == 3
    names = [check["name"] for check in json.loads(said.out)["checks"]]
    assert names == ["python", "nvml", "systemd", "clock", "daemon"]

"""`dcd doctor`: every judgement of the daemon's status, and the exit codes of a Nagios plugin."""

import json
from importlib import metadata

import documents
import pytest

from dcdaemon.cli import checks
from dcdaemon.cli.checks import Check, status_checks
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


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({}, "duties", "ok", "all 2 duties tick on time"),
        ({"duties": [LATE]}, "duties", "fail", "not on time: collect: NVML hangs"),
        ({}, "driver", "ok", "driver 580.65, 8 GPUs seen"),
        ({"simulated": True, "driver_version": None}, "driver", "ok", "8 simulated GPUs"),
        ({"driver_version": None, "driver_error": "library not found"}, "driver", "warn", "library not found"),
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

"""What `dcd service install` and `remove` do to the files of a machine, and what systemd is told."""

import json
import os
import stat
from pathlib import Path

import pytest

from dcdaemon.admin import install as installing
from dcdaemon.admin.layout import SENSORS, Texts
from dcdaemon.admin.systemd import Systemd
from dcdaemon.core.errors import BadInput, Refused, StartFailed

UNIT = "/etc/systemd/system/dcdaemon.service"
DEFAULTS = "/etc/default/dcdaemon"
RECORD = "/var/lib/dcdaemon/installed.json"


def test_everything_is_put_in_place_and_the_service_started(machine):
    machine.install(machine.layout(extra=(SENSORS,)))
    assert set(machine.files()) == {
        UNIT,
        *(f"/etc/systemd/system/dcdaemon{end}" for end in (".slice", "-jobs.slice", "-power.service")),
        *(f"/etc/systemd/system/dcdaemon-{name}.{end}" for name in ("sensors", "bmc") for end in ("service", "timer")),
        "/etc/sysusers.d/dcdaemon.conf", "/etc/tmpfiles.d/dcdaemon.conf", DEFAULTS, RECORD,
        "/usr/local/bin/dcd", "/usr/local/bin/dcdaemon", "/usr/local/share/man/man1/dcd.1",
        "/usr/local/share/bash-completion/completions/dcd",
    }  # fmt: skip
    files = machine.files()
    assert "ExecStart=/opt/dcdaemon/bin/dcd daemon run\n" in files[UNIT]
    assert "/usr/local/bin" not in "".join(text for path, text in files.items() if path.startswith("/etc/systemd"))
    assert files["/usr/local/bin/dcd"] == "/opt/dcdaemon/bin/dcd"
    assert machine.told() == [
        f"systemd-sysusers {machine.root}/etc/sysusers.d/dcdaemon.conf",
        f"systemd-tmpfiles --create {machine.root}/etc/tmpfiles.d/dcdaemon.conf",
        "systemctl daemon-reload",
        "systemctl enable dcdaemon.service",
        "systemctl enable dcdaemon-sensors.timer",
        "systemctl reset-failed dcdaemon.service",
        "systemctl start dcdaemon.service",
        "systemctl reset-failed dcdaemon-sensors.timer",
        "systemctl start dcdaemon-sensors.timer",
    ]


def test_modes_do_not_depend_on_the_umask_and_secrets_are_roots_alone(machine):
    before = os.umask(0o077)
    try:
        machine.install()
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(machine.file(path).stat().st_mode) for path in (UNIT, DEFAULTS, "/usr/local/share")}
    assert modes == {UNIT: 0o644, DEFAULTS: 0o600, "/usr/local/share": 0o755}


def test_a_second_time_nothing_is_changed_and_nothing_told(machine):
    assert machine.install() > 0
    machine.told()
    before = {path: machine.file(path).lstat().st_mtime_ns for path in machine.files()}
    assert machine.install() == 0
    assert (machine.told(), machine.said) == ([], [])
    assert {path: machine.file(path).lstat().st_mtime_ns for path in machine.files()} == before


def test_a_dry_run_says_the_same_steps_and_does_none(machine):
    machine.install(dry_run=True)
    would = [line.removeprefix("would ") for line in machine.said]
    assert (machine.files(), machine.told()) == ({}, [])
    machine.install()
    assert machine.said == would
    assert f"write {UNIT}" in would
    assert would[-1] == "start dcdaemon.service"


def test_a_dry_run_without_rights_passes_over_what_it_cannot_read(machine, monkeypatch):
    machine.install()
    closed, read = machine.file(DEFAULTS), Path.read_bytes

    def as_a_user(path: Path) -> bytes:
        if path == closed:
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", as_a_user)
    assert machine.install(dry_run=True) == 0


def test_an_upgrade_replaces_what_changed_and_starts_the_service_anew(machine, monkeypatch):
    machine.install()
    machine.told()
    machine.install(machine.layout(Texts({"bash": "newer\n"}, ".TH DCD 1\n")))
    assert machine.said == ["replace /usr/local/share/bash-completion/completions/dcd"]
    assert machine.told() == []
    monkeypatch.setattr(installing, "__version__", "99.0")
    machine.install(machine.layout(Texts({"bash": "newer\n"}, ".TH DCD 1\n")))
    assert machine.said == ["restart dcdaemon.service"]
    machine.programs = machine.programs.parent.parent / "newer" / "bin"
    machine.install(machine.layout(Texts({}, "")))
    assert "ExecStart=/opt/newer/bin/dcd daemon run\n" in machine.files()[UNIT]
    assert machine.files()["/usr/local/bin/dcd"] == "/opt/newer/bin/dcd"
    assert "remove /usr/local/share/man/man1/dcd.1" in machine.said
    assert machine.said[-1] == "restart dcdaemon.service"


def test_jobs_that_an_earlier_version_keeps_in_the_daemons_unit_are_not_killed_by_an_upgrade(machine, monkeypatch):
    (machine.book / "group").write_text("/system.slice/dcdaemon.service\n")
    group, procfs = machine.book / "cgroup/system.slice/dcdaemon.service", machine.book / "proc"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("7\n8\n9\n10\n")
    for pid, environ in ((7, b"PATH=/bin\0"), (8, b"A=1\0DCD_JOB_ID=41\0"), (9, b"DCD_JOB_ID=9\0")):
        (procfs / str(pid)).mkdir(parents=True)
        (procfs / str(pid) / "environ").write_bytes(environ)
    within = Systemd.jobs_within
    monkeypatch.setattr(Systemd, "jobs_within", lambda self, unit: within(self, unit, procfs, machine.book / "cgroup"))
    with pytest.raises(Refused, match=r"inside the daemon's unit, .* run jobs 9, 41: they would be killed"):
        machine.install()
    assert (machine.files(), machine.told()) == ({}, [])
    (group / "cgroup.procs").write_text("7\n")
    assert machine.install() > 0


def test_what_the_operator_made_is_never_touched(machine):
    own = {
        "/etc/systemd/system/dcdaemon.service.d/override.conf": "[Service]\nNice=5\n",
        "/etc/dcdaemon/dcdaemon.toml": "[jobs]\nper_user = 3\n",
        DEFAULTS: "DCD_JOBS__PER_USER=2\n",
        "/usr/local/bin/dcd": "#!/bin/sh\n",
    }
    for path, text in own.items():
        machine.file(path).parent.mkdir(parents=True, exist_ok=True)
        machine.file(path).write_text(text)
    machine.install()
    assert (
        "keep /usr/local/bin/dcd, which is not of this installation; /opt/dcdaemon/bin/dcd is the command"
        in machine.said
    )
    machine.install()
    machine.remove()
    assert machine.files() == own


def test_a_link_that_was_there_before_stays_after_the_removal(machine):
    machine.file("/usr/local/bin").mkdir(parents=True)
    machine.file("/usr/local/bin/dcd").symlink_to("/opt/dcdaemon/bin/dcd")
    machine.install()
    machine.remove()
    assert machine.files() == {"/usr/local/bin/dcd": "/opt/dcdaemon/bin/dcd"}


def test_a_record_that_was_lost_is_written_anew_by_the_next_install(machine):
    machine.install()
    machine.file(RECORD).unlink()
    assert machine.install() == 0
    machine.remove()
    assert set(machine.files()) == {DEFAULTS, "/usr/local/bin/dcd", "/usr/local/bin/dcdaemon"}


def test_an_edited_unit_is_set_aside_and_told(machine):
    machine.install()
    machine.file(UNIT).write_text("[Service]\nExecStart=/bin/other\n")
    machine.install()
    assert f"move {UNIT}, which somebody has edited, to dcdaemon.service.edited" in machine.said
    assert machine.files()[f"{UNIT}.edited"] == "[Service]\nExecStart=/bin/other\n"
    assert "ExecStart=/opt/dcdaemon/bin/dcd daemon run\n" in machine.files()[UNIT]
    assert machine.said[-1] == "restart dcdaemon.service"


def test_directories_elsewhere_are_made_writable_by_a_drop_in_that_goes_when_they_do(machine):
    path = "/etc/systemd/system/dcdaemon.service.d/10-paths.conf"
    flags = {
        "daemon.state_dir": "/data/dcd",
        "storage.backup_dir": "/srv/100%",
        "daemon.socket": "/run/dcdaemon/x.sock",
    }
    machine.install(machine.layout(flags=flags))
    lines = machine.files()[path].splitlines()
    assert [line for line in lines if line.startswith("Read")] == [
        'ReadWritePaths="-/data/dcd"', 'ReadWritePaths="-/srv/100%%"'
    ]  # fmt: skip
    machine.told()
    machine.install()
    assert path not in machine.files()
    assert machine.told()[-1] == "systemctl restart dcdaemon.service"


def test_removal_takes_what_was_installed_and_leaves_the_data(machine):
    machine.file("/etc/systemd/system").mkdir(parents=True)
    machine.install()
    data = machine.file("/var/lib/dcdaemon/dcdaemon.db")
    data.write_text("jobs")
    machine.file(DEFAULTS).write_text("DCD_JOBS__PER_USER=2\n")
    machine.told()
    machine.remove()
    assert set(machine.files()) == {"/var/lib/dcdaemon/dcdaemon.db", DEFAULTS}
    assert f"keep {DEFAULTS}: it is the operator's" in machine.said
    # Folders that were there before stay; those that were made go.
    assert machine.file("/etc/systemd/system").is_dir()
    assert not machine.file("/usr/local").exists()
    assert machine.told() == ["systemctl disable --now dcdaemon.service", "systemctl daemon-reload"]
    with pytest.raises(Refused, match="nothing is installed"):
        machine.remove()


def test_a_removal_that_is_only_shown_removes_nothing(machine):
    machine.install()
    before, _ = machine.files(), machine.told()
    machine.remove(dry_run=True)
    assert (machine.files(), machine.told()) == (before, [])
    assert f"would remove {UNIT}" in machine.said


def test_removal_is_refused_while_jobs_run_and_with_force_ends_none(machine):
    machine.install()
    machine.known(jobs=["dcd-job-7.service", "dcd-job-8.service"], active=["dcdaemon.service", "dcdaemon-jobs.slice"])
    before, _ = machine.files(), machine.told()
    with pytest.raises(Refused, match="2 jobs run, and without the daemon nobody notes what becomes of it"):
        machine.remove()
    machine.known(jobs=[])
    with pytest.raises(Refused, match="a job runs"):
        machine.remove(running=1)
    assert (machine.files(), machine.told()) == (before, [])
    machine.remove(running=1, force=True)
    # To stop their slice would be to kill them.
    assert machine.told() == ["systemctl disable --now dcdaemon.service", "systemctl daemon-reload"]


def test_a_purge_takes_the_data_but_not_from_under_a_running_job(machine):
    machine.install()
    machine.file("/etc/dcdaemon").mkdir()
    machine.file("/etc/dcdaemon/dcdaemon.toml").write_text("")
    machine.file("/var/lib/dcdaemon/jobs").mkdir()
    with pytest.raises(Refused, match="a job runs out of a directory that is among the data"):
        machine.remove(running=1, force=True, purge=True)
    machine.remove(purge=True)
    assert machine.files() == {}


def test_a_service_that_does_not_start_is_told_and_the_install_can_be_repeated(machine):
    machine.known(broken=["dcdaemon.service"])
    with pytest.raises(StartFailed, match=r"systemctl start dcdaemon.service failed: Job for dcdaemon.service failed"):
        machine.install()
    machine.known(broken=[])
    machine.install()
    assert machine.said == ["start dcdaemon.service"]


def test_half_an_installation_is_on_record_and_can_be_removed(machine):
    machine.file("/usr/local").mkdir(parents=True)
    machine.file("/usr/local/bin").write_text("a file where a folder should be")
    with pytest.raises(Refused, match="usr/local/bin"):
        machine.install()
    assert UNIT in json.loads(machine.file(RECORD).read_text())["files"]
    machine.remove()
    assert set(machine.files()) == {"/usr/local/bin"}


@pytest.mark.parametrize("record", ["", "[]", '{"version": "1"}'])
def test_a_record_that_cannot_be_read_stops_everything(machine, record):
    machine.install()
    machine.file(RECORD).write_text(record)
    with pytest.raises(BadInput, match="cannot be read"):
        machine.remove()
    assert UNIT in machine.files()

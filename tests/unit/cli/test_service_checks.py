"""`dcd doctor` on the service: which profile is in force and what is lost, on machines made of files."""

from pathlib import Path

import documents
import pytest

from dcdaemon import __version__
from dcdaemon.admin import environment
from dcdaemon.cli.service_checks import service_checks

SYSTEM = "0::/dcdaemon.slice/dcdaemon.service\n"
USER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/dcdaemon.service\n"
BY_HAND = "0::/user.slice/user-1000.slice/session-3.scope\n"
UNITS = {"name": "unit", "manager": "system", "reasons": []}
NO_SYSTEMD = {"name": "shim", "manager": None, "reasons": ["systemd does not run this machine"]}


class Machine:
    """Files of a machine below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("proc/7/cgroup", SYSTEM)
        self.put("run/systemd/system/x", "")
        self.put("sys/fs/cgroup/cgroup.controllers", "")
        self.put("usr/lib/systemd/systemd-logind", "")
        self.put("etc/systemd/logind.conf.d/dcdaemon.conf", "[Login]\nRemoveIPC=no\n")
        for gpu in range(8):
            self.put(f"dev/nvidia{gpu}", "")

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def checks(self, **changes: object) -> dict[str, tuple[str, str, str | None]]:
        """Return level, message and fix of each check by its name."""
        status = documents.status(**{"pid": 7, "uid": 0, "isolation": UNITS, "version": __version__} | changes)
        return {one.name: (one.level, one.message, one.fix) for one in service_checks(status, self.root)}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "weaknesses", lambda *_, **__: iter(()))
    return Machine(tmp_path)


def test_the_nodes_service_with_a_unit_for_each_job_is_well_in_every_respect(machine):
    checks = machine.checks()
    assert {name: level for name, (level, _, _) in checks.items()} == {
        "service": "ok", "isolation": "ok", "logout": "ok"
    }  # fmt: skip
    assert checks["service"][1].startswith("the node's service")
    assert "the kernel fences its GPUs, memory and time" in checks["isolation"][1]


@pytest.mark.parametrize(
    ("groups", "words", "fix"),
    [
        (USER, "a user's service: jobs run as that user alone", None),
        (BY_HAND, "started by hand: nothing starts it again", "sudo dcd service install"),
        ("0::/x/not-dcdaemon.service.d\n", "started by hand", "sudo dcd service install"),
    ],
)
def test_who_runs_the_daemon_is_told_by_its_control_group(machine, groups, words, fix):
    machine.put("proc/7/cgroup", groups)
    level, message, hint = machine.checks(uid=1000)["service"]
    assert (level, words in message) == ("ok", True)
    assert hint is None if fix is None else hint.startswith(fix)


@pytest.mark.parametrize(
    ("isolation", "level", "words"),
    [
        ({"name": "unit", "manager": "user", "reasons": []}, "ok", "its memory and time, but no GPU"),
        ({"name": "shim", "manager": None, "reasons": ["systemd-run is not installed"]}, "warn", "neither is a fence"),
        ({"name": "shim", "manager": None, "reasons": []}, "warn", "(it is configured so)"),
        ({"name": "none", "manager": None, "reasons": ["x"]}, "fail", "no job can be started: x"),
    ],
)
def test_what_fences_jobs_is_told_with_what_is_lost(machine, isolation, level, words):
    found = machine.checks(isolation=isolation)["isolation"]
    assert (found[0], words in found[1]) == (level, True)


def test_where_there_is_no_systemd_the_shim_is_as_good_as_it_gets(machine):
    (machine.root / "run/systemd/system/x").unlink()
    (machine.root / "run/systemd/system").rmdir()
    checks = machine.checks(isolation=NO_SYSTEMD)
    assert checks["isolation"][0] == "ok"
    assert "(systemd does not run this machine)" in checks["isolation"][1]
    assert not checks.keys() & {"cgroup", "logout", "paths"}


def test_control_groups_of_the_first_version_are_a_warning(machine):
    (machine.root / "sys/fs/cgroup/cgroup.controllers").unlink()
    assert machine.checks()["cgroup"][0] == "warn"


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        ({"etc/{}.conf": "[Login]\n#RemoveIPC=no\n"}, "warn"),
        ({"etc/{}.conf": "[Login]\nRemoveIPC=no\n"}, "ok"),
        ({"etc/{}.conf": "RemoveIPC=no\n", "usr/lib/{}.conf.d/z.conf": "RemoveIPC = yes"}, "warn"),
        ({"usr/lib/{}.conf.d/a.conf": "RemoveIPC=yes", "etc/{}.conf.d/b.conf": "RemoveIPC=No"}, "ok"),
        # A drop-in of /etc takes the place of one of the same name.
        ({"usr/lib/{}.conf.d/a.conf": "RemoveIPC=yes", "etc/{}.conf.d/a.conf": "RemoveIPC=0"}, "ok"),
        ({}, "warn"),
    ],
)
def test_shared_memory_that_goes_at_logout_is_a_warning(machine, texts, level):
    (machine.root / "etc/systemd/logind.conf.d/dcdaemon.conf").unlink()
    for path, text in texts.items():
        machine.put(path.format("systemd/logind"), text)
    assert machine.checks()["logout"][0] == level


def test_a_directory_that_was_configured_after_the_installation_is_a_failure_until_the_unit_allows_it(machine):
    machine.put("etc/dcdaemon/dcdaemon.toml", '[storage]\nbackup_dir = "/srv/backup"\n')
    level, message, fix = machine.checks()["paths"]
    assert (level, fix.startswith("sudo dcd service install")) == ("fail", True)
    assert "/srv/backup" in message
    machine.put("etc/systemd/system/dcdaemon.service.d/10-paths.conf", '[Service]\nReadWritePaths="-/srv/backup"\n')
    assert "paths" not in machine.checks()
    machine.put("etc/dcdaemon/dcdaemon.toml", "[storage]\nbackup_at = 7\n")
    assert "paths" not in machine.checks()


def test_code_that_others_may_change_is_a_warning_for_a_daemon_of_root(machine, monkeypatch):
    weak = environment.Weakness(Path("/home/ada/venv"), "belongs to ada")
    monkeypatch.setattr(environment, "weaknesses", lambda *_, **__: iter([weak]))
    assert "/home/ada/venv belongs to ada: whoever may write there can be root" in machine.checks()["code"][1]
    assert "code" not in machine.checks(uid=1000)


def test_another_version_than_the_daemons_is_told(machine):
    level, message, _ = machine.checks(version="0.0.1")["version"]
    assert (level, message) == ("warn", f"the daemon is version 0.0.1, this program {__version__}")


@pytest.mark.parametrize("path", ["etc/dcdaemon/dcdaemon.toml", "etc/dcdaemon/conf.d/9.toml", "etc/default/dcdaemon"])
def test_a_password_that_everybody_can_read_is_a_warning(machine, path):
    line = 'url = "postgresql://dcd:hunter2@db/dcd"\n'
    machine.put(path, f"# {line}")
    assert "secrets" not in machine.checks()
    machine.put(path, line if path.endswith("toml") else f"DCD_STORAGE__{line.replace(' ', '')}", 0o600)
    assert "secrets" not in machine.checks()
    (machine.root / path).chmod(0o644)
    level, message, fix = machine.checks()["secrets"]
    assert (level, message, fix) == ("warn", f"every user can read the password in /{path}", f"chmod 600 /{path}")


def test_gpus_without_their_device_files_and_devices_the_service_may_not_use_are_warnings(machine):
    (machine.root / "dev/nvidia7").unlink()
    machine.put("dev/nvidiactl", "")
    assert "the driver has 8 GPUs, /dev only 7" in machine.checks()["devices"][1]
    blind = {"driver_version": None, "driver_error": "no driver"}
    level, _, fix = machine.checks(**blind)["devices"]
    assert (level, "systemctl restart dcdaemon" in fix) == ("warn", True)
    machine.put("proc/7/cgroup", BY_HAND)
    assert "devices" not in machine.checks(**blind)
    assert "devices" not in machine.checks(simulated=True)

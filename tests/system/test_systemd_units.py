"""The units in systemd/ as systemd itself reads them; nothing is started."""

import os
import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from dcdaemon.telemetry import bmc, bmc_unit, drives, sensors

UNITS = Path(__file__).parents[2] / "systemd"
INHERITED_SANDBOX = (
    "Protect", "Private", "Restrict", "Device", "NoNewPrivileges", "SystemCall", "CapabilityBoundingSet",
    "LockPersonality", "MemoryDeny", "MemoryHigh", "MemoryMax", "ReadOnly", "Inaccessible",
)  # fmt: skip


def systemd_tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


def verify(unit: Path, tmp_path: Path, *scope: str) -> subprocess.CompletedProcess[str]:
    """Let systemd read the unit; exit status 0 alone does not mean that it knew every line."""
    return subprocess.run(
        [systemd_tool("systemd-analyze"), *scope, "verify", "--man=no", str(unit)],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "LC_ALL": "C"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def installed_copy(name: str, tmp_path: Path, program: str = "/bin/true") -> Path:
    text, replaced = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={program}", (UNITS / name).read_text())
    assert replaced == 1
    copy = tmp_path / name
    copy.write_text(text)
    return copy


def service_lines(name: str, *, repeated: bool = False) -> dict[str, str]:
    """Return the lines of [Service]; where lines may be repeated, like DeviceAllow=, the last of each."""
    parser = RawConfigParser(strict=not repeated)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return dict(parser["Service"])


@pytest.mark.parametrize(
    ("name", "scope"), [("dcdaemon.service", ("--system",)), ("dcdaemon-user.service", ("--user",))]
)
def test_systemd_takes_every_line_of_the_unit(name, scope, tmp_path):
    result = verify(installed_copy(name, tmp_path), tmp_path, *scope)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_check_would_see_a_misspelt_line_and_a_missing_program(tmp_path):
    unit = installed_copy("dcdaemon.service", tmp_path)
    unit.write_text(unit.read_text().replace("OOMPolicy=", "OOMPolicyy="))
    assert "OOMPolicyy" in verify(unit, tmp_path, "--system").stderr
    absent = installed_copy("dcdaemon.service", tmp_path, program="/nowhere/dcd")
    assert verify(absent, tmp_path, "--system").returncode != 0


@pytest.mark.parametrize("name", ["dcdaemon-sensors", "dcdaemon-bmc"])
def test_systemd_takes_every_line_of_the_units_that_run_as_root_and_of_their_timers(name, tmp_path):
    installed_copy(f"{name}.service", tmp_path)
    timer = tmp_path / f"{name}.timer"
    timer.write_text((UNITS / timer.name).read_text())
    result = verify(timer, tmp_path, "--system")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["dcdaemon-sensors", "dcdaemon-bmc"])
def test_the_units_that_run_as_root_have_little_that_can_be_abused(name, tmp_path):
    unit = installed_copy(f"{name}.service", tmp_path)
    result = subprocess.run(
        [systemd_tool("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # Of 10.0; what is left is the right to speak to drives or the BMC (CAP_SYS_ADMIN, CAP_SYS_RAWIO, their devices).
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("dcdaemon-sensors", ("drives.json", drives.PATH, sensors.OUT)),
        ("dcdaemon-bmc", ("bmc.json", bmc.PATH, bmc_unit.OUT)),
    ],
)
def test_the_file_of_a_unit_is_where_the_daemon_looks_for_it(name, paths):
    lines = service_lines(f"{name}.service", repeated=True)
    file, read, written = paths
    assert Path("/run") / lines["RuntimeDirectory"] / file == read == written
    assert (lines["RuntimeDirectoryMode"], lines["RuntimeDirectoryPreserve"]) == ("0755", "yes")


@pytest.mark.parametrize("name", ["dcdaemon.service", "dcdaemon-user.service"])
def test_jobs_outlive_the_daemon_and_are_not_caught_in_its_sandbox(name):
    lines = service_lines(name)
    assert lines["KillMode"] == "process"
    assert lines["OOMPolicy"] == "continue"
    assert [line for line in lines if line.startswith(INHERITED_SANDBOX)] == []


def test_directories_get_modes_that_let_users_through_to_their_own_jobs(tmp_path):
    subprocess.run(
        [systemd_tool("systemd-tmpfiles"), f"--root={tmp_path}", "--create", UNITS / "dcdaemon.tmpfiles"],
        check=True, timeout=60,
    )  # fmt: skip
    modes = {path: (tmp_path / path).stat().st_mode & 0o777 for path in ("var/lib/dcdaemon", "run/dcdaemon")}
    service = service_lines("dcdaemon.service")
    assert modes == {
        "var/lib/dcdaemon": int(service["StateDirectoryMode"], 8),
        "run/dcdaemon": int(service["RuntimeDirectoryMode"], 8),
    }


def test_the_account_is_one_systemd_can_create(tmp_path):
    result = subprocess.run(
        [systemd_tool("systemd-sysusers"), f"--root={tmp_path}", "--dry-run", UNITS / "dcdaemon.sysusers"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "dcdaemon" in result.stderr + result.stdout

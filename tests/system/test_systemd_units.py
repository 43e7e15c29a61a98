"""The units in systemd/ as systemd itself reads them; nothing is started."""

import re
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from lack import program

from dcdaemon.telemetry import bmc, bmc_unit, drives, sensors

UNITS = Path(__file__).parents[2] / "systemd"
#: A user's jobs may still be his daemon's children; these would be theirs, too.
INHERITED_SANDBOX = (
    "Protect", "Private", "Restrict", "Device", "NoNewPrivileges", "SystemCall", "CapabilityBoundingSet",
    "LockPersonality", "MemoryDeny", "MemoryHigh", "MemoryMax", "ReadOnly", "Inaccessible",
)  # fmt: skip


def verify(unit: Path, tmp_path: Path, *scope: str) -> subprocess.CompletedProcess[str]:
    """Let systemd read the unit; exit status 0 alone does not mean that it knew every line."""
    return subprocess.run(
        [program("systemd-analyze", "systemd"), *scope, "verify", "--man=no", str(unit)],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "LC_ALL": "C"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def installed_copy(name: str, tmp_path: Path, program: str = "/bin/true") -> Path:
    text, replaced = re.subn(
        r"(?m)^(Exec(?:Start|StopPost|Reload))=\S+/dcd", rf"\1={program} ", (UNITS / name).read_text()
    )
    assert replaced >= 1
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


@pytest.mark.parametrize("name", ["dcdaemon.slice", "dcdaemon-jobs.slice", "dcdaemon-power.service"])
def test_systemd_takes_every_line_of_the_slices_and_of_the_opt_in_unit(name, tmp_path):
    copy = tmp_path / name
    copy.write_text((UNITS / name).read_text().replace("/usr/local/bin/dcd-power", "/bin/true"))
    result = verify(copy, tmp_path, "--system")
    assert (result.returncode, result.stderr) == (0, "")


#: The most that `systemd-analyze security` may say of each unit, of 10.0; what is left is in the units line by line.
MOST_EXPOSED = {"dcdaemon": 3.2, "dcdaemon-sensors": 2.0, "dcdaemon-bmc": 2.0, "dcdaemon-power": 2.0}


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_what_runs_as_root_has_little_that_can_be_abused(name, tmp_path):
    unit = installed_copy(f"{name}.service", tmp_path)
    result = subprocess.run(
        [program("systemd-analyze", "systemd"), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )  # fmt: skip
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    assert score is not None, result.stderr
    print(f"{name}.service: {score[1]} of 10.0, at most {MOST_EXPOSED[name]}")  # noqa: T201  what is wanted of it
    assert float(score[1]) <= MOST_EXPOSED[name], result.stdout
    page = (UNITS.parent / "docs" / "service.md").read_text()
    assert re.search(rf"\| `{name}\.service` \|.*\| {re.escape(score[1])} \|", page), (
        "docs/service.md tells another score"
    )


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


def test_a_users_jobs_outlive_his_daemon_and_are_not_caught_in_its_sandbox():
    lines = service_lines("dcdaemon-user.service")
    assert lines["KillMode"] == "process"
    assert lines["OOMPolicy"] == "continue"
    assert [line for line in lines if line.startswith(INHERITED_SANDBOX)] == []


def test_the_limits_of_the_daemon_are_not_those_of_its_jobs():
    """A slice is a part of the one its name begins with: what stands there is for daemon and jobs together."""
    assert service_lines("dcdaemon.service", repeated=True)["MemoryHigh"] == "512M"
    for name in ("dcdaemon.slice", "dcdaemon-jobs.slice"):
        lines = [line for line in (UNITS / name).read_text().splitlines() if "=" in line and not line.startswith("#")]
        assert [
            line for line in lines if line.startswith(("Memory", "Tasks", "CPU", "IO")) and "Accounting" not in line
        ] == []


def test_the_hardened_daemon_may_do_what_it_needs_and_no_more():
    lines = service_lines("dcdaemon.service", repeated=True)
    assert lines["CapabilityBoundingSet"].split() == ["CAP_DAC_READ_SEARCH", "CAP_KILL"]
    assert (lines["DevicePolicy"], lines["DeviceAllow"]) == ("closed", "char-nvidia* rw")
    # A job's log may stand in a home or in /tmp, and the daemon has to find it there.
    assert (lines["ProtectHome"], lines.get("PrivateTmp")) == ("read-only", None)
    # The watch over all jobs may not end with the one process that the kernel took for its memory.
    assert (lines["KillMode"], lines["OOMPolicy"], lines["Slice"]) == ("mixed", "continue", "dcdaemon.slice")
    assert lines["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_directories_get_modes_that_let_users_through_to_their_own_jobs(tmp_path):
    subprocess.run(
        [program("systemd-tmpfiles", "systemd"), f"--root={tmp_path}", "--create", UNITS / "dcdaemon.tmpfiles"],
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
        [program("systemd-sysusers", "systemd"), f"--root={tmp_path}", "--dry-run", UNITS / "dcdaemon.sysusers"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "dcdaemon" in result.stderr + result.stdout

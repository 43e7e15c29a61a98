"""The unit that asks the BMC, as systemd itself reads it; nothing is started."""

import subprocess
from pathlib import Path

from test_systemd_units import UNITS, installed_copy, service_lines, systemd_tool, verify

from dcdaemon.telemetry import bmc, bmc_unit


def test_systemd_takes_every_line_of_the_unit_and_its_timer(tmp_path):
    installed_copy("dcdaemon-bmc.service", tmp_path)
    timer = tmp_path / "dcdaemon-bmc.timer"
    timer.write_text((UNITS / timer.name).read_text())
    result = verify(timer, tmp_path, "--system")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_unit_has_little_that_can_be_abused(tmp_path):
    unit = installed_copy("dcdaemon-bmc.service", tmp_path)
    result = subprocess.run(
        [systemd_tool("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


def test_the_file_of_the_unit_is_where_the_daemon_looks_for_it():
    lines = service_lines("dcdaemon-bmc.service", repeated=True)
    folder = Path("/run") / lines["RuntimeDirectory"]
    assert folder / "bmc.json" == bmc.PATH == bmc_unit.OUT
    assert (lines["RuntimeDirectoryMode"], lines["RuntimeDirectoryPreserve"]) == ("0755", "yes")

"""dcd-power against the fake driver: limits are set, and those of before come back whatever happens in between."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build

from dcdaemon.admin.power import FOUND

UNIT = Path(__file__).parents[3] / "systemd" / "dcdaemon-power.service"


#: Loads the program once and forks it for each line: the driver's library is found by the environment at the start.
_PROGRAM = """
import json, os, sys
from dcdaemon.admin.power import main
for line in sys.stdin:
    asked = json.loads(line)
    output, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ.update(asked["env"])
        os.dup2(into, 1), os.dup2(into, 2)
        code = main(asked["arguments"])
        sys.stdout.flush()
        os._exit(code)
    os.close(into)
    said = os.fdopen(output).read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said]), flush=True)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Run dcd-power in a process that finds the fake driver's library; the library stands beside it."""
    folder = tmp_path_factory.mktemp("driver")
    library = build(folder)
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
    ) as process:  # fmt: skip
        yield library, process
        process.stdin.close()


class Node:
    """Two H100 and the program; `limits` is what the driver was told last."""

    def __init__(self, driver: FakeDriver, folder: Path, process: subprocess.Popen[str]) -> None:
        self.driver, self.found, self._folder, self._process = driver, folder / "limits.json", folder, process

    def power(self, action: str, limits: str = "", *, code: int = 0) -> str:
        """Run dcd-power in a process of its own, and return what it says."""
        env = {"DCD_GPUS__POWER_LIMIT_W": limits, "HOME": str(self._folder), "FAKE_NVML_STATE": f"{self._folder}/state"}
        asked = {"arguments": [action, "--found", str(self.found)], "env": env}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        exit_code, said = json.loads(self._process.stdout.readline())
        assert exit_code == code, said
        return said

    def limits(self) -> list[float]:
        """Return what each GPU has been set to last, from the driver's own file; 700 W is the board's."""
        limits = [700.0, 700.0]
        place = self._folder / "state.power_limits"
        for line in place.read_text().splitlines() if place.exists() else ():
            gpu, milliwatts = line.split()
            limits[int(gpu)] = int(milliwatts) / 1000
        return limits


@pytest.fixture
def node(tmp_path, program):
    library, process = program
    return Node(FakeDriver(library, tmp_path / "state", count=2, profile="h100"), tmp_path, process)


def test_one_number_is_for_all_gpus_and_the_limits_of_before_come_back(node):
    assert node.power("set", "400") == "GPU 0: 700 W -> 400 W\nGPU 1: 700 W -> 400 W\n"
    assert node.limits() == [400, 400]
    assert "as they should be" in node.power("set", "400")
    assert node.power("restore") == "GPU 0: 400 W -> 700 W\nGPU 1: 400 W -> 700 W\n"
    assert (node.limits(), node.found.exists()) == ([700, 700], False)


def test_a_reload_sets_what_is_new_and_puts_back_what_is_configured_no_more(node):
    node.power("set", "0=400")
    assert node.limits() == [400, 700]
    node.power("set", "1=300.5")
    assert node.limits() == [700, 300.5]
    assert list(json.loads(node.found.read_text())["limits_w"]) == ["GPU-fake-0001"]
    node.power("set")
    assert (node.limits(), node.found.exists()) == ([700, 700], False)


def test_a_limit_that_a_board_does_not_take_changes_no_gpu(node):
    said = node.power("set", "0=400,1=199", code=2)
    assert "GPU 1, which takes 200 to 700 W" in said
    assert (node.limits(), node.found.exists()) == ([700, 700], False)
    assert "names GPU 7" in node.power("set", "7=400", code=2)


def test_a_start_that_fails_half_way_is_undone_by_the_restore(node):
    node.driver.gpu(1, {"error.set_power_limit": 4})
    assert "GPU 1 keeps its power limit of 700 W" in node.power("set", "400", code=5)
    assert node.limits() == [400, 700]
    node.power("restore")
    assert node.limits() == [700, 700]


def test_limits_of_before_outlive_a_second_start_without_a_stop(node):
    node.power("set", "400")
    node.power("set", "300")
    assert node.limits() == [300, 300]
    node.power("restore")
    assert node.limits() == [700, 700]


def test_what_belongs_to_a_gpu_that_does_not_answer_is_kept_for_later(node):
    node.power("set", "400")
    node.driver.gpu(1, lost=1)
    node.power("restore")
    assert list(json.loads(node.found.read_text())["limits_w"]) == ["GPU-fake-0001"]
    node.driver.gpu(1, lost=None)
    node.power("restore")
    assert node.limits() == [700, 700]


def test_without_limits_nothing_is_asked_of_a_driver_that_is_not_there(node):
    node.driver.driver(init_error=9)
    assert "nothing to do" in node.power("set")
    node.power("restore")
    assert "the NVIDIA driver cannot be used" in node.power("set", "400", code=1)


def test_the_unit_keeps_the_limits_of_before_where_the_program_looks_and_restores_after_every_end():
    lines = UNIT.read_text().splitlines()
    assert Path("/run") / "dcdaemon-power" == FOUND.parent
    assert {"RuntimeDirectory=dcdaemon-power", "RuntimeDirectoryPreserve=yes", "RemainAfterExit=yes"} <= set(lines)
    assert "ExecStopPost=/usr/local/bin/dcd-power restore" in lines
    assert "CapabilityBoundingSet=CAP_SYS_ADMIN" in lines

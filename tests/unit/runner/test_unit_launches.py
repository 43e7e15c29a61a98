"""Launches through systemd-run, each exactly once, whatever becomes of the tool.

The tool in these tests is a script that starts the shim by itself; with a real systemd the same is done in
tests/contract/test_engine_units.py.
"""

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dcdaemon.core.errors import Refused, StartFailed
from dcdaemon.runner import units_spawner
from dcdaemon.runner.isolation import Isolation
from dcdaemon.runner.launch import Launcher
from dcdaemon.runner.records import LaunchSpec, Unclaimed
from dcdaemon.runner.spawner import FateUnknownError, NoSpawner
from dcdaemon.runner.units_spawner import UnitSpawner

#: Skips the options, starts the command as systemd would, and waits for the shim's claim.
RUNS = """while [ "$1" != -- ]; do shift; done; shift
setsid "$@" > /dev/null 2>&1 < /dev/null &
for last in "$@"; do directory=$before; before=$last; done
while ! [ -L "$directory/claim.$last" ]; do sleep 0.01; done"""
#: Starts it half a second from now, as a busy systemd may for a client that has left.
RUNS_LATER = """while [ "$1" != -- ]; do shift; done; shift
(sleep 0.5; exec setsid "$@") > /dev/null 2>&1 < /dev/null &"""
TAKEN = "echo 'Failed to start transient service unit: Unit x was already loaded or has a fragment file.' >&2; exit 1"


@pytest.fixture
def systemd_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put scripts in the place of systemd-run, one for each call, the last one for all after it; return the calls."""
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def answer(*scripts: str) -> Path:
        cases = "".join(f"{number}) {script};;\n" for number, script in enumerate(scripts[:-1], 1))
        tool = tools / "systemd-run"
        tool.write_text(
            f"#!/bin/sh\necho x >> {shlex.quote(str(calls))}\n"
            f"case $(wc -l < {shlex.quote(str(calls))}) in\n{cases}*) {scripts[-1]};;\nesac\n"
        )
        tool.chmod(0o755)
        return calls

    return answer


@pytest.fixture
def unit_node(node):
    """A node whose shims come from systemd-run."""
    node.launcher.close()
    spawner = UnitSpawner(Isolation("unit", "system"))
    node.launcher = Launcher(node.state_dir, lambda job_id, attempt: node.ends.put((job_id, attempt)), spawner)
    node.launcher.start()
    return node


def ran(node, spec, count: int) -> None:
    assert node.log(spec) == "ran\n" * count


@pytest.mark.parametrize(
    "scripts",
    [
        (RUNS,),
        (f"{RUNS}; kill -KILL $$", RUNS),
        ("kill -KILL $$", RUNS),
        ("echo Connection timed out >&2; exit 1", RUNS),
        (f"{RUNS}; echo Connection timed out >&2; exit 1", RUNS),
        (f"{RUNS_LATER}\nexit 1", RUNS),
        (TAKEN, TAKEN, RUNS),
    ],
    ids=["well", "killed after", "killed before", "failed before", "failed after", "comes later", "name taken"],
)
def test_whatever_becomes_of_the_tool_the_job_runs_once(unit_node, systemd_run, scripts, wait_until):
    systemd_run(*scripts)
    spec = unit_node.start("sh", "-c", "echo ran; sleep 0.7")
    unit_node.end_of(spec)
    ran(unit_node, spec, 1)


def test_a_tool_that_hangs_is_not_waited_for_and_what_it_asked_for_never_runs(unit_node, systemd_run, monkeypatch):
    monkeypatch.setattr(units_spawner, "ANSWER_WITHIN_S", 0.2)
    calls = systemd_run("exec sleep 30")
    spec = unit_node.spec("sh", "-c", "echo ran")
    with pytest.raises(StartFailed, match=r"it was tried 2 times: systemd-run: .*timed out"):
        unit_node.launcher.launch(spec)
    assert calls.read_text() == "x\nx\n"
    directory = unit_node.directory(spec)
    assert {claim.name: str(claim.readlink()) for claim in directory.glob("claim.*")} == {
        "claim.1": "void", "claim.2": "void",
    }  # fmt: skip
    assert isinstance(unit_node.outcome(spec), Unclaimed)


def test_a_name_that_stays_taken_is_an_error_that_tells_whose_it_may_be(unit_node, systemd_run, monkeypatch):
    monkeypatch.setattr(units_spawner, "NAME_FREE_WITHIN_S", 0.1)
    systemd_run(TAKEN)
    with pytest.raises(StartFailed, match=r"there is a unit dcd-job-1\.service already") as raised:
        unit_node.start("sh", "-c", "echo ran")
    assert "systemctl status dcd-job-1.service" in str(raised.value.hint)


def test_without_the_tool_the_start_fails_and_says_so(unit_node, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartFailed, match=r"systemd-run: .*No such file"):
        unit_node.start("/bin/sh", "-c", "echo ran")


def test_a_daemon_that_takes_over_voids_what_nobody_claimed(unit_node, systemd_run, wait_until):
    systemd_run(RUNS)
    spec = unit_node.spec("sh", "-c", "echo ran")
    unit_node.launcher.attempt(spec.job_id, 1).prepare(spec)
    assert isinstance(unit_node.launcher.adopt(spec.job_id, 1), Unclaimed)
    unit_node.launcher.launch(spec)
    unit_node.end_of(spec)
    ran(unit_node, spec, 1)
    with pytest.raises(Refused, match="started already"):
        unit_node.launcher.launch(replace(spec))


def test_where_the_daemon_may_start_nothing_every_job_fails_with_the_reasons(node):
    node.launcher.close()
    node.launcher = Launcher(node.state_dir, lambda *_: None, NoSpawner(("systemd-run is not installed",)))
    node.launcher.start()
    with pytest.raises(StartFailed, match=r"sandboxed.*systemd-run is not installed"):
        node.start("true")


def test_a_missing_device_of_cuda_is_told_once_and_not_at_each_start(systemd_run, monkeypatch, caplog):
    calls = systemd_run("echo 'nvidia-modprobe: not found' >&2; exit 1")
    monkeypatch.setattr(units_spawner, "uvm_missing", lambda: True)
    spawner = UnitSpawner(Isolation("unit", "system"))
    for job_id in (1, 2):
        spec = LaunchSpec(job_id, 1, ("train",), "/", {}, os.geteuid(), os.getegid(), gpu_minors=(0,))
        with pytest.raises(FateUnknownError):
            spawner.spawn(Path("/nowhere"), 1, spec)
    assert len(calls.read_text().split()) == 4, "it is tried each time, as is the job itself"
    assert [record.action for record in caplog.records] == ["uvm_missing"]

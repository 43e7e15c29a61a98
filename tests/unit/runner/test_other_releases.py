"""Jobs that a shim of the release before runs, and records of a release that does not exist yet."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from dcdaemon.core.errors import Refused
from dcdaemon.runner import spawner
from dcdaemon.runner.launch import Launcher
from dcdaemon.runner.records import Ended, Running, Vanished

SHIMS = Path(__file__).parents[2] / "fixtures/shims"
RELEASES = sorted(path.stem.removeprefix("shim-") for path in SHIMS.glob("shim-*.py"))
GATE = "echo ready; while [ ! -e end ]; do sleep 0.02; done; exit 6"


@pytest.fixture(params=RELEASES)
def before(request, node, tmp_path, monkeypatch):
    """The node, with a launcher whose fork-server and shim are those of the release before."""
    place = tmp_path / "release"
    place.mkdir()
    for part in SHIMS.glob(f"*-{request.param}.py"):
        shutil.copy(part, place / f"{part.stem.removesuffix(f'-{request.param}')}.py")
    with monkeypatch.context() as patch:
        patch.setattr(spawner, "FORK_SERVER", place / "forkserver.py")
        node.launcher.close()
        node.launcher = Launcher(node.state_dir, lambda *key: node.ends.put(key))
        node.launcher.start()
    return node


def upgrade(node):
    """Put the launcher of this release in place of the one before."""
    node.launcher.close()
    node.launcher = Launcher(node.state_dir, lambda *key: node.ends.put(key))
    node.launcher.start()


def test_there_is_a_shim_of_a_release_to_test_with():
    assert RELEASES


def test_a_job_of_the_release_before_is_adopted_and_its_end_is_read(before, tmp_path, wait_until):
    spec = before.start("sh", "-c", GATE, cwd=str(tmp_path))
    wait_until(lambda: before.log(spec))
    upgrade(before)

    outcome = before.launcher.adopt(spec.job_id, 1)
    assert isinstance(outcome, Running)
    assert outcome.record is not None
    assert outcome.record.pid in before.launcher.pids(spec.job_id, 1)
    (tmp_path / "end").touch()
    assert before.end_of(spec).exit_code == 6


def test_a_job_of_the_release_before_can_be_stopped_in_every_way(before, wait_until):
    for signal_name, ended_by in ((None, signal.SIGTERM), ("INT", signal.SIGINT), ("KILL", signal.SIGKILL)):
        spec = before.start("sh", "-c", "echo ready; exec sleep 60")
        wait_until(lambda spec=spec: before.log(spec))
        upgrade(before)
        before.launcher.adopt(spec.job_id, 1)
        before.launcher.stop(spec.job_id, 1, signal_name, 10.0, "preempted")
        record = before.end_of(spec)
        assert (record.cause, record.signal) == ("preempted", ended_by)


def test_what_ended_under_the_release_before_while_no_daemon_was_there_is_read(before, wait_until):
    spec = before.start("sh", "-c", "exit 7")
    wait_until((before.directory(spec) / "exit.json").exists)
    upgrade(before)

    outcome = before.launcher.adopt(spec.job_id, 1)
    assert isinstance(outcome, Ended)
    assert (outcome.record.cause, outcome.record.exit_code) == ("exited", 7)


@pytest.mark.parametrize("name", ["exit.json", "state.json"])
def test_a_record_of_a_newer_release_is_told_clearly_and_nothing_is_done(node, name):
    spec = node.start("true")
    node.end_of(spec)
    directory = node.directory(spec)
    record = (directory / name).read_text()
    (directory / name).write_text(json.dumps(json.loads(record) | {"version": 99}))
    if name == "state.json":
        (directory / "exit.json").unlink()

    before = sorted(directory.iterdir())
    with pytest.raises(Refused, match="newer release of dcdaemon: it has version 99, and this release reads up to 1"):
        node.launcher.adopt(spec.job_id, 1)
    assert sorted(directory.iterdir()) == before
    (directory / name).write_text(record)


def test_keys_that_this_release_does_not_know_are_no_trouble(node):
    spec = node.start("sh", "-c", "exit 3")
    node.end_of(spec)
    path = node.directory(spec) / "exit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weather": "fair"}))

    assert node.outcome(spec).record.exit_code == 3


def test_a_job_that_may_have_run_is_never_taken_for_one_that_has_not(node):
    spec = node.start("true")
    node.end_of(spec)
    for name in ("exit.json", "state.json"):
        (node.directory(spec) / name).unlink()

    # Its specification is gone, and that goes only once the job is let run.
    assert node.outcome(spec) == Vanished(None, rebooted=False)

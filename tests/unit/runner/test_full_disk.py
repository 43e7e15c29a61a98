"""A state directory without space: nothing is started, nothing fails by it, and all goes on once there is some."""

import contextlib
import subprocess
import sys

import pytest

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.runner import shim
from dcdaemon.runner.records import Ended, Unclaimed, read_exit_record


@contextlib.contextmanager
def full(node):
    filler = node.state_dir / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    yield
    filler.unlink()


def test_nothing_is_launched_onto_a_full_disk_and_all_of_it_once_there_is_space(small):
    spec = small.spec("sh", "-c", "exit 3")
    small.launcher.check_space()
    with full(small):
        with pytest.raises(StoreUnavailable, match="has no space: No space left on device"):
            small.launcher.check_space()
        with pytest.raises(StoreUnavailable, match="no job is started"):
            small.launcher.launch(spec)
        assert isinstance(small.outcome(spec), Unclaimed)
    small.launcher.check_space()
    small.launcher.launch(spec)
    assert small.end_of(spec).exit_code == 3


def shim_of(small, spec) -> subprocess.Popen[bytes]:
    """A shim that finds the disk full: its spec was written just before."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", shim.__file__, str(small.directory(spec)), "1"], start_new_session=True
    )


def test_a_shim_that_finds_the_disk_full_waits_and_its_job_runs_once(small, wait_until, tmp_path):
    spec = small.spec("sh", "-c", f"echo ran >> {tmp_path}/ran; exit 3")
    small.launcher.attempt(spec.job_id, 1).prepare(spec)
    with full(small):
        waiting = shim_of(small, spec)
        wait_until((small.directory(spec) / "exit.json.tmp").exists, "the shim on its way")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3 * shim.SPACE_AGAIN_S)
        assert not (tmp_path / "ran").exists()
    assert waiting.wait(30) == 0
    outcome = small.launcher.adopt(spec.job_id, 1)
    assert isinstance(outcome, Ended)
    assert (outcome.record.cause, outcome.record.exit_code) == ("exited", 3)
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_stop_while_it_waits_is_its_end_and_is_written_down_once_there_is_space(small, wait_until, tmp_path):
    spec = small.spec("sh", "-c", f"touch {tmp_path}/ran")
    small.launcher.attempt(spec.job_id, 1).prepare(spec)
    small.launcher.attempt(spec.job_id, 1).request_stop("TERM", 1.0, "cancelled")
    with full(small):
        waiting = shim_of(small, spec)
        wait_until((small.directory(spec) / "exit.json.tmp").exists, "the shim on its way")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2 * shim.SPACE_AGAIN_S)
    assert waiting.wait(30) == 0
    record = read_exit_record(small.directory(spec) / "exit.json")
    assert record is not None
    assert (record.cause, record.exit_code) == ("cancelled", None)
    assert not (tmp_path / "ran").exists()


def test_a_running_job_is_stopped_in_the_ordinary_way_where_the_request_cannot_be_written(small, wait_until):
    spec = small.start("sleep", "1000", grace_s=5.0)
    wait_until((small.directory(spec) / "state.json").exists, "the job")
    with full(small):
        assert small.stop(spec, "KILL")
        record = small.end_of(spec)
    assert (record.cause, record.exit_code, record.signal) == ("stopped", None, 15)

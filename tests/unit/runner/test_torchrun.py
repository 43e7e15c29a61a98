"""What stands between torchrun and the daemon: how long ranks may take to end, signals, and the first failure."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dcdaemon.runner import torchrun


class SignalException(Exception):
    """As torchrun names it."""


@pytest.fixture
def close():
    calls = []
    return torchrun.end_soon(lambda _context, death_sig, timeout: calls.append((death_sig, timeout))), calls


def test_after_a_failure_the_other_ranks_get_no_half_minute(close):
    closing, calls = close
    closing(None)
    closing(None, signal.SIGTERM, timeout=30)
    assert calls == [(None, torchrun.END_WITHIN_S), (signal.SIGTERM, torchrun.END_WITHIN_S)]


def test_at_a_stop_the_ranks_get_the_grace_of_the_job(close, monkeypatch):
    closing, calls = close
    monkeypatch.setenv("DCD_GRACE_S", "600")

    def stop():
        raise SignalException

    try:
        stop()
    except SignalException:
        closing(None, signal.SIGTERM, 30)
    assert calls == [(signal.SIGTERM, 600.0)]


@pytest.mark.parametrize(
    ("exitcode", "code", "values"),
    [(3, 3, {"failed_rank": 1, "failed_exit_code": 3}), (-9, 137, {"failed_rank": 1, "failed_signal": 9})],
)
def test_the_first_failure_is_reported_and_becomes_the_exit_code(tmp_path, monkeypatch, exitcode, code, values):
    path = tmp_path / "report.jsonl"
    path.write_text('{"t": 1.0, "step": 1, "values": {}}\n')
    monkeypatch.setenv("DCD_REPORT_PATH", str(path))
    assert torchrun.tell_failure(1, SimpleNamespace(exitcode=exitcode)) == code
    assert json.loads(path.read_text().splitlines()[-1])["values"] == values


def test_a_rank_that_ended_because_it_was_asked_to_is_no_failure_to_report(tmp_path, monkeypatch):
    path, deadline = tmp_path / "report.jsonl", tmp_path / "deadline"
    deadline.touch()
    monkeypatch.setenv("DCD_REPORT_PATH", str(path))
    monkeypatch.setenv("DCD_DEADLINE_PATH", str(deadline))
    assert torchrun.tell_failure(0, SimpleNamespace(exitcode=143)) == 143
    assert not path.exists()


def test_signals_go_to_ranks_and_to_nobody_else():
    waits = "import signal, sys; print('ready', flush=True); signal.pause()"
    command = [sys.executable, "-I", "-S", "-c", waits]
    rank, helper = (
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for env in ({"LOCAL_RANK": "0"}, {})
    )
    with rank, helper:
        assert [process.stdout.readline() for process in (rank, helper)] == ["ready\n", "ready\n"]
        torchrun.signal_ranks(signal.SIGUSR1)
        assert rank.wait(10) == -signal.SIGUSR1
        assert helper.poll() is None
        helper.kill()


def test_without_pytorch_it_says_what_to_do(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-I", "-S", torchrun.__file__, "train.py"], capture_output=True, text=True, check=False,
        cwd=tmp_path, env={**os.environ},
    )  # fmt: skip
    assert ended.returncode == torchrun.NO_PYTORCH
    assert "needs PyTorch" in ended.stderr
    assert "hint: activate its environment" in ended.stderr

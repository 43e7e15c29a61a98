"""The workloads as a job runs them: real processes, their output, reports, signals and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dcdaemon.workloads import sunspots_lstm, training
from dcdaemon.workloads.options import Options

REPOSITORY = Path(__file__).parents[3]
DEADLINE_S = 60


def start(name: str, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"dcdaemon.workloads.{name}", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DCD_REPORT_PATH": str(cwd / "report.jsonl")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(name: str, *arguments: str, cwd: Path) -> tuple[int, str, str]:
    with start(name, *arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def reports(cwd: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cwd / "report.jsonl").read_text().splitlines()]


def lines_until(process: subprocess.Popen[str], beginning: str) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if line.startswith(beginning):
            return
    pytest.fail(f"ended with {process.wait()} before {beginning!r}")


def test_a_training_shows_reports_and_sums_up_its_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("DCD_REPORT_PATH", str(tmp_path / "report.jsonl"))
    options = Options("sunspots_lstm", 3, 9, seed=0, threads=1, checkpoint=None, keep_checkpoint=False)
    task = sunspots_lstm.build(options, training.prepare(options))
    with pytest.raises(SystemExit) as exited:
        training.run(task, options, training.StopRequest())
    out, err = capsys.readouterr()
    assert (exited.value.code, err) == (0, "")
    first, *epochs, last = out.splitlines()
    assert first.startswith("sunspots_lstm on ")
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    kind, *pairs = last.split()
    result = dict(pair.split("=") for pair in pairs)
    assert kind == "result"
    assert result["epochs"] == "3"
    assert result["stopped"] == "at_end"
    assert [report["step"] for report in reports(tmp_path)] == [1, 2, 3, 3]
    assert reports(tmp_path)[-1]["values"]["rmse"] == pytest.approx(float(result["rmse"]), rel=1e-3)


def test_sigterm_leaves_a_checkpoint_to_resume_from(tmp_path: Path):
    arguments = ["--epochs", "100000", "--patience", "100000", "--checkpoint", "run.pt"]
    for beginning in ("epoch 3/", "resumed after epoch "):
        with start("sunspots_lstm", *arguments, cwd=tmp_path) as process:
            seen = list(lines_until(process, beginning))
            process.send_signal(signal.SIGTERM)
            sent_at = time.monotonic()
            _, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 143
        assert err == "stopped by SIGTERM; resume with --checkpoint run.pt\n"
        assert time.monotonic() - sent_at < 10
    assert int(seen[-1].split()[3]) >= 3
    saved = torch.load(tmp_path / "run.pt", weights_only=True)
    assert saved["progress"]["epoch"] >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.jsonl", "run.pt"]


def test_a_bad_checkpoint_ends_in_an_error_and_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "run.pt"
    path.write_text("not a checkpoint")
    options = Options("sunspots_lstm", 3, 9, seed=0, threads=1, checkpoint=path, keep_checkpoint=True)
    task = sunspots_lstm.build(options, training.prepare(options))
    with pytest.raises(SystemExit) as exited:
        training.run(task, options, training.StopRequest())
    assert exited.value.code == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: cannot read checkpoint {path}")
    assert hint.startswith("hint: ")


def test_the_crasher_trains_and_then_dies_with_a_traceback(tmp_path: Path):
    code, out, err = run("crasher", cwd=tmp_path)
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()] == [["epoch", "1"], ["epoch", "2"]]
    assert err.startswith("Traceback (most recent call last):")
    assert err.splitlines()[-1].startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    first, second = reports(tmp_path)
    assert second["values"]["loss"] < first["values"]["loss"] < 1.4, "guessing among four costs ln 4"


def test_the_idle_holder_uses_next_to_no_time(tmp_path: Path):
    code, out, err = run("idle_holder", "--seconds", "0.2", "--memory-mib", "16", cwd=tmp_path)
    assert (code, err) == (0, "")
    held = 16 if torch.cuda.is_available() else 0
    assert out.splitlines()[-1] == f"result held_mib={held} seconds=0.2"
    assert list(tmp_path.iterdir()) == []

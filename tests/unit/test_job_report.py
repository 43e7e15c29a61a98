"""What a job reports reaches its file whole, and never ends a training."""

import json
import math
import os
import subprocess
import sys
import time
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcdaemon import job

NAMES = st.text(min_size=1, max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
def report_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "report.jsonl"
    monkeypatch.setenv("DCD_REPORT_PATH", str(path))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        cwd=Path(job.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_report_is_one_line_with_time_step_and_values(report_path: Path):
    job.report(step=3, loss=0.25, phase="warm-up")
    job.report(accuracy=1)
    first, second = lines(report_path)
    assert first["step"] == 3
    assert first["values"] == {"loss": 0.25, "phase": "warm-up"}
    assert 0 <= second["t"] - first["t"] < 60
    assert second["step"] is None
    assert second["values"] == {"accuracy": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(values=st.dictionaries(NAMES.filter(lambda name: name != "step"), NUMBERS | st.text(), max_size=5))
def test_whatever_is_reported_is_read_back_equal(report_path: Path, values: dict[str, Any]):
    job.report(**values)
    text = report_path.read_bytes()
    assert text.endswith(b"\n")
    assert json.loads(text.split(b"\n")[-2])["values"] == values


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_stored_as_null(report_path: Path, value: float):
    job.report(step=1, loss=value)
    assert lines(report_path)[0]["values"] == {"loss": None}


def test_subclasses_become_plain_values(report_path: Path):
    class Phase(IntEnum):
        WARM_UP = 7

    job.report(converged=True, phase=Phase.WARM_UP)
    assert report_path.read_text().endswith('"values": {"converged": 1, "phase": 7}}\n')


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("value", [None, [1.0], b"x", 1j])
def test_a_value_of_another_type_is_refused_at_once(
    report_path: Path, monkeypatch: pytest.MonkeyPatch, *, value: Any, inside: bool
):
    if not inside:
        monkeypatch.delenv("DCD_REPORT_PATH")
    with pytest.raises(TypeError, match=r"loss must be an int, a float or a str, not .*loss\.item\(\)"):
        job.report(loss=value)
    assert not report_path.exists()


@pytest.mark.parametrize("step", [1.0, "1"])
def test_a_step_of_another_type_is_refused_at_once(report_path: Path, step: Any):
    with pytest.raises(TypeError, match="step must be an int"):
        job.report(step=step)
    assert not report_path.exists()


def test_an_integer_of_more_than_64_bits_is_refused(report_path: Path):
    with pytest.raises(OverflowError, match="tokens needs more than 64 bits"):
        job.report(tokens=2**63)
    with pytest.raises(OverflowError, match="step needs more than 64 bits"):
        job.report(step=-(2**63) - 1)
    assert not report_path.exists()


def test_outside_a_job_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DCD_REPORT_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    job.report(step=1, loss=0.5)
    assert list(tmp_path.iterdir()) == []


def test_processes_and_threads_that_report_at_once_tear_no_line(report_path: Path):
    code = """
import os, threading
from dcdaemon.job import report

def work(name):
    for step in range(100):
        report(step=step, worker=name, padding="x" * (step * 50))

children = []
for process in range(8):
    pid = os.fork()
    if pid == 0:
        threads = [threading.Thread(target=work, args=(f"{process}.{thread}",)) for thread in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        os._exit(0)
    children.append(pid)
raise SystemExit(max(os.waitpid(pid, 0)[1] for pid in children))
"""
    done = run_python(code, DCD_REPORT_PATH=str(report_path))
    assert done.returncode == 0, done.stderr
    seen = [(line["values"]["worker"], line["step"]) for line in lines(report_path)]
    assert len(seen) == 8 * 200
    for worker in {worker for worker, _ in seen}:
        assert [step for name, step in seen if name == worker] == list(range(100))


@pytest.mark.parametrize("path", ["/dev/full", "/nowhere/report.jsonl"])
def test_a_report_that_cannot_be_written_warns_once_and_goes_on(path: str):
    code = "from dcdaemon.job import report\nfor step in range(3): report(step=step, loss=1.0)\nprint('trained')"
    done = run_python(code, DCD_REPORT_PATH=path)
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr.count("report dropped") == 1
    assert path in done.stderr
    assert "hint:" in done.stderr


def test_a_disk_that_fills_up_within_a_line_warns(report_path: Path):
    code = """
import resource
from dcdaemon.job import report
report(step=1, loss=1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))
report(step=2, text="x" * 500)
print("trained")
"""
    done = run_python(code, DCD_REPORT_PATH=str(report_path))
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert "cut short" in done.stderr
    assert json.loads(report_path.read_text().splitlines()[0])["step"] == 1


def test_a_line_over_the_limit_is_dropped_and_the_next_one_kept(report_path: Path):
    code = "from dcdaemon.job import report\nreport(text='x' * 70_000)\nreport(step=2)"
    done = run_python(code, DCD_REPORT_PATH=str(report_path))
    assert done.returncode == 0
    assert "at most 65536" in done.stderr
    assert [line["step"] for line in lines(report_path)] == [2]


def test_a_closed_stderr_does_not_end_the_run():
    code = (
        "import os, sys\nfrom dcdaemon.job import report\nsys.stderr.close()\n"
        "report(step=1)\nsys.stderr = None\nreport(step=2)\nprint('trained')"
    )
    done = run_python(code, DCD_REPORT_PATH="/dev/full")
    assert (done.returncode, done.stdout) == (0, "trained\n")


def test_importing_it_costs_a_job_next_to_nothing():
    code = "import sys; from dcdaemon import job; print(*sorted(sys.modules))"
    loaded = set(run_python(code).stdout.split())
    assert "dcdaemon.job" in loaded
    assert not loaded & {"torch", "numpy", "dataclasses", "typing_extensions", "asyncio", "logging", "click"}
    assert {name for name in loaded if name.startswith("dcdaemon")} == {"dcdaemon", "dcdaemon.job"}


def test_a_job_knows_its_id_and_its_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DCD_JOB_ID", "42")
    monkeypatch.setenv("DCD_GPUS", "3,11")
    assert job.job_id() == 42
    assert job.gpus() == [3, 11]


@pytest.mark.parametrize("text", [None, "", "not-a-number"])
def test_outside_a_job_there_is_neither(monkeypatch: pytest.MonkeyPatch, text: str | None):
    for name in ("DCD_JOB_ID", "DCD_GPUS"):
        monkeypatch.delenv(name, raising=False)
        if text is not None:
            monkeypatch.setenv(name, text)
    assert job.job_id() is None
    assert job.gpus() == []


def test_a_checkpoint_is_told_with_its_time_and_step(report_path: Path):
    before = time.time()
    job.checkpoint_saved(7)
    [line] = lines(report_path)
    assert line["step"] == 7
    assert before <= line["values"]["checkpoint_at"] <= time.time()

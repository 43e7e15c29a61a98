"""What a job asks about its end: cheap, in threads and forked processes, and harmless outside a job."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dcdaemon import job


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's directory, in which nobody has asked anything yet."""
    monkeypatch.setattr(job, "_notice", job._Notice())
    for name, file in (("DEADLINE", "deadline"), ("CHECKPOINT", "checkpoint"), ("REPORT", "report.jsonl")):
        monkeypatch.setenv(f"DCD_{name}_PATH", str(tmp_path / file))
    (tmp_path / "checkpoint").touch()
    return tmp_path


def ask(place: Path, deadline: float = 2e9) -> None:
    (place / "deadline").write_text(f"{deadline:.3f}\n")
    job._notice.look_again_s = 0.0


def test_nobody_asks_at_first(place):
    assert job.deadline() is None
    assert not job.should_checkpoint()


def test_a_deadline_is_noticed_and_may_be_brought_forward(place):
    job.deadline()
    ask(place)
    assert job.should_checkpoint()
    assert job.deadline() == 2e9
    ask(place, 1.9e9)
    assert job.deadline() == 1.9e9


def test_the_file_is_looked_for_once_a_second_at_most(place):
    assert not job.should_checkpoint()
    (place / "deadline").write_text("2e9\n")
    assert not job.should_checkpoint()
    job._notice.look_again_s -= job.LOOK_EVERY_S
    assert job.should_checkpoint()


def test_to_ask_is_to_take_part_and_is_told_once(place):
    for _ in range(3):
        job.should_checkpoint()
    job._notice.announced = False  # as in another process of the same job
    job.should_checkpoint()
    assert (place / "checkpoint").read_bytes() == b"ready\n"


def test_a_saved_checkpoint_is_an_answer_and_a_report(place):
    job.checkpoint_saved(7)
    assert (place / "checkpoint").read_bytes() == b"saved\n"
    assert '"checkpoint_at"' in (place / "report.jsonl").read_text()


@pytest.mark.parametrize("text", ["", "soon", "\0"])
def test_a_broken_deadline_is_none(place, text):
    ask(place)
    (place / "deadline").write_text(text)
    assert job.deadline() is None


def test_a_deadline_once_noticed_is_not_forgotten_when_its_file_goes(place):
    ask(place)
    assert job.should_checkpoint()
    (place / "deadline").unlink()
    job._notice.look_again_s = 0.0
    assert job.should_checkpoint()


def test_threads_and_forked_processes_notice_it_too(place):
    job.should_checkpoint()
    ask(place)
    noticed: list[bool] = []
    thread = threading.Thread(target=lambda: noticed.append(job.should_checkpoint()))
    thread.start()
    thread.join()
    job._notice.look_again_s, job._notice.deadline = 0.0, None
    pid = os.fork()
    if pid == 0:
        os._exit(0 if job.should_checkpoint() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert noticed == [True]


def test_outside_a_job_nobody_asks(monkeypatch):
    for name in ("DEADLINE", "CHECKPOINT", "REPORT"):
        monkeypatch.delenv(f"DCD_{name}_PATH", raising=False)
    assert job.deadline() is None
    assert not job.should_checkpoint()
    job.checkpoint_saved(1)


def test_an_answer_that_cannot_be_written_ends_no_training(place):
    program = "from dcdaemon import job; job.should_checkpoint(); job.checkpoint_saved(1); print('goes on')"
    gone = {name: str(place / "missing/file") for name in ("DCD_CHECKPOINT_PATH", "DCD_REPORT_PATH")}
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **gone}, cwd=Path(job.__file__).parents[1],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout == "goes on\n"
    assert ended.stderr.count("cannot write") == 1

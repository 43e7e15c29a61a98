"""How a job is brought to its end: asked, given time to save, told, killed; docs/checkpoints.md is the contract."""

import importlib
import signal
import sys
import time
from pathlib import Path

import pytest

import dcdaemon

PACKAGE_PARENT = str(Path(dcdaemon.__file__).parents[1])
LONG_S = 60.0
#: Takes part by polling; tells in its log what it sees, saves when `save` is there, and goes on until it is ended.
POLLS = f"""
import sys, time
sys.path.insert(0, {PACKAGE_PARENT!r})
from pathlib import Path
from dcdaemon import job
job.LOOK_EVERY_S = 0.01
assert job.deadline() is None and not job.should_checkpoint()
print('ready', flush=True)
while not job.should_checkpoint():
    time.sleep(0.005)
print('asked', job.deadline() - time.time(), flush=True)
while not Path('save').exists():
    time.sleep(0.005)
job.checkpoint_saved(7)
print('saved', flush=True)
if Path('leave').exists():
    sys.exit(9)
time.sleep(60)
"""
TELLS_SIGNALS = "trap 'echo USR1' USR1; trap 'echo TERM; exit 4' TERM; echo ready; while :; do sleep 0.01; done"


def words(node, spec):
    """Return what the job said, without the shell's word on the `sleep` that was ended with it."""
    return [line for line in node.log(spec).splitlines() if line != "Terminated"]


def poll(node, tmp_path, wait_until, **fields):
    spec = node.python(POLLS, cwd=str(tmp_path), **fields)
    wait_until(lambda: node.log(spec), "the job's first word")
    return spec


def ordinary_stop(node, spec, cause="cancelled", grace_s=LONG_S):
    return node.launcher.stop(spec.job_id, spec.attempt, None, grace_s, cause)


def asked_s(node, spec):
    [line] = [line for line in node.log(spec).splitlines() if line.startswith("asked")]
    return float(line.split()[1])


def test_a_job_that_asks_for_its_deadline_is_left_alone_until_it_has_saved(node, tmp_path, wait_until):
    spec = poll(node, tmp_path, wait_until)
    (tmp_path / "leave").touch()
    ordinary_stop(node, spec)
    wait_until(lambda: "asked" in node.log(spec), "the job's notice of its deadline")
    (tmp_path / "save").touch()

    record = node.end_of(spec)
    # By itself, before the TERM that follows the answer.
    assert (record.cause, record.exit_code) == ("cancelled", 9)
    assert LONG_S - 10 < asked_s(node, spec) <= LONG_S - 5


def test_a_job_that_has_saved_is_told_to_end_at_once(node, tmp_path, wait_until):
    spec = poll(node, tmp_path, wait_until)
    begun = time.monotonic()
    ordinary_stop(node, spec, "preempted")
    (tmp_path / "save").touch()

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("preempted", signal.SIGTERM)
    assert "saved" in node.log(spec)
    assert time.monotonic() - begun < LONG_S / 2


def test_a_job_that_never_answers_gets_its_whole_time_then_term_then_kill(node, tmp_path, wait_until):
    deaf = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('TERM', flush=True))\n"
    spec = node.python(deaf + POLLS, cwd=str(tmp_path))
    wait_until(lambda: node.log(spec))
    begun = time.monotonic()
    ordinary_stop(node, spec, grace_s=0.8)

    record = node.end_of(spec)
    assert record.signal == signal.SIGKILL
    assert time.monotonic() - begun >= 0.8
    assert node.log(spec).splitlines()[-1] == "TERM"
    # A quarter of so short a grace is left for TERM.
    assert asked_s(node, spec) <= 0.6


def test_the_signal_that_was_asked_for_reaches_the_main_process_alone(node, tmp_path, wait_until):
    child = "trap 'echo child USR1' USR1; while :; do sleep 0.01; done"
    spec = node.start("sh", "-c", f"({child}) & {TELLS_SIGNALS}", checkpoint_signal="USR1")
    wait_until(lambda: node.log(spec))
    ordinary_stop(node, spec, grace_s=1.0)

    record = node.end_of(spec)
    assert record.exit_code == 4
    assert words(node, spec) == ["ready", "USR1", "TERM"]


def test_before_the_time_limit_a_job_is_asked_so_long_ahead_as_it_wished(node, wait_until):
    ended = "trap 'echo TERM; exit 4' TERM; echo ready; while :; do sleep 0.01; done"
    spec = node.start(
        "sh", "-c", f"trap 'cat \"$DCD_DEADLINE_PATH\"' USR1; {ended}", checkpoint_signal="USR1", checkpoint_s=0.5,
        limit_s=1.0,
    )  # fmt: skip

    record = node.end_of(spec)
    assert (record.cause, record.exit_code) == ("timed_out", 4)
    ready, deadline, term = words(node, spec)
    assert (ready, term) == ("ready", "TERM")
    assert float(deadline) == pytest.approx(record.started_at + 1.0, abs=0.2)
    assert record.run_s >= 1.0


def test_what_a_job_saved_before_its_limit_takes_none_of_its_time(node, tmp_path):
    (tmp_path / "save").touch()
    spec = node.python(POLLS, cwd=str(tmp_path), checkpoint_s=1.0, limit_s=1.8)

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("timed_out", signal.SIGTERM)
    assert record.run_s >= 1.8
    assert "saved" in node.log(spec)


def test_at_a_limit_without_warning_a_job_that_takes_part_saves_within_its_grace(node, tmp_path):
    (tmp_path / "save").touch()
    spec = node.python(POLLS, cwd=str(tmp_path), limit_s=1.0, grace_s=LONG_S)

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("timed_out", signal.SIGTERM)
    assert "saved" in node.log(spec)
    assert record.run_s < LONG_S / 2


def test_a_signal_of_the_operators_choice_is_sent_at_once_to_all(node, tmp_path, wait_until):
    spec = poll(node, tmp_path, wait_until)
    begun = time.monotonic()
    node.stop(spec, name="INT", grace_s=LONG_S)

    assert node.end_of(spec).cause == "cancelled"
    assert time.monotonic() - begun < LONG_S / 2


def test_a_second_stop_brings_the_deadline_forward_and_asks_no_second_time(node, wait_until):
    spec = node.start("sh", "-c", TELLS_SIGNALS, checkpoint_signal="USR1")
    wait_until(lambda: node.log(spec))
    ordinary_stop(node, spec, "preempted", grace_s=3600)
    path = node.directory(spec) / "deadline"
    first = float(wait_until(path.exists) and path.read_text())
    ordinary_stop(node, spec, "cancelled", grace_s=1.0)

    record = node.end_of(spec)
    assert (record.cause, record.exit_code) == ("cancelled", 4)
    assert float(path.read_text()) < first - 3000
    assert words(node, spec) == ["ready", "USR1", "TERM"]


def test_a_plain_job_that_saves_on_term_need_not_use_up_its_grace_when_others_wait(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(dcdaemon.__file__).parent / "runner"))
    shim_ending = importlib.import_module("shim_ending")
    sent = []
    monkeypatch.setattr(shim_ending, "signal_descendants", sent.append)
    (tmp_path / "checkpoint").touch()
    (tmp_path / "stop.json").write_text('{"signal": "TERM", "grace_s": 3600, "cause": "preempted"}')
    ending = shim_ending.Ending({"limit_s": None, "grace_s": 30.0})
    ending.stop(100.0)
    assert sent == [signal.SIGTERM]

    (tmp_path / "checkpoint").write_text("saved\n")
    ending.act(101.0)
    while ending.wake_at < 200.0:
        at = ending.wake_at
        ending.act(at)
        if sent[-1] == signal.SIGKILL:
            break
    assert sent == [signal.SIGTERM, signal.SIGKILL]
    assert at == pytest.approx(101.0 + shim_ending.LEAVE_WITHIN_S)


def test_the_job_can_read_its_deadline_and_not_write_it(node, tmp_path, wait_until):
    spec = poll(node, tmp_path, wait_until)
    ordinary_stop(node, spec)
    path = node.directory(spec) / "deadline"
    wait_until(path.exists)

    assert path.stat().st_mode & 0o777 == 0o644
    assert (node.directory(spec) / "checkpoint").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [b"x" * 70_000, b"\0\xff"])
def test_garbage_in_the_checkpoint_file_is_no_answer(node, tmp_path, wait_until, text):
    write = f"open(os.environ['DCD_CHECKPOINT_PATH'], 'ab').write({text!r})"
    program = f"import os, time; {write}; print('ready', flush=True); time.sleep(60)"
    spec = node.start(sys.executable, "-c", program)
    wait_until(lambda: node.log(spec))
    ordinary_stop(node, spec, "preempted", grace_s=0.4)

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("preempted", signal.SIGTERM)

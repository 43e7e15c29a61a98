"""How the daemon speaks to systemd, to signals and to its log."""

import json
import logging
import os
import signal
import socket
import sys
import threading

import pytest

from dcdaemon.daemon.lifecycle import JsonLines, Stop, TextLines, notify, on_signals, set_up_logging


def test_without_systemd_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False


def test_systemd_gets_all_lines_in_one_message(systemd):
    assert notify("READY=1", "STATUS=läuft") is True
    assert systemd.told() == ["READY=1\nSTATUS=läuft"]


def test_an_abstract_socket_is_spoken_to_as_well(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel chooses a free abstract name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + listener.getsockname()[1:].decode())
        assert notify("WATCHDOG=1") is True
        assert listener.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-listens-here", "x" * 200])
def test_a_socket_where_nobody_listens_hurts_nothing(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify("READY=1") is False


def test_the_first_reason_to_stop_counts():
    stop = Stop()
    assert not stop.asked
    stop.failed("gpus", ValueError("a bug"))
    stop.ask("SIGTERM")
    assert (stop.asked, stop.exit_code, stop.reason) == (True, 1, "gpus failed: a bug")


def test_an_ordered_stop_is_no_failure_whatever_breaks_on_the_way_out():
    stop = Stop()
    stop.ask("SIGTERM")
    stop.failed("gpus", ValueError("a bug"))
    assert (stop.exit_code, stop.reason) == (0, "SIGTERM")


@pytest.fixture
def handlers():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_end_the_daemon_in_order(handlers, number):
    stop = Stop()
    on_signals(stop, lambda: None)
    os.kill(os.getpid(), number)
    assert (stop.asked, stop.exit_code, stop.reason) == (True, 0, number.name)


def test_hup_reads_the_configuration_again_beside_everything_else(handlers):
    stop, reread = Stop(), threading.Event()
    on_signals(stop, reread.set)
    os.kill(os.getpid(), signal.SIGHUP)
    assert reread.wait(10)
    assert not stop.asked


def record(message: str, *arguments: object, level: int = logging.INFO, exc_info=None, **extra: object):
    made = logging.getLogger("t").makeRecord("t", level, "f", 1, message, arguments, exc_info, extra=extra)
    made.created = 1_700_000_000.25
    return made


def test_a_fact_that_is_not_known_is_left_out_of_a_line_and_null_in_json():
    made = record("job changed", job=1, why=None)
    assert TextLines(journal=True).format(made) == "<6>job changed job=1"
    assert json.loads(JsonLines().format(made))["why"] is None


def test_a_line_for_people_has_a_time_a_level_and_the_facts(monkeypatch):
    line = TextLines(journal=False).format(record("job %d started", 42, action="job_started", gpus=[0, 1]))
    assert line[:19].replace(":", "").replace("-", "").replace(" ", "").isdecimal()
    assert line[19:] == " info job 42 started action=job_started gpus=[0, 1]"


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_a_line_for_the_journal_has_a_priority_and_no_time(level, priority):
    assert TextLines(journal=True).format(record("well", level=level, job=1)) == f"<{priority}>well job=1"


def broken(message: str) -> logging.LogRecord:
    """A record with a traceback."""
    try:
        int(message)
    except ValueError:
        return record("job %s\nended", "7", level=logging.ERROR, exc_info=sys.exc_info(), action="job_failed")
    raise AssertionError


def test_every_line_of_a_traceback_has_the_priority_of_its_message():
    text = TextLines(journal=True).format(broken("two\nlines"))
    assert text.startswith("<3>job 7\\nended action=job_failed\n<3>Traceback (most recent call last):\n")
    assert all(line.startswith("<3>") for line in text.splitlines())


def test_a_line_for_machines_is_one_json_object():
    made = broken('a "bug"\nwith lines')
    made.path = JsonLines  # something that JSON has no word for
    line = JsonLines().format(made)
    assert "\n" not in line
    document = json.loads(line)
    assert document.pop("traceback").startswith("Traceback (most recent call last):\n")
    assert document == {
        "at": 1_700_000_000.25,
        "level": "error",
        "message": "job 7\nended",
        "action": "job_failed",
        "path": str(JsonLines),
    }


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_a_job_is_called_cannot_pass_for_a_line_of_the_daemons_own():
    line = TextLines(journal=True).format(record("job changed", why="no\n<0>the node burns\x1b[2J"))
    assert line == "<6>job changed why=no\\n<0>the node burns\\x1b[2J"


@pytest.mark.parametrize(
    ("form", "journal", "kind"), [("json", False, JsonLines), ("text", False, TextLines), ("text", True, TextLines)]
)
def test_the_log_goes_to_stderr_in_the_form_asked_for(root_logger, monkeypatch, capsys, form, journal, kind):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if journal:
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    set_up_logging("warning", form)
    logging.getLogger("x").info("not this")
    logging.getLogger("x").warning("but this")
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert isinstance(root_logger.handlers[0].formatter, kind)
    assert line.startswith("<4>but this" if journal else ('{"at"' if form == "json" else "20"))

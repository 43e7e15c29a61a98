import fcntl
import os
import signal
from pathlib import Path

import pytest

from dcdaemon.core.errors import NotFound, Refused
from dcdaemon.runner import logs
from dcdaemon.runner.reports import CALL_MAX_BYTES, LINE_MAX_BYTES, read_reports


def opened(path):
    return logs.open_log(path, os.geteuid())


def test_what_is_no_plain_file_of_the_user_is_not_read(tmp_path):
    plain, link, pipe = tmp_path / "plain", tmp_path / "link", tmp_path / "pipe"
    plain.write_text("secret")
    link.symlink_to(plain)
    os.mkfifo(pipe)

    for path in (link, pipe, tmp_path):
        with pytest.raises(Refused):
            opened(path)
    with pytest.raises(NotFound):
        opened(tmp_path / "missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_a_log_of_a_third_user_is_not_read(tmp_path):
    path = tmp_path / "output.log"
    path.touch()
    os.chown(path, 54321, 54321)

    with pytest.raises(NotFound, match="no plain file of the job's user"):
        logs.open_log(path, 54320)
    os.close(logs.open_log(path, 54321))


def test_whether_a_strangers_file_is_there_is_not_told(tmp_path):
    (tmp_path / "there").touch()
    told = set()
    for name in ("there", "missing", "there/below", "missing/below"):
        with pytest.raises(NotFound) as caught:
            logs.open_log(tmp_path / name, os.geteuid() + 1)
        told.add(caught.value.message.replace(name, "X"))
    assert len(told) == 1


@pytest.mark.parametrize("name", ["maps", "mem", "pagemap", "clear_refs"])
def test_what_the_kernel_tells_of_a_process_is_no_log(tmp_path, name):
    """Also through a link: the daemon would read it with rights that its user has not."""
    own = Path(f"/proc/{os.getpid()}")
    (tmp_path / "d").symlink_to(own)
    for directory in (own, tmp_path / "d"):
        assert (directory / name).stat().st_uid == os.geteuid()
        with pytest.raises(Refused, match="no plain file"):
            opened(directory / name)


def test_a_file_that_becomes_a_strangers_while_it_is_opened_is_not_read(tmp_path, monkeypatch):
    log, other = tmp_path / "log", tmp_path / "other"
    log.touch()
    other.write_text("secret")
    real_open = os.open

    def swap(path, flags, *rest, **named):
        return real_open(other if str(path).startswith("/proc/self/fd/") else path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(NotFound):
        opened(log)


def test_a_lease_on_a_log_makes_nobody_wait(tmp_path):
    path = tmp_path / "output.log"
    holder = os.open(path, os.O_RDWR | os.O_CREAT)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(Refused, match="in use"):
            opened(path)
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(opened(path))
    finally:
        signal.signal(signal.SIGIO, before)
        os.close(holder)


def test_reports_are_read_line_by_line_and_only_when_whole(tmp_path):
    path = tmp_path / "report.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step"')
    reports, offset = read_reports(tmp_path, 0)
    assert (reports, offset) == ([{"step": 1}], 12)
    assert read_reports(tmp_path, offset) == ([], 12)

    with path.open("ab") as file:
        file.write(b": 2}\n")
    assert read_reports(tmp_path, offset) == ([{"step": 2}], path.stat().st_size)


def test_bad_reports_are_skipped_and_counted(tmp_path, caplog):
    deep = b"[" * 20_000
    lines = [
        b"nonsense",
        b"[1]",
        b"\xff\xfe",
        deep,
        b'{"x": "' + b"y" * LINE_MAX_BYTES + b'"}',
        b'{"step": 3}',
    ]
    (tmp_path / "report.jsonl").write_bytes(b"\n".join(lines) + b"\n")

    reports, offset = read_reports(tmp_path, 0)
    assert reports == [{"step": 3}]
    assert offset == (tmp_path / "report.jsonl").stat().st_size
    assert "5 report lines skipped" in caplog.text


def test_a_line_without_end_does_not_stop_the_reading(tmp_path):
    size = 2 * CALL_MAX_BYTES + 5
    (tmp_path / "report.jsonl").write_bytes(b"x" * size + b'\n{"step": 4}\n')
    found, offset = [], 0
    for _ in range(4):
        reports, offset = read_reports(tmp_path, offset)
        found += reports

    assert found == [{"step": 4}]


def test_a_report_of_a_job_that_never_reported_is_empty(tmp_path):
    assert read_reports(tmp_path, 0) == ([], 0)
    (tmp_path / "report.jsonl").symlink_to("/etc/passwd")
    assert read_reports(tmp_path, 0) == ([], 0)

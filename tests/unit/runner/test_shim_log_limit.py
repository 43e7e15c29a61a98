"""A log that grows without end: head and tail stay, the disk gets the middle back, and the job notices nothing."""

import errno
import importlib
import os
from pathlib import Path

import pytest

import dcdaemon.runner

MIB = 2**20


@pytest.fixture
def shim_log(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(dcdaemon.runner.__file__).parent))
    return importlib.import_module("shim_log")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "output.log"


@pytest.fixture
def log(shim_log, path):
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    yield shim_log.JobLog(descriptor, 4 * MIB)
    os.close(descriptor)


def write(path, mib):
    with path.open("ab") as file:
        for _ in range(mib):
            file.write(b"line\n" * (MIB // 5) + b"\n")


def on_disk(path):
    return path.stat().st_blocks * 512


def test_a_log_within_its_limit_is_left_alone(log, path):
    write(path, 3)
    log.look(0.0, last=True)
    assert b"\0" not in path.read_bytes()


def test_a_log_beyond_its_limit_keeps_head_and_tail(log, path):
    write(path, 20)
    before = path.read_bytes()
    log.look(0.0, last=True)

    after = path.read_bytes()
    assert len(after) == len(before)
    assert after[:MIB] == before[:MIB]
    assert after[-2 * MIB :] == before[-2 * MIB :]
    assert on_disk(path) <= 3 * MIB + 8192


def test_a_log_that_goes_on_growing_stays_bounded(log, path):
    at = log.look_at
    for _ in range(10):
        write(path, 3)
        log.look(at)
        at = log.look_at
        assert on_disk(path) <= 7 * MIB
    assert path.stat().st_size > 20 * MIB


def test_a_fast_log_is_looked_at_more_often(log, path, shim_log):
    at = log.look_at
    log.look(at)
    assert log.look_at == at + shim_log.LOOK_EVERY_S
    write(path, 2)
    log.look(at + shim_log.LOOK_EVERY_S)
    assert log.look_at == at + shim_log.LOOK_EVERY_S + shim_log.LOOK_OFTEN_S


def test_without_a_limit_nobody_looks(shim_log):
    assert shim_log.JobLog(-1, None).look_at is None
    shim_log.JobLog(-1, None).look(0.0, last=True)


def test_a_file_system_without_holes_is_told_of_once_and_left(log, path, shim_log, monkeypatch):
    class NoHoles:
        def fallocate(self, *_arguments):
            shim_log.ctypes.set_errno(errno.EOPNOTSUPP)
            return -1

    monkeypatch.setattr(shim_log, "LIBC", NoHoles())
    write(path, 5)
    log.look(0.0, last=True)
    log.look(1e9)

    assert log.look_at is None
    assert (
        path.read_bytes().count(b"dcd: note: cannot keep this log within 4194304 bytes: Operation not supported") == 1
    )


def test_a_job_that_floods_its_log_ends_with_a_bounded_one(node):
    spec = node.start(
        "sh", "-c", "echo begun; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo done", log_limit_bytes=MIB
    )
    node.end_of(spec)

    path = node.directory(spec) / "output.log"
    assert path.stat().st_size > 30_000_000
    assert on_disk(path) <= MIB
    text = path.read_bytes()
    assert text.startswith(b"begun\n")
    assert text.endswith(b"\ndone\n")


def test_a_job_that_deletes_its_log_goes_on_and_ends(node):
    spec = node.start(
        "sh", "-c", 'rm "${DCD_REPORT_PATH%/*}/output.log"; head -c 3000000 /dev/zero; exit 3', log_limit_bytes=MIB
    )  # fmt: skip
    assert node.end_of(spec).exit_code == 3


@pytest.fixture
def told(shim_log, path):
    return shim_log.TellingFile(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 4 * MIB)


@pytest.mark.parametrize("mode", [0, 1], ids=["grown", "reserved behind its end"])
def test_what_a_job_tells_takes_no_more_of_the_disk_than_its_limit(told, path, shim_log, mode):
    write(path, 1)
    with path.open("r+b") as file:
        if shim_log.LIBC.fallocate(file.fileno(), mode, 0, 40 * MIB) != 0:
            pytest.skip("this file system reserves nothing")
    size = path.stat().st_size
    told.look(told.look_at)
    assert (path.stat().st_size, on_disk(path) <= 4 * MIB) == (size, True)
    told.take()


def test_what_a_job_tells_is_left_alone_within_its_limit(told, path):
    write(path, 3)
    before = path.read_bytes()
    told.look(told.look_at)
    assert path.read_bytes() == before
    told.take()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root takes files from others")
def test_the_files_of_a_job_that_has_ended_are_no_longer_its_users(node):
    script = 'fallocate -l 8M "$DCD_CHECKPOINT_PATH"; echo "{}" >> "$DCD_REPORT_PATH"'
    for path in [node.state_dir, *node.state_dir.parents]:
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
            path.chmod(0o711)
    spec = node.start("sh", "-c", script, uid=65534, gid=65534)
    assert node.end_of(spec).cause == "exited"
    for name in ("checkpoint", "report.jsonl"):
        path = node.directory(spec) / name
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o600)
        assert on_disk(path) <= MIB
    assert (node.directory(spec) / "report.jsonl").read_text() == "{}\n"


def test_a_job_that_swaps_its_log_for_a_link_has_nothing_else_bounded(node, tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"p" * 3 * MIB)
    swap = f'cd "${{DCD_REPORT_PATH%/*}}"; rm output.log; ln -s {target} output.log; exit 3'
    spec = node.start("sh", "-c", swap, log_limit_bytes=MIB)

    assert node.end_of(spec).exit_code == 3
    assert target.read_bytes() == b"p" * 3 * MIB

"""A log of which the middle was given back to the disk: what is read of it, and what is said of the rest."""

import ctypes
import os
import tempfile

import pytest

from dcdaemon.api.log_file import LogFile
from dcdaemon.core.errors import Refused

LINE = b"x" * 63 + b"\n"
LINES = 16 * 1024  # a mebibyte
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def punch(descriptor, start, end):
    if LIBC.fallocate(descriptor, 3, start, end - start) != 0:
        pytest.skip("this file system punches no holes")


def everything(log):
    blocks = []
    while block := log.read():
        blocks.append(block)
    return b"".join(blocks)


@pytest.fixture
def file():
    with tempfile.TemporaryFile() as file:
        file.write(LINE * LINES)
        file.flush()
        yield file


def opened(file):
    return LogFile(os.dup(file.fileno()))


def test_a_whole_log_is_read_as_it_is(file):
    assert everything(opened(file)) == LINE * LINES


def test_the_hole_is_one_line_between_head_and_tail(file):
    punch(file.fileno(), 128 * 1024, 896 * 1024)

    text = everything(opened(file))
    head, said, tail = text.partition(b"[... 768 KiB left out ...]\n")
    assert said
    assert head == LINE * (len(head) // 64)
    assert len(head) == 128 * 1024
    # The line on which the tail begins may have been cut: it is left out with the rest.
    assert tail == LINE * (len(tail) // 64)
    assert 0 < 128 * 1024 - len(tail) <= 64


def test_a_head_that_ends_within_a_line_gets_an_end(file):
    file.seek(0)
    file.write(b"y" * 64 * LINES)
    file.flush()
    punch(file.fileno(), 4096, 512 * 1024)
    text = everything(opened(file))
    assert text.startswith(b"y" * 4096 + b"\n[... 508 KiB left out ...]\ny")
    assert b"\0" not in text


def test_the_last_lines_are_those_of_the_tail(file):
    punch(file.fileno(), 4096, 960 * 1024)
    log = opened(file)
    log.go_back(3)
    assert everything(log) == LINE * 3


def test_a_follower_goes_on_behind_the_hole_that_was_punched_before_it(file):
    log = opened(file)
    first = log.read()
    punch(file.fileno(), 4096, 960 * 1024)
    rest = everything(log)
    file.seek(0, os.SEEK_END)
    file.write(b"more\n")
    file.flush()

    assert first == LINE * (len(first) // 64)
    assert rest.startswith(b"[... ")
    assert b"\0" not in rest
    assert everything(log) == b"more\n"


def test_small_holes_of_the_programs_own_making_are_read_as_they_are():
    with tempfile.TemporaryFile() as file:
        file.write(b"a\n")
        file.seek(8192)
        file.write(b"b\n")
        file.flush()
        assert everything(opened(file)) == b"a\n" + bytes(8190) + b"b\n"


def test_a_log_that_ends_in_a_hole_ends():
    with tempfile.TemporaryFile() as file:
        file.write(b"a\n")
        file.flush()
        file.truncate(2**40)
        assert everything(opened(file)).startswith(b"a\n")


def test_a_file_that_cannot_be_read_ends_with_one_line_that_says_so():
    log = LogFile(os.open("/proc/self/mem", os.O_RDONLY))
    assert everything(log) == b"[... cannot read the log further: Input/output error ...]\n"


def test_the_end_of_what_cannot_be_read_is_refused():
    log = LogFile(os.open("/", os.O_RDONLY))
    with pytest.raises(Refused, match="cannot read the log: Is a directory"):
        log.go_back(3)

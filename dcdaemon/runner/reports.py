"""Reading what a job reports, line by line; the job writes this file, so nothing in it is trusted."""

import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

LINE_MAX_BYTES = 64 * 1024
CALL_MAX_BYTES = 256 * 1024

log = logging.getLogger(__name__)


def read_reports(directory: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return the JSON objects in complete lines behind a byte offset, and the offset to go on from.

    A call reads at most 256 KiB. Lines that are too long or no JSON object are skipped and counted in the log.
    """
    chunk = _read(directory / "report.jsonl", offset)
    complete = chunk.rfind(b"\n") + 1
    if complete == 0:
        # A line longer than any allowed will never be whole in our eyes: step over what there is of it.
        return [], offset + (len(chunk) if len(chunk) > LINE_MAX_BYTES else 0)
    parsed = [_parse(line) for line in chunk[:complete].split(b"\n") if line]
    reports = [report for report in parsed if report is not None]
    skipped = len(parsed) - len(reports)
    if skipped:
        log.warning("%d report lines skipped in %s", skipped, directory, extra={"action": "report_lines_skipped"})
    return reports, offset + complete


def report_size(directory: Path) -> int:
    """Return how many bytes a job has reported so far."""
    try:
        status = (directory / "report.jsonl").lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _read(path: Path, offset: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, CALL_MAX_BYTES, offset) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _parse(line: bytes) -> dict[str, Any] | None:
    if len(line) > LINE_MAX_BYTES:
        return None
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None

"""dcd-sensors: reads as root what the hardened daemon may not, and leaves it in a file that everyone may read.

Started by dcdaemon-sensors.timer; needs nothing but Python and smartctl, and writes nothing but its one file.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

OUT = Path("/run/dcdaemon-sensors/drives.json")
_TIMEOUT_S = 20.0
#: What a killed smartctl gets to be gone; one that waits for a dead drive cannot be killed and is left behind.
_KILLED_WITHIN_S = 1.0
#: Of smartctl's report, which may be many times as long.
_KEPT = (
    "device", "model_name", "scsi_model_name", "serial_number", "smart_support", "smart_status", "temperature",
    "power_on_time", "nvme_smart_health_information_log", "ata_smart_attributes", "scsi_error_counter_log",
    "scsi_grown_defect_list", "scsi_percentage_used_endurance_indicator", "endurance_used", "logical_block_size",
)  # fmt: skip

Document = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read all drives, write the file, and return 0; 1 when it cannot be written."""
    parser = argparse.ArgumentParser(prog="dcd-sensors", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT, help="where to write what was read (default: %(default)s)")
    parser.add_argument("--smartctl", default="smartctl", help="the program to read drives with")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, metavar="SECONDS", help="for one drive")
    options = parser.parse_args(arguments)
    document = read_drives(options.smartctl, options.timeout)
    try:
        write(options.out, document)
    except OSError as error:
        print(f"error: {options.out} cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201  a program
        return 1
    return 0


def read_drives(smartctl: str, timeout_s: float) -> Document:
    """Return what every drive says of itself; `problem` tells why there is none."""
    found, opened = _run([smartctl, "--scan-open", "-j"], timeout_s), True
    if found == _no_answer(timeout_s):
        # A dead drive holds up the look at all of them: take their names alone, and find out the type one by one.
        found, opened = _run([smartctl, "--scan", "-j"], timeout_s), False
    problem = found if isinstance(found, str) else _failure(found)
    devices = _devices(found.get("devices")) if isinstance(found, dict) else ()
    drives = [_drive(smartctl, (name, kind if opened else "auto"), timeout_s) for name, kind in devices]
    return {"schema": 1, "at": time.time(), "problem": problem, "drives": drives}


def write(path: Path, document: Document) -> None:
    """Replace the file at once, so that nobody ever reads half of it."""
    fresh = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        json.dump(document, file, separators=(",", ":"))
    fresh.replace(path)


def _devices(found: object) -> Iterator[tuple[str, str]]:
    for device in found if isinstance(found, list) else []:
        if isinstance(device, dict) and isinstance(device.get("name"), str) and isinstance(device.get("type"), str):
            yield device["name"], device["type"]


def _drive(smartctl: str, device: tuple[str, str], timeout_s: float) -> Document:
    name, kind = device
    # A sleeping disk is not woken: spinning up costs it more wear than the reading is worth.
    found = _run([smartctl, "-a", "-j", "-n", "standby", "-d", kind, name], timeout_s)
    drive: Document = {"at": time.time(), "name": name, "type": kind, "error": None, "exit_status": None, "report": {}}
    if isinstance(found, str):
        return drive | {"error": found}
    report = {key: found[key] for key in _KEPT if key in found}
    entries = _within(found, "ata_smart_error_log", "summary", "count")
    return drive | {
        "error": _failure(found),
        "exit_status": _within(found, "smartctl", "exit_status"),
        "report": report if entries is None else report | {"ata_error_log_entries": entries},
    }


def _failure(found: Document) -> str | None:
    """Return smartctl's first word on why it could not do its work."""
    messages = _within(found, "smartctl", "messages")
    texts = [_within(message, "string") for message in messages] if isinstance(messages, list) else []
    told = next((text for text in texts if isinstance(text, str)), None)
    status = _within(found, "smartctl", "exit_status")
    # Bits 0 and 1: it did not understand, or could not open the drive, or the drive sleeps.
    return told or "smartctl failed" if isinstance(status, int) and status & 3 else None


def _within(document: object, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _run(command: list[str], timeout_s: float) -> Document | str:
    """Return the JSON a command prints, or why there is none."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        return f"{command[0]} cannot be run: {error.strerror}"
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_WITHIN_S)
        return _no_answer(timeout_s)
    try:
        found = json.loads(printed)
    except ValueError:
        return f"smartctl ended with status {process.returncode} and printed no JSON (version 7.0 or newer is needed)"
    return found if isinstance(found, dict) else "smartctl printed something that is no report"


def _no_answer(timeout_s: float) -> str:
    return f"smartctl got no answer within {timeout_s:g} s"


if __name__ == "__main__":
    sys.exit(main())

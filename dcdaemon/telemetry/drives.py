"""Health of the drives, from the file that the sensors unit writes every ten minutes."""

from pathlib import Path
from typing import Any

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import DriveSample, Lack
from dcdaemon.telemetry.kernel_file import Faults
from dcdaemon.telemetry.smart import device_name, drive_sample, exit_words, grown, time_of, warnings
from dcdaemon.telemetry.unit_file import UnitFile

PATH = Path("/run/dcdaemon-sensors/drives.json")
#: Three readings that did not come.
_TOO_OLD_S = 3 * 600.0
_NOT_THERE = Lack(
    "the sensors unit has not read any drive",
    "install smartmontools, then: sudo dcd service install, which enables dcdaemon-sensors.timer",
)


class DriveHealth:
    """Parses the file when it changed, and tells of drives that wear out or fail."""

    def __init__(self, tell: Tell, *, path: Path = PATH) -> None:
        self._file, self._tell, self._faults = UnitFile(path), tell, Faults(tell)
        self._read_at: float | None = None
        self._lack: Lack | None = _NOT_THERE
        self._drives: dict[str, DriveSample] = {}
        self._warned: dict[str, set[str]] = {}

    def read(self, at: float) -> tuple[DriveSample, ...]:
        """Return all drives when there is a new reading, or when the last one grew too old; else nothing."""
        if self._file.replaced():
            return self._take(self._document(at), at)
        if self._read_at is not None and at - self._read_at > _TOO_OLD_S:
            return self._grow_old(at)
        return ()

    def lack(self) -> Lack | None:
        """Say why nothing is known, and what to do about it."""
        return self._lack

    def _document(self, at: float) -> dict[str, Any] | None:
        document = self._file.document()
        if document is None:
            self._faults.say(at, "drives", f"{self._file.path} holds no reading of drives")
        else:
            self._faults.over("drives")
        return document

    def _take(self, document: dict[str, Any] | None, at: float) -> tuple[DriveSample, ...]:
        if document is None:
            self._lack = Lack(
                f"{self._file.path} cannot be understood", "is dcd-sensors of the same version?", wrong=True
            )
            return ()
        found = document.get("drives")
        drives = [drive for drive in found if isinstance(drive, dict)] if isinstance(found, list) else []
        self._read_at = min(time_of(document.get("at"), at), at)
        self._lack = _lack(document.get("problem"), drives)
        samples = {device_name(drive): drive_sample(drive, at) for drive in drives}
        for drive in drives:
            self._judge(samples[device_name(drive)], drive, at)
        known = {name: sample for name, sample in samples.items() if sample is not None}
        for name in sorted(self._drives.keys() - known.keys()):
            self._tell(Event(at, EventKind.DEVICE_GONE, f"drive {name}", f"drive {name} is not found any more"))
        # What a sleeping drive said last is kept for the comparison with what it will say awake.
        self._drives = {name: self._drives.get(name, new) if new.error else new for name, new in known.items()}
        return tuple(known.values())

    def _judge(self, sample: DriveSample | None, drive: dict[str, Any], at: float) -> None:
        """Tell what is newly wrong with a drive."""
        if sample is None or sample.error is not None:
            return
        status, before = drive.get("exit_status"), self._drives.get(sample.device)
        wrong = set(warnings(sample, status))
        news = sorted(wrong - self._warned.get(sample.device, set()))
        news += grown(sample, before) if before is not None else ()
        self._warned[sample.device] = wrong
        if news:
            evidence: dict[str, object] = {
                "model": sample.model, "serial": sample.serial, "wear_ratio": sample.wear_ratio,
                "critical_warning": sample.critical_warning, "media_errors": sample.media_errors,
                "smartctl": exit_words(status),
            }  # fmt: skip
            message = f"drive {sample.device} ({sample.model or 'unknown model'}): {'; '.join(news)}"
            self._tell(Event(at, EventKind.DRIVE_WARNING, f"drive {sample.device}", message, evidence))

    def _grow_old(self, at: float) -> tuple[DriveSample, ...]:
        """Withdraw what was known: an old reading says nothing of a drive that may be dead by now."""
        old_s = at - self._read_at if self._read_at is not None else 0.0
        error = f"not read since {old_s / 60:.0f} min"
        self._lack = Lack(f"the drives were {error}", "systemctl status dcdaemon-sensors.timer", wrong=True)
        withdrawn = tuple(DriveSample(at, name, error=error) for name in self._drives)
        self._drives = {}
        return withdrawn


def _lack(problem: object, drives: list[dict[str, Any]]) -> Lack | None:
    if isinstance(problem, str):
        return Lack(problem, "apt-get install smartmontools", wrong=True)
    return None if drives else Lack("smartctl finds no drive here")

"""Power of the whole node and temperature of its air, from the file that the BMC unit writes every minute."""

from pathlib import Path
from typing import Any

from dcdaemon.core.event import EventKind, Tell
from dcdaemon.core.samples import BmcSample, Lack
from dcdaemon.telemetry.kernel_file import Faults
from dcdaemon.telemetry.smart import time_of
from dcdaemon.telemetry.unit_file import UnitFile

PATH = Path("/run/dcdaemon-sensors/bmc.json")
#: Three readings that did not come.
_TOO_OLD_S = 180.0
_MOST_W, _LOWEST_C, _HIGHEST_C = 100_000.0, -40.0, 100.0
_NOT_THERE = Lack(
    "the BMC unit has not read anything",
    "install ipmitool, then: sudo dcd service install, which enables dcdaemon-bmc.timer",
)
_TOO_OLD = Lack("the BMC was not read for three minutes", "systemctl status dcdaemon-bmc.timer", wrong=True)
_NONSENSE = Lack(f"{PATH.name} cannot be understood", "is dcd-bmc of the same version?", wrong=True)


class Bmc:
    """Parses the file when it changed."""

    def __init__(self, tell: Tell, *, path: Path = PATH) -> None:
        self._file, self._faults = UnitFile(path), Faults(tell)
        self._read_at: float | None = None
        self._lack: Lack | None = _NOT_THERE

    def read(self, at: float) -> tuple[BmcSample, ...]:
        """Return what the BMC said when that is new, else nothing."""
        if self._file.replaced():
            return self._take(self._file.document(), at)
        if self._read_at is not None and at - self._read_at > _TOO_OLD_S:
            self._lack = _TOO_OLD
        return ()

    def lack(self) -> Lack | None:
        """Say why nothing is known, or only a part, and what to do about it."""
        return self._lack

    def _take(self, document: dict[str, Any] | None, at: float) -> tuple[BmcSample, ...]:
        self._read_at = at if document is None else min(time_of(document.get("at"), at), at)
        if document is None:
            self._lack = _NONSENSE
            self._faults.say(at, "bmc", f"{self._file.path} holds no reading of the BMC")
            return ()
        self._faults.over("bmc")
        if at - self._read_at > _TOO_OLD_S:
            self._lack = _TOO_OLD
            return ()
        power_w = self._value(document.get("power_w"), 0.0, _MOST_W, "power", at)
        inlet_c = self._value(document.get("inlet_c"), _LOWEST_C, _HIGHEST_C, "inlet temperature", at)
        problems = [document.get(key) for key in ("power_problem", "inlet_problem")]
        said = [problem for problem in problems if isinstance(problem, str)]
        self._lack = (
            Lack("; ".join(said), "ipmitool dcmi power reading, ipmitool sdr type temperature") if said else None
        )
        return (BmcSample(self._read_at, power_w, inlet_c),)

    def _value(self, said: object, lowest: float, highest: float, what: str, at: float) -> float | None:
        if isinstance(said, (int, float)) and lowest <= said <= highest:
            self._faults.over(f"bmc {what}", EventKind.IMPLAUSIBLE_VALUE)
            return float(said)
        if said is not None:
            message = f"the BMC says a {what} of {said!r:.40}, which cannot be"
            self._faults.say(at, f"bmc {what}", message, EventKind.IMPLAUSIBLE_VALUE)
        return None

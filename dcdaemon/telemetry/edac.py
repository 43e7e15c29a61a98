"""Counts the memory errors that the memory controllers corrected, and could not correct (EDAC)."""

from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.core.samples import Lack
from dcdaemon.telemetry.kernel_file import Faults, NumberFile, names_in
from dcdaemon.telemetry.numbers import total

_LACK = Lack("no memory controller reports ECC errors (EDAC): usual in a virtual machine and without ECC memory")


class Edac:
    """The EDAC values of HostSample: sums over all memory controllers, unknown when one of them is."""

    def __init__(self, sys: Path, tell: Tell) -> None:
        self._folder = sys / "devices/system/edac/mc"
        self._faults = Faults(tell)
        self._controllers: dict[str, tuple[NumberFile, NumberFile]] = {}

    def read(self, at: float) -> dict[str, int | None]:
        """Return both sums now; a controller that came or went is noticed."""
        names = [name for name in names_in(self._folder) if name.startswith("mc")]
        self._controllers = {name: self._controllers.get(name) or self._files(name) for name in names}
        corrected = [files[0].read(at) for files in self._controllers.values()]
        uncorrected = [files[1].read(at) for files in self._controllers.values()]
        return {"edac_corrected": total(corrected), "edac_uncorrected": total(uncorrected)}

    def lack(self) -> Lack | None:
        """Tell why there are no values."""
        return None if self._controllers else _LACK

    def _files(self, name: str) -> tuple[NumberFile, NumberFile]:
        folder = self._folder / name
        return (
            NumberFile(folder / "ce_count", f"edac {name} ce_count", self._faults),
            NumberFile(folder / "ue_count", f"edac {name} ue_count", self._faults),
        )

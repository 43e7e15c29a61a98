"""Reads temperatures and fans of the chips that the kernel knows (hwmon)."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.event import EventKind, Tell
from dcdaemon.core.samples import Lack, SensorSample
from dcdaemon.telemetry.hwmon_name import chip_name
from dcdaemon.telemetry.kernel_file import Faults, NumberFile, names_in, word_of
from dcdaemon.telemetry.numbers import signed

_INPUT = re.compile(r"((temp|fan)\d+)_input")
#: The package is as hot as its hottest core; asking a hundred cores would wake each of them.
_PACKAGE, _CORE = "Package id ", "Core "
#: Limits are read anew at every so many readings.
_LIMITS_EVERY = 6
_LACK = Lack("no temperatures and fans (hwmon) here: usual in a virtual machine or a container")


@dataclass(frozen=True, slots=True)
class _Quantity:
    """How many of the kernel's are one of ours, and what can be; a broken sensor says other things."""

    per: int
    lowest: float
    highest: float


_TEMPERATURE, _FAN = _Quantity(1000, -60, 200), _Quantity(1, 0, 100_000)


@dataclass(eq=False)
class _Sensor:
    chip: str
    name: str
    quantity: _Quantity
    input: NumberFile
    limit: NumberFile | None
    fault: NumberFile | None
    critical: float | None = None


@dataclass(eq=False)
class _Chip:
    name: str
    place: str
    sensors: tuple[_Sensor, ...]


class Sensors:
    """Reads all chips; each sensor fails alone, and chips may come and go."""

    def __init__(self, sys: Path, tell: Tell) -> None:
        self._folder = sys / "class/hwmon"
        self._faults = Faults(tell)
        self._chips: dict[str, _Chip] = {}
        self._readings = 0

    def read(self, at: float) -> tuple[SensorSample, ...]:
        """Return a sample of each temperature and fan."""
        self._look(at)
        if self._readings % _LIMITS_EVERY == 0:
            self._read_limits(at)
        self._readings += 1
        return tuple(self._sample(sensor, at) for chip in self._chips.values() for sensor in chip.sensors)

    def lack(self) -> Lack | None:
        """Tell why there are no values."""
        return None if any(chip.sensors for chip in self._chips.values()) else _LACK

    def _look(self, at: float) -> None:
        """Take in chips that came and let go of those that went; one number may later be another chip."""
        places = {name: _target(self._folder / name) for name in names_in(self._folder)}
        for name, chip in list(self._chips.items()):
            if places.get(name) != chip.place:
                del self._chips[name]
                self._faults.say(at, chip.name, f"the sensor chip {chip.name} is gone", EventKind.DEVICE_GONE)
        # By place, so that chips of the same name are told apart in the same way after each boot.
        for name in sorted(places.keys() - self._chips.keys(), key=lambda name: places[name]):
            taken = {chip.name for chip in self._chips.values()}
            chip = _Chip(chip_name(self._folder / name, taken), places[name], ())
            chip.sensors = tuple(self._found(self._folder / name, chip.name))
            self._faults.over(chip.name, EventKind.DEVICE_GONE)
            self._chips[name] = chip

    def _found(self, folder: Path, chip: str) -> list[_Sensor]:
        files = names_in(folder)
        sensors: dict[str, _Sensor] = {}
        for match in filter(None, map(_INPUT.fullmatch, files)):
            label = word_of(folder / f"{match[1]}_label")
            name = match[1] if not label or label in sensors else label
            sensors[name] = self._sensor(folder, match, chip, name, files)
        if any(name.startswith(_PACKAGE) for name in sensors):
            return [sensor for name, sensor in sensors.items() if not name.startswith(_CORE)]
        return list(sensors.values())

    def _sensor(self, folder: Path, match: re.Match[str], chip: str, name: str, files: Collection[str]) -> _Sensor:
        def beside(suffix: str) -> NumberFile | None:
            file = f"{match[1]}_{suffix}"
            return NumberFile(folder / file, f"{chip}/{name} {suffix}", self._faults, signed) if file in files else None

        value = NumberFile(folder / match[0], f"{chip}/{name}", self._faults, signed)
        quantity = _TEMPERATURE if match[2] == "temp" else _FAN
        return _Sensor(chip, name, quantity, value, beside("crit"), beside("fault"))

    def _read_limits(self, at: float) -> None:
        for sensor in (sensor for chip in self._chips.values() for sensor in chip.sensors):
            if sensor.limit is not None:
                sensor.critical = _possible(sensor, sensor.limit.read(at))

    def _sample(self, sensor: _Sensor, at: float) -> SensorSample:
        value = self._value(sensor, at)
        if sensor.quantity is _FAN:
            return SensorSample(at, sensor.chip, sensor.name, fan_rpm=value)
        return SensorSample(at, sensor.chip, sensor.name, temp_c=value, temp_critical_c=sensor.critical)

    def _value(self, sensor: _Sensor, at: float) -> float | None:
        raw = sensor.input.read(at)
        if raw is None or (sensor.fault is not None and sensor.fault.read(at)):
            return None
        value, subject = _possible(sensor, raw), f"{sensor.chip}/{sensor.name}"
        if value is None:
            self._faults.say(at, subject, f"{subject} says {raw}, which cannot be", EventKind.IMPLAUSIBLE_VALUE)
        else:
            self._faults.over(subject, EventKind.IMPLAUSIBLE_VALUE)
        return value


def _possible(sensor: _Sensor, raw: int | None) -> float | None:
    value = None if raw is None else raw / sensor.quantity.per
    return value if value is not None and sensor.quantity.lowest <= value <= sensor.quantity.highest else None


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115  asked at each reading
    except OSError:
        return link.name

"""Names sensor chips as sensors(1) does, by driver and place: `hwmon3` may be another chip after the next boot."""

import re
from collections.abc import Callable, Collection
from pathlib import Path

from dcdaemon.telemetry.kernel_file import word_of

_PCI = re.compile(r"([0-9a-f]{4,}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f])")
_I2C = re.compile(r"(\d+)-([0-9a-f]{4})")
_SPI = re.compile(r"spi(\d+)\.(\d+)")
_SCSI = re.compile(r"(\d+):(\d+):(\d+):(\d+)")
_NUMBER = re.compile(r".*?\.(\d+)")


def chip_name(folder: Path, taken: Collection[str]) -> str:
    """Return a name like nvme-pci-0100 that no other chip has."""
    driver = word_of(folder / "name") or "unknown"
    device = (folder / "device").resolve() if (folder / "device").exists() else None
    name = f"{driver}-{_place(device) if device else 'virtual-0'}"
    # Several thermal zones, or two chips on one device: something else has to tell them apart.
    longer = (name, f"{name}-{device.name if device else folder.name}", f"{name}-{folder.name}")
    return next(one for one in longer if one not in taken)


def _place(device: Path) -> str:
    """Return bus and address of the first device upwards that sits on a bus with addresses."""
    for folder in (device, *device.parents):
        subsystem = folder / "subsystem"
        bus = subsystem.resolve().name if subsystem.exists() else ""
        if bus in _PLACES:
            return _PLACES[bus](folder.name)
    return "virtual-0"


def _pci(name: str) -> str:
    match = _PCI.fullmatch(name)
    if match is None:
        return "pci-0"
    domain, bus, slot, function = (int(part, 16) for part in match.groups())
    return f"pci-{(domain << 16) + (bus << 8) + (slot << 3) + function:04x}"


def _i2c(name: str) -> str:
    match = _I2C.fullmatch(name)
    return f"i2c-{match[1]}-{int(match[2], 16):02x}" if match else f"i2c-{name}"


def _spi(name: str) -> str:
    match = _SPI.fullmatch(name)
    return f"spi-{match[1]}-{match[2]}" if match else f"spi-{name}"


def _scsi(name: str) -> str:
    match = _SCSI.fullmatch(name)
    return f"scsi-{match[1]}-{int(match[2]) << 8 | int(match[3]) << 4 | int(match[4]):x}" if match else f"scsi-{name}"


def _isa(name: str) -> str:
    match = _NUMBER.fullmatch(name)
    return f"isa-{int(match[1]) if match else 0:04x}"


_PLACES: dict[str, Callable[[str], str]] = {
    "pci": _pci,
    "i2c": _i2c,
    "spi": _spi,
    "scsi": _scsi,
    "platform": _isa,
    "of_platform": _isa,
    "acpi": lambda _name: "acpi-0",
    "hid": lambda name: f"hid-{name}",
}

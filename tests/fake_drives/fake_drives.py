"""Fake drives for the real smartctl: writes what their firmware would answer; drives.c hands it over."""

import os
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("drives.c")


def build(folder: Path) -> Path:
    """Compile the library that is preloaded; raise CalledProcessError when it does not compile."""
    library = folder / "drives.so"
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True, timeout=120)
    return library


class FakeDrives:
    """A folder of drives, and the environment in which smartctl finds them instead of the machine's own."""

    def __init__(self, library: Path, root: Path) -> None:
        self.root = root
        self.root.mkdir()
        self.environment = os.environ | {"LD_PRELOAD": str(library), "FAKE_DRIVES": str(root)}

    def nvme(self, name: str, **health: int) -> None:
        """Make an NVMe controller (NVM Express Base Specification: Identify Controller, SMART / Health log)."""
        identify = bytearray(4096)
        identify[4:24], identify[24:64], identify[64:72] = _text("NV0042", 20), _text("FAKE NVME", 40), _text("1.0", 8)
        struct.pack_into("<I", identify, 80, 0x10400)  # version 1.4
        struct.pack_into("<I", identify, 516, 1)  # namespaces
        namespace = bytearray(4096)
        struct.pack_into("<QQQ", namespace, 0, 2**20, 2**20, 2**20)  # blocks: size, capacity, used
        namespace[130] = 9  # of 2**9 bytes
        log = bytearray(512)
        warning, spare = health.get("critical_warning", 0), health.get("available_spare", 100)
        struct.pack_into(
            "<BHBBB", log, 0, warning, 273 + health.get("temperature", 40), spare, 10, health.get("used", 3)
        )
        for offset, key in (
            (48, "units_written"),
            (128, "hours"),
            (144, "unsafe"),
            (160, "media_errors"),
            (176, "log"),
        ):
            struct.pack_into("<Q", log, offset, health.get(key, 0))
        answers = {"admin-06-01": identify, "admin-06-00": namespace, "admin-02-02": log, "admin-02-01": bytes(4096)}
        self._write(name, answers)

    def sata(self, name: str, attributes: dict[int, int], *, failing: bool = False, asleep: bool = False) -> None:
        """Make a SATA disk with these raw values (ATA Command Set: IDENTIFY DEVICE, SMART READ DATA)."""
        words = [0] * 256
        words[0], words[49], words[53], words[80], words[217] = 0x0040, 0x0300, 6, 0x03F0, 7200
        words[82], words[83], words[84] = 0x0001, 0x4000, 0x4000  # SMART is supported ...
        words[85], words[86], words[87] = 0x0001, 0x0000, 0x4000  # ... and on
        words[60], words[61] = 0xFFFF, 0x0FFF
        identify = bytearray(struct.pack("<256H", *words))
        identify[20:40], identify[46:54] = _swapped("SA0042", 20), _swapped("1.0", 8)
        identify[54:94] = _swapped("FAKE DISK", 40)
        data, limits = bytearray(512), bytearray(512)
        struct.pack_into("<H", data, 0, 1)
        struct.pack_into("<H", limits, 0, 1)
        for slot, (number, raw) in enumerate(attributes.items()):
            value = 1 if failing and number == 5 else 100
            struct.pack_into("<BHBB", data, 2 + 12 * slot, number, 0x33, value, value)
            data[7 + 12 * slot : 13 + 12 * slot] = raw.to_bytes(6, "little")
            struct.pack_into("<BB", limits, 2 + 12 * slot, number, 10 if number == 5 else 0)
        registers = b"00 00 f4 2c     " if failing else b"00 00 4f c2     "
        self._write(
            name,
            {
                "ata-ec-00-00": identify, "ata-b0-d0-00": _summed(data), "ata-b0-d1-01": _summed(limits),
                "ata-b0-da-00": registers, "ata-e5-00-00": b"00 00 00 00     " if asleep else b"ff 00 00 00     ",
            },
        )  # fmt: skip

    def hang(self, name: str) -> None:
        """Let no command to this drive come back."""
        (self.root / name / "hangs").touch()

    def _write(self, name: str, answers: dict[str, bytes]) -> None:
        (self.root / name).mkdir(exist_ok=True)
        for answer, content in answers.items():
            (self.root / name / answer).write_bytes(content)


def _text(text: str, size: int) -> bytes:
    return text.encode().ljust(size)


def _swapped(text: str, size: int) -> bytes:
    """ATA writes the two letters of a word in the other order."""
    padded = _text(text, size)
    return bytes(byte for pair in zip(padded[1::2], padded[::2], strict=True) for byte in pair)


def _summed(sector: bytearray) -> bytes:
    sector[511] = -sum(sector[:511]) % 256
    return bytes(sector)

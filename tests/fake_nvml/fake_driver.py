"""Builds the fake driver library and writes the state it answers from."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("nvml.c")
_GIB = 1024**3


def build(folder: Path, *defines: str) -> Path:
    """Compile the library into `folder`; without a compiler skip, or fail where CI=true."""
    compiler = shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no C compiler for the fake driver; install gcc")
        pytest.skip("no C compiler for the fake driver")
    library = folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Wextra", *(f"-D{name}" for name in defines)]
    subprocess.run([compiler, *flags, "-o", library, _SOURCE], check=True, timeout=60)
    return library


class FakeDriver:
    """The state file of the fake library: what each GPU answers, and its faults."""

    def __init__(self, library: Path, state: Path, count: int) -> None:
        self.library, self._state = library, state
        self._driver: dict[str, object] = {"driver": "580.65.06", "count": count}
        self._gpus = [_healthy(index) for index in range(count)]
        self._write()

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> "FakeDriver":
        """Let every process started from now on find this driver, and no real one."""
        monkeypatch.setenv("LD_LIBRARY_PATH", str(self.library.parent))
        monkeypatch.setenv("FAKE_NVML_STATE", str(self._state))
        return self

    def driver(self, **values: object) -> None:
        """Change what the driver says as a whole; None removes a key."""
        _merge(self._driver, values)
        self._write()

    def gpu(self, index: int, **values: object) -> None:
        """Change what one GPU says; None removes a key."""
        _merge(self._gpus[index], values)
        self._write()

    def _write(self) -> None:
        lines = [f"{key} {value}" for key, value in self._driver.items()]
        lines += [f"{i}.{key} {value}" for i, gpu in enumerate(self._gpus) for key, value in gpu.items()]
        fresh = self._state.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        fresh.replace(self._state)


def _merge(known: dict[str, object], values: dict[str, object]) -> None:
    known |= values
    for key in [key for key, value in known.items() if value is None]:
        del known[key]


def _healthy(index: int) -> dict[str, object]:
    return {
        "name": "Fake H100",
        "uuid": f"GPU-fake-{index:04d}",
        "pci": f"00000000:{0x10 + index:02X}:00.0",
        "minor": 7 - index % 8,
        "numa": index // 4,
        "util": 10 + index,
        "mem_util": 5 + index,
        "mem_total": 80 * _GIB,
        "mem_used": (index + 1) * _GIB,
        "mem_reserved": 512 * 1024**2,
        "power_mw": 100_500 + index,
        "power_limit_mw": 700_000,
        "energy_mj": 5_000_000_000 + index,
        "temp": 40 + index,
        "sm_mhz": 1980,
        "mem_mhz": 2619,
        "unsupported": "none",
    }

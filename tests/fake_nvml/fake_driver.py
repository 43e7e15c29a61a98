"""Builds the fake driver library and writes the state it answers from."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from lack import missing

_SOURCES = Path(__file__).with_name("source")
_FLAGS = ("-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-lm")
_GIB = 1024**3
_KEPT_EVENTS = 200
#: The library reads lines of 4 KiB.
_LONGEST_LOAD = 4000
_NO_INSTANCE = 0xFFFFFFFF
#: What a load model takes over.
_MODELLED = ("util", "mem_util", "power_mw", "power_limit_mw", "energy_mj", "temp", "sm_mhz")
#: What the driver counts from its loading on.
_SINCE_LOADING = {
    "energy_mj", "ecc_corrected_volatile", "ecc_uncorrected_volatile",
    "nvlink_tx_kib", "nvlink_rx_kib", "pcie_tx_bytes", "pcie_rx_bytes", "pcie_replay",
    *(f"throttled_{reason}_ns" for reason in (
        "power", "thermal", "sync_boost", "board_limit", "low_util", "reliability", "sw_thermal", "hw_thermal",
        "power_brake",
    )),
}  # fmt: skip
#: nvml.h, nvmlEventType*.
EVENTS = {
    "ecc_single": 0x1, "ecc_double": 0x2, "pstate": 0x4, "xid": 0x8, "clock": 0x10, "mig": 0x100,
    "retirement": 0x400, "retirement_failed": 0x800, "unavailable": 0x4000, "recovery": 0x8000,
}  # fmt: skip


def build(folder: Path, *defines: str) -> Path:
    """Put the library into `folder`; without a compiler skip, or fail where CI=true.

    `OLD_DRIVER` leaves out what drivers before 510 did not have.
    """
    library = folder / "libnvidia-ml.so.1"
    library.write_bytes(_compiled(defines))
    return library


@cache
def _compiled(defines: tuple[str, ...]) -> bytes:
    compiler = shutil.which("cc")
    if compiler is None:
        missing("no C compiler for the fake driver: apt-get install gcc")
    with tempfile.TemporaryDirectory(prefix="fake-nvml-") as name:
        stubs, library = Path(name) / "stubs.c", Path(name) / "library.so"
        stubs.write_text("" if "OLD_DRIVER" in defines else _stubs())
        sources = [*sorted(_SOURCES.glob("*.c")), stubs]
        subprocess.run(
            [compiler, *sources, *_FLAGS, *(f"-D{define}" for define in defines), "-o", library],
            check=True,
            timeout=120,
        )
        return library.read_bytes()


def _stubs() -> str:
    """Return C for every symbol that nvidia-ml-py knows: one that is not written by hand is not supported."""
    bindings = find_spec("pynvml")
    assert bindings
    assert bindings.origin
    names = sorted(set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"', Path(bindings.origin).read_text())))
    lines = [f'int {name}(void) __attribute__((weak, alias("unsupported")));' for name in names]
    return "\n".join(["int unsupported(void);", "int unsupported(void) { return 3; }", *lines, ""])


class FakeDriver:
    """The state file of the fake library: what each GPU answers, and its faults.

    With a `profile` ("a100", "h100", ...) the GPUs say what such a board says; without, they are fake H100s with
    fixed values.
    """

    def __init__(self, library: Path, state: Path, count: int, profile: str | None = None) -> None:
        self.library, self._state = library, state
        self._driver: dict[str, object] = {"driver": "580.65.06", "count": count}
        if profile:
            self._driver["profile"] = profile
        self._migs: dict[tuple[int, int], dict[str, object]] = {}
        self._limits: dict[int, dict[str, float]] = {}
        self._gpus = [_identity(index) | ({} if profile else _fixed(index)) for index in range(count)]
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

    def gpu(self, index: int, changes: dict[str, object] | None = None, /, **values: object) -> None:
        """Change what one GPU says; None removes a key. Keys with a dot ("field.82", "gpm.2") come as a mapping."""
        _merge(self._gpus[index], (changes or {}) | values)
        self._write()

    def event(self, gpu: int, kind: str, data: int = 0, *, instance: tuple[int, int] | None = None) -> None:
        """Let something happen on a GPU: `kind` is a name of EVENTS, `data` the code of an XID."""
        serial = int(str(self._driver.get("events", 0))) + 1
        gpu_instance, compute_instance = instance or (_NO_INSTANCE, _NO_INSTANCE)
        happened = f"{gpu} {EVENTS[kind]} {data} {gpu_instance} {compute_instance}"
        self.driver(**{"events": serial, f"event.{serial}": happened, f"event.{serial - _KEPT_EVENTS}": None})

    def mig(self, gpu: int, place: int, changes: dict[str, object] | None = None, /, **values: object) -> None:
        """Cut the GPU by MIG and say what its instance at `place` is and says; `gi=None` removes the instance."""
        known = self._migs.setdefault((gpu, place), _instance(gpu, place))
        _merge(known, (changes or {}) | values)
        if "gi" not in known:
            del self._migs[gpu, place]
        self.gpu(gpu, mig_mode=1)

    def load(
        self, gpu: int, util: float, *, limit_w: float | None = None, ambient_c: float | None = None, ago_s: float = 0
    ) -> None:
        """Set what the load model of a GPU aims at from now on, or since `ago_s`.

        What was fixed for it is the model's from the first load on. Limit and ambient stay what they were set to
        last; at first they are the profile's limit and 30 C.
        """
        limits = self._limits.setdefault(gpu, {})
        limits |= {"limit_mw": limit_w * 1000} if limit_w is not None else {}
        limits |= {"ambient_c": ambient_c} if ambient_c is not None else {}
        target = f"{time.monotonic() - ago_s:.3f}:{util}:{limits.get('limit_mw', 0)}:{limits.get('ambient_c', 30)}"
        known = str(self._gpus[gpu].get("load", ""))
        if len(known) > _LONGEST_LOAD:
            raise ValueError("too many targets for one GPU; load=None begins anew")
        free = {} if known else dict.fromkeys(_MODELLED)
        self.gpu(gpu, **free, load=f"{known},{target}" if known else target)

    def reload(self) -> None:
        """Load the driver anew: sessions are over, and all that counts since then is at 0."""
        for values in self._gpus:
            values.update(dict.fromkeys(values.keys() & _SINCE_LOADING, 0))
            if targets := str(values.get("load", "")):
                _, _, last = targets.rpartition(",")[2].partition(":")
                values["load"] = f"{time.monotonic():.3f}:{last}"
        self.driver(reload=int(str(self._driver.get("reload", 0))) + 1)

    def _write(self) -> None:
        lines = [f"{key} {value}" for key, value in self._driver.items()]
        lines += [f"{i}.{key} {value}" for i, gpu in enumerate(self._gpus) for key, value in gpu.items()]
        lines += [
            f"{gpu}.mig{place}.{key} {value}"
            for (gpu, place), values in self._migs.items()
            for key, value in values.items()
        ]
        fresh = self._state.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        # The library knows a new file by its times: those that the kernel gives are the same for some milliseconds.
        now_ns = time.time_ns()
        os.utime(fresh, ns=(now_ns, now_ns))
        fresh.replace(self._state)


def _merge(known: dict[str, object], values: dict[str, object]) -> None:
    known |= values
    for key in [key for key, value in known.items() if value is None]:
        del known[key]


def _identity(index: int) -> dict[str, object]:
    return {
        "uuid": f"GPU-fake-{index:04d}",
        "pci": f"00000000:{0x10 + index:02X}:00.0",
        "minor": 7 - index % 8,
        "numa": index // 4,
    }


def _instance(gpu: int, place: int) -> dict[str, object]:
    return {
        "gi": 7 + place,
        "ci": 0,
        "uuid": f"MIG-fake-{gpu:04d}-{place}",
        "name": "Fake H100 MIG 1g.10gb",
        "mem_total": 10 * _GIB,
        "mem_used": (place + 1) * 64 * 1024**2,
    }


def _fixed(index: int) -> dict[str, object]:
    return {
        "name": "Fake H100",
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

"""Reads GPUs through NVML; the only importer of pynvml, and itself imported only by the telemetry child."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import pynvml

_UNSUPPORTED = frozenset(
    {
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
_LOST = {pynvml.NVML_ERROR_GPU_IS_LOST: "lost", pynvml.NVML_ERROR_RESET_REQUIRED: "reset required"}
_DRIVER_GONE = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)
_FIELD_MEMBERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}

T = TypeVar("T")
Values = tuple[float, ...]
Way = Callable[[object], Values]
Memory = dict[int, int | None]


class NoDriver(Exception):
    """The driver cannot be asked at all; `code` is NVML's return code."""

    def __init__(self, error: Exception, code: int) -> None:
        super().__init__(f"the NVIDIA driver cannot be used: {error} (NVML code {code})")
        self.code = code


class GpuLost(Exception):
    """A GPU will not answer until it is reset; the text says in which way."""


def open_driver() -> dict[str, object]:
    """Start NVML and return the driver's version and its count of GPUs; raise NoDriver."""
    try:
        pynvml.nvmlInit()
        return {"driver_version": pynvml.nvmlSystemGetDriverVersion(), "count": pynvml.nvmlDeviceGetCount()}
    except pynvml.NVMLError as error:
        raise NoDriver(error, error.value) from error


def _sort(error: pynvml.NVMLError) -> bool:
    """Return whether the question is unsupported; raise GpuLost or NoDriver where the trouble is larger."""
    if error.value in _LOST:
        raise GpuLost(_LOST[error.value]) from error
    if error.value in _DRIVER_GONE:
        raise NoDriver(error, error.value) from error
    return error.value in _UNSUPPORTED


def _utilisation(handle: object) -> Values:
    rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    return rates.gpu / 100, rates.memory / 100


def _memory_v2(handle: object) -> Values:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return memory.used, memory.total


def _memory_v1(handle: object) -> Values:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return memory.used, memory.total


def _field(field_id: int, divisor: int = 1) -> Way:
    """Return a way that asks for one field value."""

    def ask(handle: object) -> Values:
        answer = pynvml.nvmlDeviceGetFieldValues(handle, [field_id])[0]
        if answer.nvmlReturn != pynvml.NVML_SUCCESS:
            raise pynvml.NVMLError(answer.nvmlReturn)
        member = _FIELD_MEMBERS.get(answer.valueType)
        if member is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        value = getattr(answer.value, member)
        return (value if divisor == 1 else value / divisor,)

    return ask


def _power_usage(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,)


def _power_limit(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,)


def _energy(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle),)


def _temperature_v(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU),)


def _temperature(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),)


def _sm_clock(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * 1_000_000,)


def _mem_clock(handle: object) -> Values:
    return (pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) * 1_000_000,)


# What is asked at each poll: the sample's fields, the largest value to believe, the ways to ask, best first.
# nvml.h: average power and energy are fields 185 and 83, of the last second and since the driver was loaded.
_QUESTIONS: tuple[tuple[tuple[str, ...], float, tuple[Way, ...]], ...] = (
    (("energy_counter_mj",), 2**62, (_field(pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION), _energy)),
    (("power_w",), 5_000, (_field(pynvml.NVML_FI_DEV_POWER_AVERAGE, 1000), _power_usage)),
    (("util_ratio", "mem_bw_busy_ratio"), 1, (_utilisation,)),
    (("mem_used_bytes", "mem_total_bytes"), 2**46, (_memory_v2, _memory_v1)),
    (("temp_c",), 150, (_temperature_v, _temperature)),
    (("sm_clock_hz",), 10_000_000_000, (_sm_clock,)),
    (("mem_clock_hz",), 100_000_000_000, (_mem_clock,)),
    (("power_limit_w",), 5_000, (_power_limit,)),
)


class NvmlGpu:
    """One GPU by its NVML index; raise GpuLost or NoDriver from every method when they apply."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._ways = {names: list(ways) for names, _, ways in _QUESTIONS}
        self._lists = {"compute": _process_lists("Compute"), "graphics": _process_lists("Graphics")}
        self.dropped = 0
        try:
            self._handle: object = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError as error:
            _sort(error)
            raise GpuLost(str(error)) from error

    def info(self) -> dict[str, object]:
        """Return the fields of GpuInfo."""
        pci = self._once(pynvml.nvmlDeviceGetPciInfo)
        values = self.sample()
        return {
            "index": self._index,
            "uuid": self._once(pynvml.nvmlDeviceGetUUID) or f"unknown-{self._index}",
            "name": self._once(pynvml.nvmlDeviceGetName) or "unknown",
            "mem_total_bytes": values["mem_total_bytes"],
            "pci_bus_id": getattr(pci, "busId", None) or None,
            "minor": self._once(pynvml.nvmlDeviceGetMinorNumber),
            "power_limit_w": values["power_limit_w"],
            "numa_node": self._once(pynvml.nvmlDeviceGetNumaNodeId),
        }

    def sample(self) -> dict[str, float | None]:
        """Return the measured fields of GpuSample; None where the GPU cannot tell or told nonsense."""
        sample: dict[str, float | None] = {}
        for names, top, _ in _QUESTIONS:
            values = self._ask(self._ways[names])
            for place, name in enumerate(names):
                sample[name] = self._believe(values[place], top) if values else None
        return sample

    def processes(self) -> Memory | None:
        """Return the memory each process holds, by PID; None when the driver cannot list them."""
        found = [answer for ways in self._lists.values() if (answer := self._ask(ways)) is not None]
        if not found:
            return None
        merged: Memory = {}
        for pid, used in (pair for answer in found for pair in answer.items()):
            # A process that both computes and draws is on both lists with the same memory.
            merged[pid] = max((n for n in (merged.get(pid), used) if n is not None), default=None)
        return merged

    def _ask(self, ways: list[Callable[[object], T]]) -> T | None:
        """Ask the best way left; one that is not supported on this GPU is struck off for good."""
        while ways:
            try:
                return ways[0](self._handle)
            except pynvml.NVMLError as error:
                if not _sort(error):
                    return None
                ways.pop(0)
        return None

    def _once(self, function: Callable[[object], object]) -> object:
        return self._ask([function])

    def _believe(self, value: float, top: float) -> float | None:
        if 0 <= value <= top:
            return value
        self.dropped += 1
        return None


def _process_lists(kind: str) -> list[Callable[[object], Memory]]:
    """Return the ways to list processes of one kind; version 2 serves drivers from before 510."""

    def way(
        function: Callable[[object], Iterable[pynvml.c_nvmlProcessInfo_v3_t]],
    ) -> Callable[[object], Memory]:
        return lambda handle: {process.pid: process.usedGpuMemory for process in function(handle)}

    name = f"nvmlDeviceGet{kind}RunningProcesses"
    return [way(getattr(pynvml, f"{name}_v3")), way(getattr(pynvml, f"{name}_v2"))]

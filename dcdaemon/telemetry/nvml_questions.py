"""What is asked of a GPU one function at a time, each question with the ways to ask it, best first."""

from collections.abc import Callable, Sequence
from ctypes import Structure, byref, c_uint, c_ulonglong

from dcdaemon.telemetry.nvml_errors import function, unsupported
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_values import Asker, Values

Answer = tuple[float | None, ...]
Ask = Callable[[], Answer]
#: Makes ready to ask one GPU: what a call needs is looked up and laid out once.
Way = Callable[[pynvml.c_nvmlDevice_t], Ask]
_MHZ = 1_000_000
#: Words of 64 NUMA nodes each: as many as Linux can have.
_NODE_WORDS = 16
_NOT_AVAILABLE = 2**64 - 1


class Question(Asker):
    """Asks the best way that is left; one that is not supported on this GPU is struck off for good."""

    def __init__(
        self, handle: object, names: Sequence[str], ways: Sequence[Way], values: Values, every_s: float
    ) -> None:
        super().__init__(every_s)
        self._ways, self._values = [way(handle) for way in ways], values
        self._places = [values.place(name) for name in names]

    @property
    def over(self) -> bool:
        """Whether no way is left."""
        return not self._ways

    def ask(self, now_s: float) -> bool:  # noqa: ARG002  the same face as all askers
        """Ask once; values of a question that fails for the moment are unknown, and it is asked again."""
        while self._ways:
            try:
                answer = self._ways[0]()
            except pynvml.NVMLError as error:
                self._values.blank(self._places)
                if not unsupported(error.value):
                    return False
                self._ways.pop(0)
            else:
                for place, value in zip(self._places, answer, strict=True):
                    self._values.put(place, value)
                return True
        return True


def _number(name: str, *before: object, times: int = 1, per: int = 1, made: type[c_uint | c_ulonglong] = c_uint) -> Way:
    """Return a way that asks a function for one whole number."""

    def way(handle: pynvml.c_nvmlDevice_t) -> Ask:
        call, answer = function(name), made()
        arguments = (handle, *before, byref(answer))

        def ask() -> Answer:
            if code := call(*arguments):
                raise pynvml.NVMLError(code)
            return (answer.value * times if per == 1 else answer.value / per,)

        return ask

    return way


def _struct(name: str, made: Callable[[], Structure], read: Callable[[Structure], Answer]) -> Way:
    """Return a way that asks a function to fill a structure."""

    def way(handle: pynvml.c_nvmlDevice_t) -> Ask:
        call, answer = function(name), made()
        reference = byref(answer)

        def ask() -> Answer:
            if code := call(handle, reference):
                raise pynvml.NVMLError(code)
            return read(answer)

        return ask

    return way


def _clock(name: str, kind: int) -> Way:
    return _number(name, c_uint(kind), times=_MHZ)


def _temperature() -> Structure:
    made: Structure = pynvml.c_nvmlTemperature_v1_t(pynvml.nvmlTemperature_v1, pynvml.NVML_TEMPERATURE_GPU)
    return made


def _sram(status: Structure) -> Answer:
    parts = status.aggregateUncParity, status.aggregateUncSecDed
    return None if _NOT_AVAILABLE in parts else sum(parts), status.bThresholdExceeded


def _links(handle: pynvml.c_nvmlDevice_t) -> Ask:
    """Count the NVLinks that are up, and all there are."""

    def ask() -> Answer:
        up = there = 0
        for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
            try:
                up += pynvml.nvmlDeviceGetNvLinkState(handle, link) == pynvml.NVML_FEATURE_ENABLED
                there += 1
            except pynvml.NVMLError as error:
                if not unsupported(error.value):
                    raise
                if error.value == pynvml.NVML_ERROR_INVALID_ARGUMENT:  # beyond the last one
                    break
        if not there:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return up, there

    return ask


def link_count(handle: object) -> int:
    """Return how many NVLinks a GPU has; none where it cannot tell."""
    try:
        return int(_links(handle)()[1] or 0)
    except pynvml.NVMLError as error:
        unsupported(error.value)  # raises when the GPU is lost
        return 0


def numa_node(handle: object) -> int | None:
    """Return the NUMA node of the host's memory that is nearest, None where there is none.

    nvmlDeviceGetNumaNodeId is another one: that of the GPU's own memory, where the host sees that as a node.
    """
    words = pynvml.nvmlDeviceGetMemoryAffinity(handle, _NODE_WORDS, pynvml.NVML_AFFINITY_SCOPE_NODE)
    nodes = sum(int(word) << (64 * place) for place, word in enumerate(words))
    return (nodes & -nodes).bit_length() - 1 if nodes else None


def link_ends(handle: object) -> list[str]:
    """Return the PCI bus ids that the GPU's NVLinks lead to, each once; a link that leads nowhere tells none."""
    ends = set()
    for link in range(link_count(handle)):
        try:
            ends.add(str(pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId))
        except pynvml.NVMLError as error:
            unsupported(error.value)
    return sorted(end for end in ends if end)


def _memory_v2() -> Structure:
    made: Structure = pynvml.c_nvmlMemory_v2_t(pynvml.nvmlMemory_v2)
    return made


_MEMORY_OF_ALL = _struct(
    "nvmlDeviceGetMemoryInfo_v2", _memory_v2, lambda memory: (memory.used, memory.total, memory.reserved, memory.free)
)
# A driver from before 510 counts as used what is reserved.
_OLD_MEMORY = _struct(
    "nvmlDeviceGetMemoryInfo", pynvml.c_nvmlMemory_t, lambda memory: (memory.used, memory.total, None, memory.free)
)
#: The memory of a MIG instance: what is used, and all it has.
MEMORY_OF_INSTANCE = _struct("nvmlDeviceGetMemoryInfo_v2", _memory_v2, lambda memory: (memory.used, memory.total))
_UTILISATION = _struct(
    "nvmlDeviceGetUtilizationRates", pynvml.c_nvmlUtilization_t, lambda rates: (rates.gpu / 100, rates.memory / 100)
)
_TEMPERATURE = _struct("nvmlDeviceGetTemperatureV", _temperature, lambda answer: (answer.temperature,))
_MARGIN = _struct(
    "nvmlDeviceGetMarginTemperature",
    lambda: pynvml.c_nvmlMarginTemperature_v1_t(pynvml.nvmlMarginTemperature_v1),
    lambda answer: (answer.marginTemperature,),
)
_SRAM = _struct("nvmlDeviceGetSramEccErrorStatus", pynvml.c_nvmlEccSramErrorStatus_v1_t, _sram)
_BANKS = _struct(
    "nvmlDeviceGetRowRemapperHistogram", pynvml.c_nvmlRowRemapperHistogramValues, lambda banks: (banks.none,)
)

#: Names of the values, and the ways to ask for them.
QUESTIONS: tuple[tuple[tuple[str, ...], tuple[Way, ...]], ...] = (
    (("util_ratio", "mem_bw_busy_ratio"), (_UTILISATION,)),
    (("temp_c",), (_TEMPERATURE, _number("nvmlDeviceGetTemperature", c_uint(pynvml.NVML_TEMPERATURE_GPU)))),
    (("sm_clock_hz",), (_clock("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM),)),
    (("mem_clock_hz",), (_clock("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM),)),
    (
        ("clock_event_reasons",),
        (
            _number("nvmlDeviceGetCurrentClocksEventReasons", made=c_ulonglong),
            _number("nvmlDeviceGetCurrentClocksThrottleReasons", made=c_ulonglong),
        ),
    ),
    (("mem_used_bytes", "mem_total_bytes", "mem_reserved_bytes", "mem_free_bytes"), (_MEMORY_OF_ALL, _OLD_MEMORY)),
    (("temp_margin_c",), (_MARGIN,)),
    (("sram_ecc_uncorrected", "sram_ecc_threshold_exceeded"), (_SRAM,)),
    (("remap_banks_spent",), (_BANKS,)),
    (("sm_clock_max_hz",), (_clock("nvmlDeviceGetMaxClockInfo", pynvml.NVML_CLOCK_SM),)),
    (("mem_clock_max_hz",), (_clock("nvmlDeviceGetMaxClockInfo", pynvml.NVML_CLOCK_MEM),)),
    (("pcie_link_gen",), (_number("nvmlDeviceGetCurrPcieLinkGeneration"),)),
    (("pcie_link_width",), (_number("nvmlDeviceGetCurrPcieLinkWidth"),)),
    (("pcie_link_gen_max",), (_number("nvmlDeviceGetMaxPcieLinkGeneration"),)),
    (("pcie_link_width_max",), (_number("nvmlDeviceGetMaxPcieLinkWidth"),)),
    (("nvlink_links_up", "nvlink_links"), (_links,)),
)
#: How to ask for a field's value where the field is not supported.
OLDER_WAYS: dict[str, Way] = {
    "power_w": _number("nvmlDeviceGetPowerUsage", per=1000),
    "energy_counter_mj": _number("nvmlDeviceGetTotalEnergyConsumption", made=c_ulonglong),
    "power_limit_w": _number("nvmlDeviceGetEnforcedPowerLimit", per=1000),
    "pcie_replays": _number("nvmlDeviceGetPcieReplayCounter"),
}

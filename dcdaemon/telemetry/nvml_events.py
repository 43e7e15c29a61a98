"""XIDs and recovery actions as NVML tells them, in a thread that sleeps in the driver until there is one."""

import time
from collections.abc import Callable
from ctypes import c_void_p, cast

from dcdaemon.telemetry.nvml_errors import GpuLost, NoDriver, unsupported
from dcdaemon.telemetry.nvml_library import pynvml

_KINDS = {
    pynvml.nvmlEventTypeXidCriticalError: "xid",
    pynvml.nvmlEventTypeGpuRecoveryAction: "recovery_action",
}
# A wait lasts so long when every GPU is listened to; until then there are newcomers to look for.
_WAIT_MS, _NEWCOMERS_MS = 10_000, 500
# A lost GPU makes every wait fail at once. It is left out then, but should that not help, this is no busy loop.
_PAUSE_S = 1.0

#: Told the GPU, the kind of event, and its number.
Tell = Callable[[int, str, int], None]


class Events:
    """Listens to the GPUs it is given; one that has no events is left out, and not unhealthy for that."""

    def __init__(self, count: int, tell: Tell) -> None:
        self._count, self._tell = count, tell
        self._handles: dict[int, pynvml.c_nvmlDevice_t] = {}
        self._registered: set[int] = set()
        self._set: pynvml.c_nvmlEventSet_t | None = None
        self._begun_s = 0.0

    def add(self, gpu: int, handle: object) -> None:
        """Have a GPU listened to, from any thread."""
        self._handles[gpu] = handle

    def run(self) -> None:
        """Listen for ever; return where the driver has no events."""
        while True:
            try:
                self._listen()
            except (NoDriver, GpuLost):
                self._begin_anew()
            except pynvml.NVMLError as error:
                if error.value in (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND):
                    return
                if error.value != pynvml.NVML_ERROR_TIMEOUT:
                    self._begin_anew()

    def _listen(self) -> None:
        if self._set is None:
            self._set = pynvml.nvmlEventSetCreate()
        for gpu in self._handles.keys() - self._registered:
            self._register(gpu)
        if not self._registered:
            time.sleep(_NEWCOMERS_MS / 1000)
            return
        wait_ms = _WAIT_MS if len(self._registered) == self._count else _NEWCOMERS_MS
        event = pynvml.nvmlEventSetWait_v2(self._set, wait_ms)
        source, kind = self._gpu(event.device), _KINDS.get(event.eventType)
        if source is not None and kind is not None:
            self._tell(source, kind, event.eventData)

    def _register(self, gpu: int) -> None:
        handle = self._handles[gpu]
        try:
            wanted = pynvml.nvmlDeviceGetSupportedEventTypes(handle) & sum(_KINDS)
            if wanted:
                pynvml.nvmlDeviceRegisterEvents(handle, wanted, self._set)
        except GpuLost:
            return
        except pynvml.NVMLError as error:
            if not unsupported(error.value):
                return
        self._registered.add(gpu)

    def _gpu(self, device: pynvml.c_nvmlDevice_t) -> int | None:
        address = cast(device, c_void_p).value
        for gpu, handle in self._handles.items():
            if cast(handle, c_void_p).value == address:
                return gpu
        return None

    def _begin_anew(self) -> None:
        """Listen to those GPUs that can be registered again."""
        time.sleep(max(0.0, self._begun_s + _PAUSE_S - time.monotonic()))
        self._begun_s = time.monotonic()
        if self._set is not None:
            pynvml.nvmlEventSetFree(self._set)
        self._set = None
        self._registered.clear()

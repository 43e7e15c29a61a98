"""What NVML's return codes mean to the telemetry child: a question to leave out, a lost GPU, or no driver at all."""

from collections.abc import Callable

from dcdaemon.telemetry.nvml_library import pynvml

#: The GPU, the driver or our rights cannot answer this, now or later: it is not asked again.
UNSUPPORTED = frozenset(
    {
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
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


class NoDriver(Exception):
    """The driver cannot be asked at all; `code` is NVML's return code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the NVIDIA driver cannot be used: {pynvml.NVMLError(code)} (NVML code {code})")
        self.code = code


class GpuLost(Exception):
    """A GPU will not answer until it is reset; the text says in which way."""


def unsupported(code: int) -> bool:
    """Return whether a failed question is to be left out; raise GpuLost or NoDriver where the trouble is larger."""
    if code in _LOST:
        raise GpuLost(_LOST[code])
    if code in _DRIVER_GONE:
        raise NoDriver(code)
    return code in UNSUPPORTED


def function(name: str) -> Callable[..., int]:
    """Return a function of the driver's library; one that an old driver lacks answers so when it is called."""
    try:
        found: Callable[..., int] = pynvml._nvmlGetFunctionPointer(name)  # noqa: SLF001  without pynvml's wrapper
    except pynvml.NVMLError as error:
        code: int = error.value
        return lambda *_: code
    return found

"""NVIDIA's bindings of NVML, the only way to them: loaded as small as they can be, for the telemetry child alone.

The child lives as long as the daemon and is counted in its size. So its modules also do without `typing`.
"""

import sys
from types import ModuleType

__all__ = ["pynvml"]


def _find_library(name: str) -> str | None:
    """Search as the real module does, should anybody ask."""
    del sys.modules["ctypes.util"]
    from ctypes.util import find_library  # noqa: PLC0415  the point of it all

    return find_library(name)


# The bindings import this search for libraries, and with it subprocess, tempfile and random: 1.5 MB that nobody uses.
if "ctypes.util" not in sys.modules:
    sys.modules["ctypes.util"] = ModuleType("ctypes.util")
    setattr(sys.modules["ctypes.util"], "find_library", _find_library)  # noqa: B010  it is made here
    import pynvml

    del sys.modules["ctypes.util"]
else:
    import pynvml

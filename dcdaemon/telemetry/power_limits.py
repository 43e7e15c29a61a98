"""Power limits of GPUs: set through NVML after the ones that were found are written down, and put back."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dcdaemon.core.errors import BadConfig, Refused
from dcdaemon.telemetry.nvml_errors import NoDriver
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.sensors import write

_MILLI = 1000
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class PowerLimit:
    """The power limit of one GPU in watts: what it is, and between which values the board lets it be set."""

    index: int
    uuid: str
    now_w: float
    least_w: float
    most_w: float


class Boards:
    """The GPUs of this node while the driver is open; a context manager that raises NoDriver when it cannot be."""

    def __enter__(self) -> Self:
        """Open the driver."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NoDriver(error.value) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the driver."""
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()

    def limits(self) -> Iterator[PowerLimit]:
        """Yield the limit of each GPU that has one; a GPU that does not answer is left out."""
        for index in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):
                yield _limit(index)

    def set(self, gpu: PowerLimit, watts: float) -> None:
        """Set the limit of one GPU; raise Refused with the driver's own word."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(gpu.index)
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(watts * _MILLI))
        except pynvml.NVMLError as error:
            raise Refused(
                f"GPU {gpu.index} keeps its power limit of {gpu.now_w:g} W: {error}",
                "only root may change it, with CAP_SYS_ADMIN: systemctl start dcdaemon-power",
            ) from error


def set_limits(boards: Boards, wanted: Mapping[int | None, float], found: Path) -> list[str]:
    """Set the limits that are wanted by index (None: of all others), and return what was done, a line for each GPU.

    All are checked before the first is set: raise BadConfig for one that the board does not take, Refused for one
    that the driver does not. `found` is the file that keeps the limits of before, by UUID, from before the first
    change on. A GPU in it that is wanted no more gets its own back.
    """
    gpus = list(boards.limits())
    targets = {gpu.uuid: wanted.get(gpu.index, wanted.get(None)) for gpu in gpus}
    _refuse_misfits(gpus, wanted)
    before = {gpu.uuid: gpu.now_w for gpu in gpus if targets[gpu.uuid] is not None} | _read(found)
    _keep(found, before)
    done = _apply(boards, gpus, {uuid: watts or before.get(uuid) for uuid, watts in targets.items()})
    _keep(found, {uuid: watts for uuid, watts in before.items() if targets.get(uuid, watts) is not None})
    return done


def restore_limits(boards: Boards, found: Path) -> list[str]:
    """Put the limits of before back, and return what was done; those of GPUs that do not answer are kept for later."""
    before, gpus = _read(found), list(boards.limits())
    done = _apply(boards, gpus, before)
    _keep(found, {uuid: watts for uuid, watts in before.items() if uuid not in {gpu.uuid for gpu in gpus}})
    return done


def _limit(index: int) -> PowerLimit:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    least, most = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    now = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
    return PowerLimit(index, str(pynvml.nvmlDeviceGetUUID(handle)), now / _MILLI, least / _MILLI, most / _MILLI)


def _refuse_misfits(gpus: list[PowerLimit], wanted: Mapping[int | None, float]) -> None:
    known = {gpu.index: gpu for gpu in gpus}
    for index in wanted.keys() - {None} - known.keys():
        raise BadConfig(
            f"gpus.power_limit_w names GPU {index}, which has no power limit or is not there",
            "dcd gpus lists them; a GPU that does not answer is none",
        )
    for gpu in gpus:
        watts = wanted.get(gpu.index, wanted.get(None))
        if watts is not None and not gpu.least_w <= watts <= gpu.most_w:
            raise BadConfig(
                f"gpus.power_limit_w = {watts:g} is not for GPU {gpu.index}, which takes "
                f"{gpu.least_w:g} to {gpu.most_w:g} W",
                "set a limit between them; no GPU was changed",
            )


def _apply(boards: Boards, gpus: list[PowerLimit], targets: Mapping[str, float | None]) -> list[str]:
    done = []
    for gpu in gpus:
        watts = targets.get(gpu.uuid)
        if watts is not None and watts != gpu.now_w:
            boards.set(gpu, watts)
            done.append(f"GPU {gpu.index}: {gpu.now_w:g} W -> {watts:g} W")
    return done


def _read(found: Path) -> dict[str, float]:
    try:
        document = json.loads(found.read_bytes())
    except FileNotFoundError:
        return {}
    return {str(uuid): float(watts) for uuid, watts in document["limits_w"].items()}


def _keep(found: Path, limits_w: Mapping[str, float]) -> None:
    if limits_w:
        write(found, {"schema": _SCHEMA, "limits_w": dict(limits_w)})
    else:
        found.unlink(missing_ok=True)

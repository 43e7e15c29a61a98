"""Which GPUs were slower at their work than the others of their model: they are given away later."""

from collections.abc import Iterable

from dcdaemon.control.desk import Desk
from dcdaemon.control.drain import refresh_slots
from dcdaemon.core.gpu import GpuInfo, GpuSpeed

#: How far back is looked.
LOOK_BACK_S = 7 * 86400.0
#: A GPU that was busy less than this is not judged, and none is judged by it.
LEAST_MINUTES = 60
#: Boards of one model differ that much by nature: clocks under load depend on the chip and on its place in the rack.
SLOWER = 0.03


def slow_gpus(speeds: Iterable[GpuSpeed], gpus: Iterable[GpuInfo]) -> frozenset[int]:
    """Return the GPUs whose clock under load was more than 3 % below the fastest one of the same model."""
    models = {gpu.index: gpu.name for gpu in gpus}
    judged = [one for one in speeds if one.busy_minutes >= LEAST_MINUTES and one.gpu in models]
    best_hz: dict[str, float] = {}
    for one in judged:
        best_hz[models[one.gpu]] = max(one.sm_clock_hz, best_hz.get(models[one.gpu], 0.0))
    return frozenset(one.gpu for one in judged if one.sm_clock_hz < (1 - SLOWER) * best_hz[models[one.gpu]])


def learn_speeds(desk: Desk) -> None:
    """Look at the last week again, and have the scheduler know; raise StoreUnavailable."""
    desk.board.slow = slow_gpus(desk.store.gpu_speeds(desk.clock.now() - LOOK_BACK_S), desk.gpus)
    refresh_slots(desk)

"""How fast each GPU was while it was busy, from the minutes that are folded already."""

from sqlalchemy import Connection, func, select

from dcdaemon.core.gpu import BUSY_RATIO, GpuSpeed
from dcdaemon.core.samples import GpuSample
from dcdaemon.store.series import MINUTE_S, SERIES

_MINUTES = SERIES[GpuSample].folded[MINUTE_S].c


def gpu_speeds(connection: Connection, node: str, since: float) -> list[GpuSpeed]:
    """Return the mean clock of each GPU over its busy minutes since then, by index; simulated readings tell nothing."""
    statement = (
        select(_MINUTES.gpu, func.count(), func.avg(_MINUTES.sm_clock_hz_avg))
        .where(
            _MINUTES.node == node, _MINUTES.ts >= since, _MINUTES.util_ratio_min >= BUSY_RATIO,
            _MINUTES.sm_clock_hz_avg.is_not(None), _MINUTES.simulated.is_not(True),
        )
        .group_by(_MINUTES.gpu)
        .order_by(_MINUTES.gpu)
    )  # fmt: skip
    return [GpuSpeed(gpu, minutes, float(clock_hz)) for gpu, minutes, clock_hz in connection.execute(statement)]

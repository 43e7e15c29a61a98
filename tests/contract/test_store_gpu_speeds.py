"""Every store tells how fast each GPU was while it was busy."""

import pytest

from dcdaemon.core.gpu import GpuSpeed
from dcdaemon.core.ports import Store
from dcdaemon.core.samples import GpuSample

T0 = 1_700_000_040.0  # the first second of a minute


def recorded(store: Store, gpu: int, minute: int, clock_hz: int | None, *utils: float, simulated: bool = False) -> None:
    at = T0 + 60 * minute
    store.record(
        [
            GpuSample(at + second, second, gpu, util_ratio=util, sm_clock_hz=clock_hz, simulated=simulated)
            for second, util in enumerate(utils)
        ]
    )


def test_only_minutes_count_in_which_a_gpu_was_busy_all_the_time(store: Store) -> None:
    recorded(store, 0, 0, 1_900_000_000, 1.0, 0.5)
    recorded(store, 0, 1, 1_700_000_000, 0.8, 0.9)
    recorded(store, 0, 2, 300_000_000, 1.0, 0.0)
    recorded(store, 1, 0, 200_000_000, 0.1)
    recorded(store, 2, 0, None, 1.0)
    recorded(store, 3, 0, 1_500_000_000, 1.0, simulated=True)
    store.flush_samples()
    store.roll_up(T0 + 600)
    assert store.gpu_speeds(T0) == [GpuSpeed(0, 2, pytest.approx(1_800_000_000))]
    assert store.gpu_speeds(T0 + 60) == [GpuSpeed(0, 1, pytest.approx(1_700_000_000))]

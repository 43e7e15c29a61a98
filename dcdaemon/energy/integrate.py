"""Turns two readings of one GPU into the energy it took in between: by its counter, else by its power."""

from dataclasses import dataclass
from math import isfinite

from dcdaemon.core.energy import EnergyMethod
from dcdaemon.core.samples import GpuSample

#: Two readings of power further apart say nothing of what lay between them.
MAX_GAP_S = 30.0
#: Counters refresh about every 100 ms (Zeus), so a difference may hold this much more than its own time.
COUNTER_GRAIN_S = 0.2
#: No board is known to draw more than twice its limit over a poll interval; more is a broken counter.
IMPLAUSIBLE_FACTOR = 2.0
#: Stands in for a limit that the driver does not tell; above every board sold today.
UNKNOWN_LIMIT_W = 1500.0
#: Half-width of the sensor's own error, in per cent (arXiv 2312.02741: -7 to +1 % on most boards).
SENSOR_UNCERTAINTY_PCT = 5.0
#: Added per second between two readings of the 1-second-average power (simulated against known integrals).
SAMPLING_UNCERTAINTY_PCT_PER_S = 1.0


@dataclass(frozen=True, slots=True)
class MeterReading:
    """Where a meter stands; `monotonic_s` is None when it was read back from the store after a restart.

    `unbooked_mj` is the fraction of a millijoule, 0 to 1, that power integrals have left over.
    """

    at: float
    monotonic_s: float | None
    counter_mj: int | None
    power_w: float | None = None
    power_limit_w: float | None = None
    unbooked_mj: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The energy of one interval; `from_at` is `to_at` less the time passed, whatever the wall clock did.

    `reset`: the counter started anew. `implausible`: it jumped beyond what a board can draw, and is not used.
    `uncertainty_pct` is None when the error has no known bound: after a reset, or over a gap.
    """

    energy_mj: int
    method: EnergyMethod
    from_at: float
    to_at: float
    gap_s: float = 0.0
    reset: bool = False
    implausible: bool = False
    uncertainty_pct: float | None = None
    unbooked_mj: float = 0.0


def tells_energy(sample: GpuSample) -> bool:
    """Tell whether a sample says anything of energy; if not it is no reading, and the next one spans it."""
    return sample.energy_counter_mj is not None or _sane(sample.power_w) is not None


def read(sample: GpuSample, unbooked_mj: float = 0.0) -> MeterReading:
    """Return where the meter stands after this sample."""
    return MeterReading(
        at=sample.at,
        monotonic_s=sample.monotonic_s,
        counter_mj=sample.energy_counter_mj,
        power_w=_sane(sample.power_w),
        power_limit_w=sample.power_limit_w,
        unbooked_mj=unbooked_mj,
    )


def measure(previous: MeterReading, sample: GpuSample, max_gap_s: float = MAX_GAP_S) -> Measured | None:
    """Return the energy between two readings, never negative; None when the sample is not newer."""
    elapsed_s = _elapsed(previous, sample)
    if elapsed_s is None:
        return None
    counted_mj, reset = _counted(previous, sample)
    ceiling_mj = 1000 * IMPLAUSIBLE_FACTOR * _limit(previous, sample) * (elapsed_s + COUNTER_GRAIN_S)
    if counted_mj is None or counted_mj > ceiling_mj:
        return _by_power(previous, sample, elapsed_s, max_gap_s, implausible=counted_mj is not None)
    return Measured(
        energy_mj=counted_mj,
        method=EnergyMethod.COUNTER,
        from_at=sample.at - elapsed_s,
        to_at=sample.at,
        reset=reset,
        uncertainty_pct=None if reset else SENSOR_UNCERTAINTY_PCT,
        unbooked_mj=previous.unbooked_mj,
    )


def _elapsed(previous: MeterReading, sample: GpuSample) -> float | None:
    if previous.monotonic_s is None:
        # Across a restart only the wall clock goes on; set back, it leaves an interval of unknown length.
        return max(sample.at - previous.at, 0.0)
    elapsed_s = sample.monotonic_s - previous.monotonic_s
    return elapsed_s if elapsed_s > 0 else None


def _counted(previous: MeterReading, sample: GpuSample) -> tuple[int | None, bool]:
    before_mj, now_mj = previous.counter_mj, sample.energy_counter_mj
    if before_mj is None or now_mj is None or now_mj < 0:
        return None, False
    if now_mj < before_mj:
        return now_mj, True  # counted since the driver was loaded again; what came before that is not known
    return now_mj - before_mj, False


def _limit(previous: MeterReading, sample: GpuSample) -> float:
    # The larger of both ends: a limit lowered just now did not bind before.
    known = [limit for limit in (previous.power_limit_w, sample.power_limit_w) if _sane(limit)]
    return max((limit for limit in known if limit is not None), default=UNKNOWN_LIMIT_W)


def _by_power(
    previous: MeterReading, sample: GpuSample, elapsed_s: float, max_gap_s: float, *, implausible: bool
) -> Measured:
    ends = [power for power in (_sane(previous.power_w), _sane(sample.power_w)) if power is not None]
    measured = bool(ends) and elapsed_s <= max_gap_s and previous.monotonic_s is not None
    mean_w = sum(ends) / len(ends) if measured else 0.0
    exact_mj = mean_w * elapsed_s * 1000 + previous.unbooked_mj
    energy_mj = int(exact_mj)
    sampling_pct = SAMPLING_UNCERTAINTY_PCT_PER_S * elapsed_s
    return Measured(
        energy_mj=energy_mj,
        method=EnergyMethod.POWER,
        from_at=sample.at - elapsed_s,
        to_at=sample.at,
        gap_s=0.0 if measured else elapsed_s,
        implausible=implausible,
        uncertainty_pct=SENSOR_UNCERTAINTY_PCT + sampling_pct if measured else None,
        unbooked_mj=exact_mj - energy_mj,
    )


def _sane(power_w: float | None) -> float | None:
    # Sensors that fail have told NaN, negative watts and terawatts.
    if power_w is None or not isfinite(power_w) or not 0 <= power_w <= IMPLAUSIBLE_FACTOR * UNKNOWN_LIMIT_W:
        return None
    return power_w

"""Fold consecutive intervals of one GPU within one hour into one, so that booking often costs little."""

from collections.abc import Iterable

from dcdaemon.core.energy import EnergyMethod, EnergyShare, Metered

_HOUR_S = 3600


def combine(intervals: Iterable[Metered]) -> list[Metered]:
    """Return one interval per GPU and hour (the hour it ends in); sums of energy, time and shares stay exact."""
    combined: dict[tuple[int, int], Metered] = {}
    for interval in intervals:
        key = (interval.gpu, int(interval.to_at // _HOUR_S))
        earlier = combined.get(key)
        combined[key] = interval if earlier is None else _joined(earlier, interval)
    return list(combined.values())


def _joined(one: Metered, other: Metered) -> Metered:
    counters = {one.method, other.method} == {EnergyMethod.COUNTER}
    return Metered(
        node=one.node, gpu=one.gpu, from_at=min(one.from_at, other.from_at), to_at=max(one.to_at, other.to_at),
        energy_mj=one.energy_mj + other.energy_mj,
        # One part that was integrated makes the whole an integral.
        method=EnergyMethod.COUNTER if counters else EnergyMethod.POWER,
        shares=_shares((*one.shares, *other.shares)), counter_mj=other.counter_mj,
        gap_s=one.gap_s + other.gap_s, reset=one.reset or other.reset,
    )  # fmt: skip


def _shares(shares: Iterable[EnergyShare]) -> tuple[EnergyShare, ...]:
    merged: dict[int, EnergyShare] = {}
    for share in shares:
        known = merged.get(share.job_id)
        energy_mj, held_s = (known.energy_mj, known.held_s) if known else (0, 0.0)
        merged[share.job_id] = EnergyShare(
            share.node, share.gpu, share.job_id, energy_mj + share.energy_mj, held_s + share.held_s
        )
    return tuple(merged.values())

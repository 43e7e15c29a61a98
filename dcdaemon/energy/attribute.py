"""Splits the energy of one interval among the jobs that held the GPU; what nobody held is idle."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from dcdaemon.core.energy import IDLE, EnergyShare, Metered
from dcdaemon.energy.integrate import Measured

#: A holding that is open and begins this far after the interval was left in the future by a clock set back.
CLOCK_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class Holding:
    """When a job holds a GPU, in epoch seconds; `to_at` None while it goes on; `weight` for sharing."""

    job_id: int
    gpu: int
    from_at: float
    to_at: float | None = None
    weight: float = 1.0


def attribute(node: str, gpu: int, measured: Measured, counter_mj: int | None, holdings: Sequence[Holding]) -> Metered:
    """Return the interval with its shares, which add up to the measured energy exactly."""
    held_s = held_seconds(gpu, measured.from_at, measured.to_at, holdings)
    parts_mj = split(measured.energy_mj, held_s)
    return Metered(
        node=node,
        gpu=gpu,
        from_at=measured.from_at,
        to_at=measured.to_at,
        energy_mj=measured.energy_mj,
        method=measured.method,
        shares=tuple(EnergyShare(node, gpu, job_id, parts_mj[job_id], held_s[job_id]) for job_id in sorted(held_s)),
        counter_mj=counter_mj,
        gap_s=measured.gap_s,
        reset=measured.reset or measured.implausible,
    )


def held_seconds(gpu: int, from_at: float, to_at: float, holdings: Sequence[Holding]) -> dict[int, float]:
    """Return the GPU seconds of each job in the interval, those of nobody under IDLE; together its length.

    Jobs that hold the GPU at the same time share it by their weights.
    """
    spans = [span for holding in holdings if holding.gpu == gpu and (span := _span(holding, from_at, to_at))]
    edges = sorted({from_at, to_at, *(edge for begin, end, _ in spans for edge in (begin, end))})
    held_s: defaultdict[int, float] = defaultdict(float)
    for begin, end in pairwise(edges):
        holders = [holding for first, last, holding in spans if first <= begin and end <= last]
        total = sum(holding.weight for holding in holders)
        for holding in holders:
            held_s[holding.job_id] += (end - begin) * holding.weight / total
        if not holders:
            held_s[IDLE] += end - begin
    return dict(held_s) or {IDLE: 0.0}


def split(total: int, weights: Mapping[int, float]) -> dict[int, int]:
    """Split an integer by weights, largest remainder: exact in sum, each part within 1 of its exact share.

    Equal remainders go to the lower key. With no weight at all, everything is IDLE.
    """
    if len(weights) == 1:
        return dict.fromkeys(weights, total)
    whole = sum(map(Fraction, weights.values()))
    if whole == 0:
        return {**dict.fromkeys(weights, 0), IDLE: total}
    exact = {key: total * Fraction(weight) / whole for key, weight in weights.items()}
    parts = {key: int(share) for key, share in exact.items()}
    left = total - sum(parts.values())
    for key in sorted(exact, key=lambda key: (parts[key] - exact[key], key))[:left]:
        parts[key] += 1
    return parts


def _span(holding: Holding, from_at: float, to_at: float) -> tuple[float, float, Holding] | None:
    begin, end = holding.from_at, holding.to_at
    if end is None and begin > to_at + CLOCK_STEP_S:
        begin = from_at
    begin, end = max(begin, from_at), to_at if end is None else min(end, to_at)
    return (begin, end, holding) if begin < end and holding.weight > 0 else None

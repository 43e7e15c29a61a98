"""Energy with what it cost: booked joules priced with what the operator says a kilowatt-hour costs here."""

from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.energy.cost import carbon_g, cost, kwh


@dataclass(frozen=True, slots=True)
class EnergyLine:
    """One line of the energy report; cost and carbon are None where no price is known."""

    key: str
    energy_mj: int
    gpu_s: float
    energy_kwh: float
    cost: float | None
    carbon_g: float | None


def energy_lines(desk: Desk, by: str, since: float | None) -> tuple[list[EnergyLine], EnergyLine]:
    """Return the lines, largest first, idle included, and their total."""
    rows = desk.store.energy(by, since)
    total = sum(row.energy_mj for row in rows), sum(row.gpu_s for row in rows)
    return [_line(desk, row.key, row.energy_mj, row.gpu_s) for row in rows], _line(desk, "total", *total)


def _line(desk: Desk, key: str, energy_mj: int, gpu_s: float) -> EnergyLine:
    facts = desk.board.facts
    return EnergyLine(
        key, energy_mj, gpu_s, kwh(energy_mj), cost(energy_mj, facts.price_per_kwh),
        carbon_g(energy_mj, facts.carbon_g_per_kwh),
    )  # fmt: skip

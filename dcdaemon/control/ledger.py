"""Energy with what it cost: booked joules priced with what the operator says a kilowatt-hour costs here."""

from collections.abc import Sequence
from dataclasses import dataclass

from dcdaemon.control.access import jobs_by_id, sees_only_own
from dcdaemon.control.desk import Desk
from dcdaemon.core.ports import Actor, EnergyRow
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


def energy_lines(desk: Desk, actor: Actor, by: str, since: float | None) -> tuple[list[EnergyLine], EnergyLine]:
    """Return the lines, largest first, idle included, and their total.

    Where people see their own jobs alone, what all others used is one line, `others`.
    """
    rows = desk.store.energy(by, since)
    if sees_only_own(desk, actor) and by in ("user", "job"):
        rows = _own(desk, actor, by, rows)
    total = sum(row.energy_mj for row in rows), sum(row.gpu_s for row in rows)
    return [_line(desk, row.key, row.energy_mj, row.gpu_s) for row in rows], _line(desk, "total", *total)


def _own(desk: Desk, actor: Actor, by: str, rows: Sequence[EnergyRow]) -> list[EnergyRow]:
    keys = {actor.user} if by == "user" else set()
    if by == "job":
        jobs = jobs_by_id(desk, (int(row.key) for row in rows if row.key.isdecimal()))
        keys = {str(job.id) for job in jobs.values() if desk.owns(actor, job)}
    own = [row for row in rows if row.key in keys or row.key == "idle"]
    rest = [row for row in rows if row not in own]
    if not rest:
        return own
    others = EnergyRow("others", sum(row.energy_mj for row in rest), sum(row.gpu_s for row in rest))
    return sorted([*own, others], key=lambda row: -row.energy_mj)


def _line(desk: Desk, key: str, energy_mj: int, gpu_s: float) -> EnergyLine:
    facts = desk.board.facts
    return EnergyLine(
        key, energy_mj, gpu_s, kwh(energy_mj), cost(energy_mj, facts.price_per_kwh),
        carbon_g(energy_mj, facts.carbon_g_per_kwh),
    )  # fmt: skip

"""The energy ledger: who used how many millijoules of which GPU, and where each meter stands."""

import functools
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, case, func, or_, select

from dcdaemon.core.energy import IDLE, Metered
from dcdaemon.core.errors import BadInput
from dcdaemon.core.job import Usage
from dcdaemon.core.ports import EnergyRow, MeterState, UsageDelta
from dcdaemon.store.jobs import select_by_id
from dcdaemon.store.schema import energy, gpu, job, meter, usage
from dcdaemon.store.series import HOUR_S
from dcdaemon.store.upsert import insert_into, upsert

Rows = list[dict[str, Any]]


def book(connection: Connection, node: str, metered: Sequence[Metered], deltas: Sequence[UsageDelta]) -> None:
    """Add to ledger, meters and usage in the transaction at hand."""
    uuids = {(row.node, row.gpu): row.uuid for row in connection.execute(select(gpu.c.node, gpu.c.gpu, gpu.c.uuid))}
    _execute(connection, upsert(connection, energy, add=("energy_mj", "held_s")), _energy_rows(metered))
    _execute(connection, upsert(connection, meter, add=("measured_mj",)), _meter_rows(metered, uuids))
    _execute(connection, _usage_upsert(connection.dialect.name), _usage_rows(node, metered, deltas))


def _execute(connection: Connection, statement: Insert, rows: Rows) -> None:
    if rows:
        connection.execute(statement, rows)


def _energy_rows(metered: Sequence[Metered]) -> Rows:
    """Give every share to the hour in which its interval ended; refuse parts that do not add up."""
    rows: Rows = []
    for interval in metered:
        parts_mj = sum(share.energy_mj for share in interval.shares)
        if parts_mj != interval.energy_mj:
            msg = f"the parts of {interval} add up to {parts_mj} mJ"
            raise ValueError(msg)
        hour = int(interval.to_at // HOUR_S) * HOUR_S
        rows += [
            {
                "node": interval.node,
                "gpu": interval.gpu,
                "hour": hour,
                "job_id": share.job_id,
                "energy_mj": share.energy_mj,
                "held_s": share.held_s,
            }
            for share in interval.shares
        ]
    return rows


def _meter_rows(metered: Sequence[Metered], uuids: dict[tuple[str, int], str]) -> Rows:
    return [
        {
            "node": interval.node,
            "gpu": interval.gpu,
            "uuid": uuids.get((interval.node, interval.gpu), ""),
            "at": interval.to_at,
            "counter_mj": interval.counter_mj,
            "measured_mj": interval.energy_mj,
        }
        for interval in metered
    ]


def _usage_rows(node: str, metered: Sequence[Metered], deltas: Sequence[UsageDelta]) -> Rows:
    blank = {"node": node, "energy_mj": 0, "gpu_s": 0.0, "util_s": 0.0, "sampled_s": 0.0,
             "mem_peak_bytes": None, "method": None}  # fmt: skip
    rows: Rows = []
    for interval in metered:
        rows += [
            {**blank, "job_id": share.job_id, "energy_mj": share.energy_mj, "gpu_s": share.held_s,
             "method": interval.method.value}
            for share in interval.shares if share.job_id != IDLE
        ]  # fmt: skip
    for delta in deltas:
        rows.append({**blank, "job_id": delta.job_id, "util_s": delta.util_s, "sampled_s": delta.sampled_s,
                     "mem_peak_bytes": delta.mem_peak_bytes})  # fmt: skip
    return rows


@functools.cache
def _usage_upsert(dialect: str) -> Insert:
    statement = insert_into(dialect, usage)
    new, old = statement.excluded, usage.c
    changed = {name: old[name] + new[name] for name in ("energy_mj", "gpu_s", "util_s", "sampled_s")}
    # max() of two values is spelt differently in the two databases, and treats NULL differently.
    higher = or_(old.mem_peak_bytes.is_(None), new.mem_peak_bytes > old.mem_peak_bytes)
    changed["mem_peak_bytes"] = case((higher, new.mem_peak_bytes), else_=old.mem_peak_bytes)
    changed["method"] = case(
        (new.method.is_(None), old.method),
        (or_(old.method.is_(None), old.method == new.method), new.method),
        else_="mixed",
    )
    upserted: Insert = statement.on_conflict_do_update(index_elements=[old.job_id], set_=changed)
    return upserted


def meters(connection: Connection, node: str) -> list[MeterState]:
    """Return where the meters of the node stand."""
    statement = select(meter).where(meter.c.node == node).order_by(meter.c.gpu)
    return [MeterState(row.gpu, row.uuid, row.at, row.counter_mj) for row in connection.execute(statement)]


def usage_of(connection: Connection, job_ids: Iterable[int]) -> dict[int, Usage]:
    """Return the usage of each job that has any."""
    return {
        row.job_id: Usage(
            job_id=row.job_id,
            energy_mj=row.energy_mj,
            gpu_s=row.gpu_s,
            util_s=row.util_s,
            sampled_s=row.sampled_s,
            mem_peak_bytes=row.mem_peak_bytes,
            method=row.method,
        )
        for row in select_by_id(connection, select(usage), usage.c.job_id, job_ids)
    }


def energy_by(connection: Connection, node: str, by: str, since: float | None) -> list[EnergyRow]:
    """Sum the ledger, largest first; `since` counts from the start of its hour."""
    if by == "day":
        return _sorted(_by_day(_sums(connection, since, energy.c.hour)))
    if by == "gpu":
        sums = _sums(connection, since, energy.c.node, energy.c.gpu)
        return _sorted(
            EnergyRow(str(index) if where == node else f"{where}:{index}", mj, held_s)
            for where, index, mj, held_s in sums
        )
    if by in ("user", "job"):
        who = job.c.user_name if by == "user" else energy.c.job_id
        idle = (energy.c.job_id == IDLE).label("idle")
        sums = _sums(connection, since, idle, case((energy.c.job_id != IDLE, who)).label("who"))
        return _sorted(
            EnergyRow("idle" if idle else str(who or "unknown"), mj, held_s) for idle, who, mj, held_s in sums
        )
    msg = f"energy cannot be summed by {by!r}"
    raise BadInput(msg, "choose one of user, job, gpu, day")


def _sums(connection: Connection, since: float | None, *keys: ColumnElement[Any]) -> list[tuple[Any, ...]]:
    statement = (
        select(*keys, func.sum(energy.c.energy_mj), func.sum(energy.c.held_s))
        .select_from(energy.outerjoin(job, job.c.id == energy.c.job_id))
        .group_by(*keys)
    )
    if since is not None:
        statement = statement.where(energy.c.hour >= int(since // HOUR_S) * HOUR_S)
    # PostgreSQL sums 64-bit integers as decimals.
    return [(*row[:-2], int(row[-2]), float(row[-1])) for row in connection.execute(statement)]


def _by_day(sums: list[tuple[Any, ...]]) -> list[EnergyRow]:
    """Fold hours to days of the node's own time zone, which the database need not share."""
    days: dict[str, EnergyRow] = {}
    for hour, energy_mj, gpu_s in sums:
        day = time.strftime("%Y-%m-%d", time.localtime(hour))
        so_far = days.get(day, EnergyRow(day, 0, 0.0))
        days[day] = EnergyRow(day, so_far.energy_mj + energy_mj, so_far.gpu_s + gpu_s)
    return list(days.values())


def _sorted(rows: Iterable[EnergyRow]) -> list[EnergyRow]:
    return sorted(rows, key=lambda row: (-row.energy_mj, row.key))

"""What holds in a database at any moment, whatever was killed when; each violation is one sentence."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Select, exists, func, inspect, or_, select, text

from dcdaemon.core.energy import IDLE
from dcdaemon.core.job import ACTIVE, ENDED, JobState, Slot
from dcdaemon.store.schema import allocation, audit, energy, gpu_share, job, meter, rolled_up, usage
from dcdaemon.store.series import SERIES

Rule = Callable[[Connection], Iterator[str]]
_WORDS = {state.value for state in JobState}


def states(connection: Connection) -> Iterator[str]:
    """Each job is in a state that there is, with the times and GPUs of that state."""
    columns = select(job.c.id, job.c.state, job.c.gpus, job.c.attempt, job.c.ended_at)
    for row in connection.execute(columns):
        if row.state not in _WORDS:
            yield f"job {row.id} is in the state {row.state!r}, which does not exist"
        elif row.state in ENDED and row.ended_at is None:
            yield f"job {row.id} is {row.state} and has no end"
        elif row.state in ACTIVE and row.attempt < 1:
            yield f"job {row.id} is {row.state} and has made no attempt"
        elif row.state == JobState.WAITING and row.gpus != "[]":
            yield f"job {row.id} waits and has GPUs {row.gpus}"


def holds(connection: Connection) -> Iterator[str]:
    """Every active job has its GPUs, once; nobody else has any."""
    whole, parts = _wanted(connection)
    allocated = {(row.node, row.gpu): row.job_id for row in connection.execute(select(allocation))}
    shared: dict[Slot, set[int]] = defaultdict(set)
    for row in connection.execute(select(gpu_share)):
        shared[row.node, row.gpu].add(row.job_id)
    yield from _instances(connection)
    for slot in sorted(whole.keys() | parts.keys() | allocated.keys() | shared.keys()):
        yield from _slot(slot, (whole[slot], parts[slot]), allocated.get(slot), shared[slot])


def _instances(connection: Connection) -> Iterator[str]:
    columns = select(job.c.node, job.c.gpus, job.c.gpu_instance, func.min(job.c.id), func.count())
    with_one = job.c.state.in_(sorted(ACTIVE)) & job.c.gpu_instance.is_not(None)
    of_several = columns.where(with_one).group_by(job.c.node, job.c.gpus, job.c.gpu_instance).having(func.count() > 1)
    for node, gpus, name, first, count in connection.execute(of_several):
        where = f"MIG instance {name} of GPU {gpus.strip('[]')} of {node}"
        yield f"{where} is held by {count} jobs at once, of them job {first}"


def _wanted(connection: Connection) -> tuple[dict[Slot, set[int]], dict[Slot, set[int]]]:
    whole: dict[Slot, set[int]] = defaultdict(set)
    parts: dict[Slot, set[int]] = defaultdict(set)
    columns = select(job.c.id, job.c.node, job.c.gpus, job.c.gpu_mem_bytes).where(job.c.state.in_(sorted(ACTIVE)))
    for row in connection.execute(columns):
        for gpu in json.loads(row.gpus):
            (whole if row.gpu_mem_bytes is None else parts)[row.node, gpu].add(row.id)
    return whole, parts


def _slot(slot: Slot, wanted: tuple[set[int], set[int]], has: int | None, shares: set[int]) -> Iterator[str]:
    whole, parts = wanted
    where = f"GPU {slot[1]} of {slot[0]}"
    if len(whole) > 1 or (whole and parts):
        yield f"{where} is held by {_jobs(whole | parts)} at once"
    elif whole | parts and has not in whole | parts:
        yield f"{where} is held by {_jobs(whole | parts)}, and allocated to {'nobody' if has is None else f'job {has}'}"
    elif not whole | parts and has is not None:
        yield f"{where} is allocated to job {has}, which does not hold it"
    if shares != parts:
        yield f"{where} is shared by {_jobs(parts)}, and written down as shared by {_jobs(shares)}"


def _jobs(ids: set[int]) -> str:
    return f"jobs {', '.join(map(str, sorted(ids)))}" if len(ids) != 1 else f"job {next(iter(ids))}"


def ledger(connection: Connection) -> Iterator[str]:
    """For each GPU the ledger adds up to what its meter has measured, to the millijoule."""
    sums = select(energy.c.node, energy.c.gpu, func.sum(energy.c.energy_mj)).group_by(energy.c.node, energy.c.gpu)
    booked: dict[Slot, int] = {(node, gpu): int(mj) for node, gpu, mj in connection.execute(sums)}
    measured: dict[Slot, int] = {(row.node, row.gpu): row.measured_mj for row in connection.execute(select(meter))}
    for node, gpu in sorted(booked.keys() | measured.keys()):
        ours, its = booked.get((node, gpu), 0), measured.get((node, gpu), 0)
        if ours != its:
            yield f"GPU {gpu} of {node}: {ours} mJ are booked, its meter has measured {its} mJ"


def energy_of_jobs(connection: Connection) -> Iterator[str]:
    """Each job has used what the ledger has booked for it."""
    sums = select(energy.c.job_id, func.sum(energy.c.energy_mj)).where(energy.c.job_id != IDLE)
    booked: Mapping[int, int] = {row[0]: int(row[1]) for row in connection.execute(sums.group_by(energy.c.job_id))}
    used = {row.job_id: row.energy_mj for row in connection.execute(select(usage.c.job_id, usage.c.energy_mj))}
    for job_id in sorted(booked.keys() | used.keys()):
        ours, its = booked.get(job_id, 0), used.get(job_id, 0)
        if ours != its:
            yield f"job {job_id}: {ours} mJ are booked for it, its usage says {its} mJ"


def references(connection: Connection) -> Iterator[str]:
    """Arrays and dependencies name jobs that exist."""
    known = set(connection.execute(select(job.c.id)).scalars())
    named = or_(job.c.array_id.is_not(None), job.c.after != "[]", job.c.after_any != "[]", job.c.after_not_ok != "[]")
    columns = select(job.c.id, job.c.array_id, job.c.after, job.c.after_any, job.c.after_not_ok).where(named)
    for row in connection.execute(columns):
        if row.array_id is not None and row.array_id not in known:
            yield f"job {row.id} is of array {row.array_id}, whose first job does not exist"
        others = {other for column in row[2:] for other in json.loads(column)}
        if absent := others - known:
            yield f"job {row.id} waits for {_jobs(absent)}, which {'do' if len(absent) > 1 else 'does'} not exist"


def audited(connection: Connection) -> Iterator[str]:
    """Each job has its submit in the audit."""
    silent = select(job.c.id).where(~exists().where(audit.c.job_id == job.c.id)).order_by(job.c.id)
    for job_id in connection.execute(silent).scalars():
        yield f"job {job_id} is not in the audit: who submitted it is unknown"


def folded(connection: Connection) -> Iterator[str]:
    """Minutes and hours of samples begin at minutes and hours, are made of samples, and are known to be done."""
    done = {(row.node, row.series, row.bucket_s) for row in connection.execute(select(rolled_up))}
    for series in SERIES.values():
        for bucket_s, table in series.folded.items():
            askew = or_(table.c.ts % bucket_s != 0, table.c.n < 1)
            for node, rows in connection.execute(_count(table.c.node).where(askew)):
                yield f"{rows} rows of {table.name} on {node} are no whole bucket of {bucket_s} s"
            for node in connection.execute(select(table.c.node).distinct()).scalars():
                if (node, series.raw.name, bucket_s) not in done:
                    yield f"{table.name} has rows of {node}, and nothing says how far they are folded"


def _count(node: Any) -> Select[Any]:
    return select(node, func.count()).group_by(node)


def ids(connection: Connection) -> Iterator[str]:
    """No id of a job is given out again; on PostgreSQL its sequence keeps that, out of our sight while it runs."""
    if connection.dialect.name != "sqlite" or not inspect(connection).has_table("job"):
        return
    given = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'job'")).scalar() or 0
    newest = connection.execute(select(func.max(job.c.id))).scalar() or 0
    if newest > given:
        yield f"job {newest} exists, and the next new job would be given the id {given + 1}"


RULES: Mapping[str, Rule] = {
    "states": states, "gpus": holds, "ledger": ledger, "usage": energy_of_jobs, "references": references,
    "audit": audited, "samples": folded, "ids": ids,
}  # fmt: skip

"""The ledger over HTTP: finished jobs, energy with its cost, and what looked wrong."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from dcdaemon.api.documents import SCHEMA, Document, anomaly_document
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.listing import listed
from dcdaemon.control.ledger import EnergyLine, energy_lines
from dcdaemon.core.errors import NotFound
from dcdaemon.core.job import ENDED
from dcdaemon.core.ports import JobQuery

router = APIRouter(prefix="/v1", tags=["ledger"])
_WEEK_S = 7 * 86400.0
#: Three hundred years: more is no time of any calendar.
_LONGEST_S = 1e10
Since = Annotated[float | None, Query(ge=0, le=_LONGEST_S)]


@router.get("/history")
def get_history(
    desk: DeskOf,
    _: ActorOf,
    since_s: Annotated[float, Query(ge=0, le=_LONGEST_S)] = _WEEK_S,
    user: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> Document:
    """List ended jobs with what each one used."""
    ended_since = desk.clock.now() - since_s
    jobs = desk.store.jobs(JobQuery(states=ENDED, user=user, ended_since=ended_since, limit=limit))
    documents = listed(desk, jobs)
    totals = {
        "jobs": len(documents),
        "gpu_s": sum(document["gpu_s"] or 0.0 for document in documents),
        "energy_j": sum(document["energy_j"] or 0.0 for document in documents),
    }
    return {"schema": SCHEMA, "jobs": documents, "totals": totals}


@router.get("/energy")
def get_energy(
    desk: DeskOf, _: ActorOf, by: Literal["user", "job", "gpu", "day"] = "user", since_s: Since = None
) -> Document:
    """Sum booked energy; what no job used is the row `idle`."""
    since = None if since_s is None else desk.clock.now() - since_s
    facts = desk.board.facts
    lines, total = energy_lines(desk, by, since)
    return {
        "schema": SCHEMA, "by": by, "rows": [_energy(line) for line in lines], "total": _energy(total),
        "currency": facts.currency, "simulated": facts.simulated,
    }  # fmt: skip


def _energy(line: EnergyLine) -> Document:
    return {
        "key": line.key, "energy_j": line.energy_mj / 1000, "energy_kwh": line.energy_kwh, "gpu_s": line.gpu_s,
        "cost": line.cost, "carbon_g": line.carbon_g,
    }  # fmt: skip


@router.get("/anomalies")
def get_anomalies(desk: DeskOf, actor: ActorOf, since_s: Since = None, *, open: bool = False) -> Document:  # noqa: A002
    """List what looked wrong, newest first, each with its evidence."""
    since = None if since_s is None else desk.clock.now() - since_s
    found = desk.store.anomalies(since=since, open_only=open)
    return {"schema": SCHEMA, "anomalies": [anomaly_document(anomaly, actor) for anomaly in found]}


@router.post("/anomalies/{anomaly_id}/ack")
def acknowledge(anomaly_id: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Note that somebody has seen an anomaly."""
    if anomaly_id >= 2**63 or not desk.store.acknowledge(anomaly_id, desk.clock.now(), actor):
        raise NotFound(f"there is no anomaly {anomaly_id}", "dcd anomalies lists them")
    return get_anomalies(desk, actor)

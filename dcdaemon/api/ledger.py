"""The ledger over HTTP: finished jobs, energy with its cost, and what looked wrong."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from dcdaemon.api.documents import SCHEMA, Document
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.api.listing import listed
from dcdaemon.api.visible import shown_anomaly
from dcdaemon.control.access import jobs_by_id, sees_only_own
from dcdaemon.control.acknowledge import acknowledge_anomaly
from dcdaemon.control.ledger import EnergyLine, energy_lines
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
    actor: ActorOf,
    since_s: Annotated[float, Query(ge=0, le=_LONGEST_S)] = _WEEK_S,
    user: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> Document:
    """List ended jobs with what each one used; the totals are of those in the list."""
    ended_since = desk.clock.now() - since_s
    uid = actor.uid if sees_only_own(desk, actor) else None
    jobs = desk.store.jobs(JobQuery(states=ENDED, user=user, ended_since=ended_since, limit=limit, uid=uid))
    documents = listed(desk, actor, jobs)
    totals = {
        "jobs": len(documents),
        "gpu_s": sum(document["gpu_s"] or 0.0 for document in documents),
        "energy_j": sum(document["energy_j"] or 0.0 for document in documents),
    }
    return {"schema": SCHEMA, "jobs": documents, "totals": totals}


@router.get("/energy")
def get_energy(
    desk: DeskOf, actor: ActorOf, by: Literal["user", "job", "gpu", "day"] = "user", since_s: Since = None
) -> Document:
    """Sum booked energy; what no job used is the row `idle`."""
    since = None if since_s is None else desk.clock.now() - since_s
    facts = desk.board.facts
    lines, total = energy_lines(desk, actor, by, since)
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
    jobs = jobs_by_id(desk, (anomaly.finding.job_id for anomaly in found))
    shown = (shown_anomaly(desk, actor, anomaly, jobs.get(anomaly.finding.job_id or 0)) for anomaly in found)
    return {"schema": SCHEMA, "anomalies": [document for document in shown if document is not None]}


@router.post("/anomalies/{anomaly_id}/ack")
def acknowledge(anomaly_id: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Note that somebody has seen an anomaly: the owner of the job it is about, or an operator."""
    acknowledge_anomaly(desk, actor, anomaly_id)
    return get_anomalies(desk, actor)

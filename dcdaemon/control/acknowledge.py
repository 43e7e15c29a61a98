"""Acknowledge: whoever answers for a job, or for the node, has seen what looked wrong."""

from dcdaemon.control.access import jobs_by_id
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import Forbidden, NotFound
from dcdaemon.core.ports import Actor


def acknowledge_anomaly(desk: Desk, actor: Actor, anomaly_id: int) -> None:
    """Note that the actor has seen an anomaly; raise NotFound, or Forbidden where it is not about his own job."""
    missing = NotFound(f"there is no anomaly {anomaly_id}", "dcd anomalies lists them")
    found = next((one for one in desk.store.anomalies() if one.id == anomaly_id), None)
    if found is None:
        raise missing
    if not actor.operator:
        job = jobs_by_id(desk, [found.finding.job_id]).get(found.finding.job_id or 0)
        if job is not None and not desk.may_see(actor, job):
            raise missing
        if job is None or not desk.owns(actor, job):
            hint = "ask its owner or an operator of this node"
            raise Forbidden(f"anomaly {anomaly_id} is not about a job of {actor.user}", hint)
    if not desk.store.acknowledge(anomaly_id, desk.clock.now(), actor):
        raise missing

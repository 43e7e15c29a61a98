"""GPU time by account, user and hour: written in the commit that ends an attempt, so that none counts twice."""

from typing import Any

from sqlalchemy import Connection, func, select

from dcdaemon.core.gpu_time import HOUR_S, GpuTime, attempt_span, by_hour, weight
from dcdaemon.core.job import Job
from dcdaemon.store.schema import gpu, gpu_time
from dcdaemon.store.upsert import upsert


def charge(connection: Connection, before: Job, after: Job) -> None:
    """Count what the attempt used that this change ends, if it ends one."""
    span = attempt_span(before, after)
    if span is not None:
        owner = {"node": after.node, "account": after.spec.account, "user_name": after.spec.user}
        hours = by_hour(*span, _gpus_of(connection, after))
        rows = [{**owner, "hour": hour, "gpu_s": gpu_s} for hour, gpu_s in hours]
        connection.execute(upsert(connection, gpu_time, add=("gpu_s",)), rows)


def used_since(connection: Connection, node: str, since: float, step_s: int) -> list[GpuTime]:
    """Sum what each payer used on this node since then, in steps of time; hours are not told apart further."""
    step, total_s = gpu_time.c.hour // max(step_s, HOUR_S), func.sum(gpu_time.c.gpu_s)
    statement = (
        select(
            gpu_time.c.account, gpu_time.c.user_name, func.sum(gpu_time.c.hour * gpu_time.c.gpu_s) / total_s, total_s
        )
        .where(gpu_time.c.node == node, gpu_time.c.hour >= int(since) - HOUR_S)
        .group_by(gpu_time.c.account, gpu_time.c.user_name, step)
    )
    rows = connection.execute(statement)
    return [GpuTime(account, user, hour + HOUR_S / 2, gpu_s) for account, user, hour, gpu_s in rows]


def _gpus_of(connection: Connection, job: Job) -> float:
    """Return how many GPUs the job counts as; what part of one a share is, the size of that one tells."""
    share = job.spec.gpu_mem_bytes
    total: Any = None
    if share is not None:
        sizes = select(gpu.c.mem_total_bytes).where(gpu.c.node == job.node, gpu.c.gpu == job.gpus[0])
        total = connection.execute(sizes).scalar_one_or_none()
    return weight(len(job.gpus), share, total)

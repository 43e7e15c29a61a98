"""GPUs taken and given back: a whole one by one job, a shared one by several that each have a part or an instance."""

import functools

from sqlalchemy import Connection, Insert, bindparam, delete, func, select, update

from dcdaemon.core.job import Job, Slot
from dcdaemon.store.schema import allocation, gpu_share
from dcdaemon.store.upsert import insert_into

_GIVE_BACK = delete(allocation).where(
    allocation.c.node == bindparam("its_node"),
    allocation.c.gpu == bindparam("its_gpu"),
    allocation.c.job_id == bindparam("its_id"),
)
_LEAVE = delete(gpu_share).where(
    gpu_share.c.node == bindparam("its_node"),
    gpu_share.c.gpu == bindparam("its_gpu"),
    gpu_share.c.job_id == bindparam("its_id"),
)
_NEXT = select(func.min(gpu_share.c.job_id)).where(
    gpu_share.c.node == bindparam("its_node"), gpu_share.c.gpu == bindparam("its_gpu")
)
_PASS_ON = (
    update(allocation)
    .where(
        allocation.c.node == bindparam("its_node"),
        allocation.c.gpu == bindparam("its_gpu"),
        allocation.c.job_id == bindparam("its_id"),
    )
    .values(job_id=bindparam("next_id"))
)


def take(connection: Connection, a_job: Job, slots: set[Slot]) -> bool:
    """Take all slots or none; False when another job has one of them and does not share it."""
    if not slots:
        return True
    if a_job.spec.gpu_mem_bytes is not None:
        return _take_shares(connection, a_job, slots)
    rows = [{"node": node, "gpu": gpu, "job_id": a_job.id} for node, gpu in sorted(slots)]
    taken = connection.execute(_take_statement(connection.dialect.name), rows).all()
    if len(taken) < len(rows):
        _give_back_whole(connection, a_job.id, {(node, gpu) for node, gpu in taken})
        return False
    return True


def give_back(connection: Connection, a_job: Job, slots: set[Slot]) -> None:
    """Free the slots; a shared GPU is free when its last job left."""
    if a_job.spec.gpu_mem_bytes is None:
        _give_back_whole(connection, a_job.id, slots)
        return
    for node, gpu in sorted(slots):
        its = {"its_node": node, "its_gpu": gpu, "its_id": a_job.id}
        connection.execute(_LEAVE, its)
        another = connection.execute(_NEXT, {"its_node": node, "its_gpu": gpu}).scalar_one()
        if another is None:
            connection.execute(_GIVE_BACK, its)
        else:
            connection.execute(_PASS_ON, {**its, "next_id": another})


def _take_shares(connection: Connection, a_job: Job, slots: set[Slot]) -> bool:
    taken: set[Slot] = set()
    for slot in sorted(slots):
        if not _take_share(connection, a_job, slot):
            give_back(connection, a_job, taken)
            return False
        taken.add(slot)
    return True


def _take_share(connection: Connection, a_job: Job, slot: Slot) -> bool:
    node, gpu = slot
    row = {"node": node, "gpu": gpu, "job_id": a_job.id}
    first = connection.execute(_take_statement(connection.dialect.name), [row]).all()
    if not first and connection.execute(_NEXT, {"its_node": node, "its_gpu": gpu}).scalar_one() is None:
        return False
    # Without a row another job has that instance; then the GPU was taken already, and nothing is to be undone.
    statement = _share_statement(connection.dialect.name)
    return bool(connection.execute(statement, [{**row, "gpu_instance": a_job.gpu_instance}]).all())


def _give_back_whole(connection: Connection, job_id: int, slots: set[Slot]) -> None:
    if slots:
        rows = [{"its_node": node, "its_gpu": gpu, "its_id": job_id} for node, gpu in sorted(slots)]
        connection.execute(_GIVE_BACK, rows)


@functools.cache
def _share_statement(dialect: str) -> Insert:
    statement: Insert = insert_into(dialect, gpu_share).on_conflict_do_nothing()
    return statement.returning(gpu_share.c.job_id)


@functools.cache
def _take_statement(dialect: str) -> Insert:
    statement: Insert = insert_into(dialect, allocation).on_conflict_do_nothing()
    return statement.returning(allocation.c.node, allocation.c.gpu)

"""The GPUs of a node, and the operator's marks on them."""

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, case, delete, select

from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.ports import Actor, GpuMark, mark_change
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.schema import gpu, gpu_mark
from dcdaemon.store.upsert import insert_into, upsert


def save_gpus(connection: Connection, node: str, infos: Sequence[GpuInfo], at: float) -> None:
    """Remember the GPUs; another card in the same place starts its own record."""
    if infos:
        connection.execute(_gpu_upsert(connection.dialect.name), [_row(node, info, at) for info in infos])


def _row(node: str, info: GpuInfo, at: float) -> dict[str, Any]:
    return {
        "node": node,
        "gpu": info.index,
        "uuid": info.uuid,
        "name": info.name,
        "pci_bus_id": info.pci_bus_id,
        "minor": info.minor,
        "numa_node": info.numa_node,
        "mem_total_bytes": info.mem_total_bytes,
        "power_limit_w": info.power_limit_w,
        "simulated": info.simulated,
        "first_seen_at": at,
        "last_seen_at": at,
    }


@functools.cache
def _gpu_upsert(dialect: str) -> Insert:
    statement = insert_into(dialect, gpu)
    new = statement.excluded
    changed = {column.name: new[column.name] for column in gpu.columns if not column.primary_key}
    changed["first_seen_at"] = case((gpu.c.uuid == new.uuid, gpu.c.first_seen_at), else_=new.first_seen_at)
    upserted: Insert = statement.on_conflict_do_update(index_elements=[gpu.c.node, gpu.c.gpu], set_=changed)
    return upserted


def marks(connection: Connection, node: str) -> list[GpuMark]:
    """Return the marks on GPUs of the node."""
    statement = select(gpu_mark).where(gpu_mark.c.node == node).order_by(gpu_mark.c.gpu)
    return [GpuMark(row.gpu, row.drained, row.drained_by, row.drained_at) for row in connection.execute(statement)]


def set_mark(connection: Connection, node: str, mark: GpuMark, at: float, actor: Actor) -> None:
    """Drain a GPU in the actor's name, or restore it when the mark says nothing."""
    mine = (gpu_mark.c.node == node) & (gpu_mark.c.gpu == mark.gpu)
    before = connection.execute(select(gpu_mark.c.drained).where(mine)).scalar_one_or_none()
    if mark.drained is None:
        connection.execute(delete(gpu_mark).where(mine))
    else:
        row = {
            "node": node,
            "gpu": mark.gpu,
            "drained": mark.drained,
            "drained_by": actor.user,
            "drained_at": at,
        }
        connection.execute(upsert(connection, gpu_mark), row)
    add_audit(connection, [audit_row(node, at, actor, mark_change(mark, before))])

"""Bookings: GPUs that operators set aside; what was called off, or is over, is kept for the record."""

import json
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from dcdaemon.core.audit import booked, unbooked
from dcdaemon.core.booking import Booking
from dcdaemon.core.ports import Actor
from dcdaemon.store.audit import add_audit, audit_row
from dcdaemon.store.job_rows import dump
from dcdaemon.store.schema import booking


def add(connection: Connection, asked: Booking, actor: Actor) -> Booking:
    """Store a new booking and return it with its id."""
    new_id = connection.execute(insert(booking).returning(booking.c.id), _row(asked)).scalar_one()
    stored = select(booking).where(booking.c.id == new_id)
    made = _booking_of(connection.execute(stored).one())
    add_audit(connection, [audit_row(made.node, made.booked_at, actor, booked(made))])
    return made


def call_off(connection: Connection, node: str, booking_id: int, at: float, actor: Actor) -> Booking | None:
    """End a booking before its time and return it; None when the node has none of this id that is not over."""
    mine = (booking.c.id == booking_id) & (booking.c.node == node)
    still = mine & booking.c.unbooked_at.is_(None) & (booking.c.until_at > at)
    if connection.execute(update(booking).where(still).values(unbooked_at=at)).rowcount == 0:
        return None
    called_off = _booking_of(connection.execute(select(booking).where(mine)).one())
    add_audit(connection, [audit_row(node, at, actor, unbooked(called_off))])
    return called_off


def find(connection: Connection, node: str, over_after: float) -> list[Booking]:
    """Return the bookings of the node that are not over by then, the first to begin first."""
    over_at = func.coalesce(booking.c.unbooked_at, booking.c.until_at)
    # The second condition is for the index.
    wanted = (booking.c.node == node) & (over_at > over_after) & (booking.c.until_at > over_after)
    statement = select(booking).where(wanted).order_by(booking.c.from_at, booking.c.id)
    return [_booking_of(row) for row in connection.execute(statement)]


def _row(asked: Booking) -> dict[str, Any]:
    return {
        "node": asked.node,
        "gpus": dump(asked.gpus),
        "from_at": asked.from_at,
        "until_at": asked.until_at,
        "users": dump(asked.users),
        "accounts": dump(asked.accounts),
        "name": asked.name,
        "reason": asked.reason,
        "booked_by": asked.booked_by,
        "booked_at": asked.booked_at,
        "unbooked_at": asked.unbooked_at,
    }


def _booking_of(row: Row[Any]) -> Booking:
    return Booking(
        id=row.id,
        node=row.node,
        gpus=tuple(json.loads(row.gpus)),
        from_at=row.from_at,
        until_at=row.until_at,
        users=tuple(json.loads(row.users)),
        accounts=tuple(json.loads(row.accounts)),
        name=row.name,
        reason=row.reason,
        booked_by=row.booked_by,
        booked_at=row.booked_at,
        unbooked_at=row.unbooked_at,
    )

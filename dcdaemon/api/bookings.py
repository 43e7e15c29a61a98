"""Bookings over HTTP: what is set aside, for whom and until when; operators book and call off."""

from fastapi import APIRouter

from dcdaemon.api.bodies import BookingBody
from dcdaemon.api.documents import SCHEMA, Document, iso
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.control.bookings import book_gpus, in_the_way, inside, unbook
from dcdaemon.control.desk import Desk
from dcdaemon.core.booking import Booking
from dcdaemon.core.ports import Actor
from dcdaemon.core.secrecy import mask_text

router = APIRouter(prefix="/v1", tags=["bookings"])


@router.get("/bookings")
def get_bookings(desk: DeskOf, actor: ActorOf, *, all: bool = False) -> Document:  # noqa: A002  the query's word
    """List the bookings that are not over, the first to begin first; `all` lists past ones, too."""
    bookings = desk.store.bookings(0.0) if all else desk.store.bookings(desk.clock.now())
    return {"schema": SCHEMA, "node": desk.node, "bookings": [booking_document(desk, actor, one) for one in bookings]}


@router.post("/bookings")
def post_booking(body: BookingBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Set GPUs aside for users and accounts over a window of time; for nobody where none is named."""
    return {"schema": SCHEMA, **booking_document(desk, actor, book_gpus(desk, actor, body.wish()))}


@router.post("/bookings/{booking_id}/unbook")
def unbook_booking(booking_id: int, desk: DeskOf, actor: ActorOf) -> Document:
    """Call a booking off; jobs that it let in go on."""
    return {"schema": SCHEMA, **booking_document(desk, actor, unbook(desk, actor, booking_id))}


def booking_document(desk: Desk, actor: Actor, booking: Booking) -> Document:
    """Return a booking, the jobs that use it, and those on its GPUs that may run into a window not for them."""
    now = desk.clock.now()
    standing = booking.ends_at > now
    return {
        **booking_brief(booking, now), "node": booking.node, "gpus": list(booking.gpus),
        "reason": mask_text(booking.reason),
        "booked_by": booking.booked_by, "booked_at": iso(booking.booked_at), "unbooked_at": iso(booking.unbooked_at),
        "jobs": [job.id for job in inside(desk, booking) if desk.may_see(actor, job)] if booking.is_open(now) else [],
        "in_the_way": _ids_in_the_way(desk, actor, booking, now) if standing else [],
    }  # fmt: skip


def _ids_in_the_way(desk: Desk, actor: Actor, booking: Booking, now: float) -> list[int]:
    return [job.id for job in in_the_way(desk, booking, now) if desk.may_see(actor, job)]


def booking_brief(booking: Booking, now: float) -> Document:
    """Return what a listing of GPUs says of a booking."""
    return {
        "id": booking.id, "name": mask_text(booking.name), "state": _state(booking, now),
        "from_at": iso(booking.from_at),
        "until_at": iso(booking.until_at), "users": list(booking.users), "accounts": list(booking.accounts),
    }  # fmt: skip


def _state(booking: Booking, now: float) -> str:
    if booking.unbooked_at is not None:
        return "unbooked"
    if booking.is_open(now):
        return "open"
    return "planned" if now < booking.from_at else "over"

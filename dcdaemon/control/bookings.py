"""Book: an operator sets GPUs aside for some users over a window of time, and calls it off again."""

import math
from collections.abc import Iterable
from dataclasses import replace

from dcdaemon.control.booking_wish import BookingWish, check_people, check_words, window
from dcdaemon.control.desk import Desk
from dcdaemon.core.booking import Booking, disturbed
from dcdaemon.core.errors import BadInput, Forbidden, NotFound, Refused
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor
from dcdaemon.scheduler.bookings import choose_gpus
from dcdaemon.scheduler.grammar import conjoined, counted, gpus, jobs

MAX_BOOKINGS = 1000


def load_bookings(desk: Desk) -> None:
    """Heed what was booked before this daemon started."""
    desk.book.set_bookings(desk.store.bookings(desk.clock.now()))


def book_gpus(desk: Desk, actor: Actor, wish: BookingWish) -> Booking:
    """Set the GPUs aside and return the booking; raise Forbidden, BadInput, NotFound, Refused or StoreUnavailable."""
    _check_operator(actor)
    check_words(wish)
    check_people(desk, wish)
    # Between the choice and the booking no job must be given one of the GPUs.
    with desk.granting:
        now = desk.clock.now()
        from_at, until_at = window(wish, now)
        asked = Booking(
            0, desk.node, (), from_at, until_at, tuple(dict.fromkeys(wish.users)), tuple(dict.fromkeys(wish.accounts)),
            wish.name, wish.reason, actor.user, now,
        )  # fmt: skip
        _check_number(desk, now)
        chosen = replace(asked, gpus=_gpus(desk, asked, wish))
        _refuse_in_the_way(desk, chosen, now, force=wish.force)
        made = desk.store.add_booking(chosen, actor)
        desk.book.set_bookings((*_standing(desk, now), made))
    desk.wake()
    return made


def unbook(desk: Desk, actor: Actor, booking_id: int) -> Booking:
    """Call a booking off, now; raise Forbidden, NotFound or StoreUnavailable."""
    _check_operator(actor)
    with desk.granting:
        now = desk.clock.now()
        known_to_databases = 0 < booking_id < 2**63
        off = desk.store.unbook(booking_id, now, actor) if known_to_databases else None
        if off is None:
            raise NotFound(f"there is no booking {booking_id} that is not over", "dcd bookings lists them")
        desk.book.set_bookings(booking for booking in _standing(desk, now) if booking.id != booking_id)
    desk.wake()
    return off


def disturbs(bookings: Iterable[Booking], job: Job, now: float) -> bool:
    """Say whether a job, on the GPUs it has, may run into a window that is not for it."""
    owner = (job.spec.user, job.spec.account)
    return bool(disturbed(bookings, (job.node, job.gpus), owner, (now, _latest_end(job, now))))


def in_the_way(desk: Desk, booking: Booking, now: float) -> list[Job]:
    """Return the jobs on GPUs of a booking that is not for them, and whose limit does not end them before it."""
    return [job for job in desk.book.active() if disturbs([booking], job, now)]


def inside(desk: Desk, booking: Booking) -> list[Job]:
    """Return the jobs on GPUs of a booking that is for them."""
    return [
        job
        for job in desk.book.active()
        if booking.admits(job.spec.user, job.spec.account) and not set(job.gpus).isdisjoint(booking.gpus)
    ]


def _latest_end(job: Job, now: float) -> float:
    spec = job.spec
    return math.inf if spec.limit_s is None else (job.started_at or now) + spec.limit_s + spec.grace_s


def _standing(desk: Desk, now: float) -> list[Booking]:
    return [booking for booking in desk.book.bookings if booking.ends_at > now]


def _check_operator(actor: Actor) -> None:
    if not actor.operator:
        raise Forbidden(f"{actor.user} may not book GPUs", "ask an operator of this node")


def _check_number(desk: Desk, now: float) -> None:
    if len(_standing(desk, now)) >= MAX_BOOKINGS:
        raise Refused(f"there are {MAX_BOOKINGS} bookings already", "take some off with dcd unbook")


def _gpus(desk: Desk, asked: Booking, wish: BookingWish) -> tuple[int, ...]:
    """Return the GPUs of the booking, chosen or as named; raise what is wrong with the wish for them."""
    slots = desk.book.node.gpus
    if (wish.count is None) == (not wish.gpus):
        raise BadInput("a booking is for so many GPUs, or for these", "write --gpus 4 or --gpu 0,1")
    at_that_time = [one for one in desk.book.bookings if one.overlaps(asked.from_at, asked.until_at)]
    taken = {gpu: booking for booking in at_that_time for gpu in booking.gpus}
    if wish.count is None:
        return _named(wish.gpus, {slot.index for slot in slots}, taken)
    if not 0 < wish.count <= len(slots):
        raise BadInput(
            f"{counted(wish.count, 'GPU')} cannot be booked, this node has {len(slots)}",
            f"book between 1 and {len(slots)}" if slots else "dcd gpus tells what it sees",
        )
    open_slots = [slot for slot in slots if slot.index not in taken]
    if len(open_slots) < wish.count:
        are = "is" if len(open_slots) == 1 else "are"
        raise Refused(
            f"{counted(wish.count, 'GPU')} cannot be booked, {len(open_slots)} of {len(slots)} {are} not booked then",
            f"{_listed(taken.values())}: choose another time, or dcd unbook one",
        )
    return tuple(choose_gpus(open_slots, _busy_until(desk, asked), asked.from_at, wish.count))


def _named(named: tuple[int, ...], known: set[int], taken: dict[int, Booking]) -> tuple[int, ...]:
    for gpu in named:
        if gpu not in known:
            raise NotFound(f"there is no GPU {gpu}", "dcd gpus lists them")
        if gpu in taken:
            raise Refused(
                f"GPU {gpu} is booked then: {_listed([taken[gpu]])}",
                f"choose another time or GPU, or dcd unbook {taken[gpu].id}",
            )
    return tuple(sorted(set(named)))


def _listed(bookings: Iterable[Booking]) -> str:
    named = {
        booking.id: f"booking {booking.id}" + (f" ({booking.name})" if booking.name else "") for booking in bookings
    }
    return conjoined([named[booking_id] for booking_id in sorted(named)])


def _busy_until(desk: Desk, asked: Booking) -> dict[int, float]:
    """Return until when jobs that the booking is not for may hold each GPU."""
    now, busy = asked.booked_at, dict[int, float]()
    for job in desk.book.active():
        if not asked.admits(job.spec.user, job.spec.account):
            for gpu in job.gpus:
                busy[gpu] = max(busy.get(gpu, 0.0), _latest_end(job, now))
    return busy


def _refuse_in_the_way(desk: Desk, booking: Booking, now: float, *, force: bool) -> None:
    found = [] if force else in_the_way(desk, booking, now)
    if found:
        held = [(desk.node, gpu) for gpu in booking.gpus if any(gpu in job.gpus for job in found)]
        ids = [job.id for job in found]
        verb = "holds" if len(ids) == 1 else "hold"
        raise Refused(
            f"{jobs(ids)} {verb} {gpus(held)} and may run into the window",
            "cancel what is in the way, choose a later time, or use --force to let it run to its end",
        )

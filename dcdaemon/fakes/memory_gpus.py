"""The GPUs of MemoryStore: marks and bookings."""

from collections.abc import Sequence
from dataclasses import replace

from dcdaemon.core.audit import booked, unbooked
from dcdaemon.core.booking import Booking
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.ports import Actor, GpuMark, mark_change
from dcdaemon.fakes.memory import Memory


class MemoryGpus(Memory):
    """The GPUs of this node, the operator's marks on them, and bookings."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self._marks: dict[int, GpuMark] = {}
        self._bookings: dict[int, Booking] = {}

    def save_gpus(self, gpus: Sequence[GpuInfo], at: float) -> None:  # noqa: ARG002  never asked for
        """Remember the GPUs of this node."""
        with self._lock:
            self._gpus.update({info.index: info for info in gpus})

    def marks(self) -> list[GpuMark]:
        """Return the operator's marks on GPUs of this node."""
        with self._lock:
            return [self._marks[gpu] for gpu in sorted(self._marks)]

    def mark(self, mark: GpuMark, at: float, actor: Actor) -> None:
        """Drain a GPU in the actor's name, or restore it when the mark says nothing."""
        with self._lock:
            known = self._marks.get(mark.gpu)
            if mark.drained is None:
                self._marks.pop(mark.gpu, None)
            else:
                self._marks[mark.gpu] = replace(mark, drained_by=actor.user, drained_at=at)
            self._note(at, actor, mark_change(mark, known.drained if known else None))

    def add_booking(self, asked: Booking, actor: Actor) -> Booking:
        """Store a new booking and return it with its id."""
        with self._lock:
            made = replace(asked, id=len(self._bookings) + 1)
            self._bookings[made.id] = made
            self._note(made.booked_at, actor, booked(made))
            return made

    def unbook(self, booking_id: int, at: float, actor: Actor) -> Booking | None:
        """End a booking before its time and return it; None when there is none of this id that is not over."""
        with self._lock:
            booking = self._bookings.get(booking_id)
            if booking is None or booking.unbooked_at is not None or booking.until_at <= at:
                return None
            self._bookings[booking_id] = replace(booking, unbooked_at=at)
            self._note(at, actor, unbooked(self._bookings[booking_id]))
            return self._bookings[booking_id]

    def bookings(self, over_after: float) -> list[Booking]:
        """Return the bookings that are not over by then, the first to begin first."""
        with self._lock:
            wanted = (booking for booking in self._bookings.values() if booking.ends_at > over_after)
            return sorted(wanted, key=lambda booking: (booking.from_at, booking.id))

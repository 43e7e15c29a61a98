"""The part of the store that keeps the GPUs of a node: what they are, their marks, their bookings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dcdaemon.core.audit import Change
from dcdaemon.core.booking import Booking
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.ports.actor import Actor


@dataclass(frozen=True, slots=True)
class GpuMark:
    """An operator's word on one GPU."""

    gpu: int
    drained: str | None = None
    drained_by: str | None = None
    drained_at: float | None = None


def mark_change(mark: GpuMark, before: str | None) -> Change:
    """Return what the audit says of a new mark; `before` is why the GPU was drained until now."""
    action = "restore" if mark.drained is None else "drain"
    detail = {"gpu": mark.gpu, "why": mark.drained}
    return Change(action, f"gpu {mark.gpu}", None, {"drained": before}, {"drained": mark.drained}, detail)


class GpuStore(Protocol):
    """The GPUs of this node."""

    def save_gpus(self, gpus: Sequence[GpuInfo], at: float) -> None:
        """Remember the GPUs of this node."""
        ...

    def marks(self) -> list[GpuMark]:
        """Return the operator's marks on GPUs of this node."""
        ...

    def mark(self, mark: GpuMark, at: float, actor: Actor) -> None:
        """Set an operator's mark."""
        ...

    def add_booking(self, asked: Booking, actor: Actor) -> Booking:
        """Store a new booking and return it with its id."""
        ...

    def unbook(self, booking_id: int, at: float, actor: Actor) -> Booking | None:
        """End a booking before its time and return it; None when this node has none of this id that is not over."""
        ...

    def bookings(self, over_after: float) -> list[Booking]:
        """Return the bookings of this node that are not over by then, the first to begin first."""
        ...

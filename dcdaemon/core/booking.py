"""A booking: GPUs of a node that an operator sets aside for some users over a window of time."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Booking:
    """GPUs of one node from one time up to another, epoch seconds; of no users and no accounts it is for nobody.

    `unbooked_at` is when an operator called it off, None while it stands.
    """

    id: int
    node: str
    gpus: tuple[int, ...]
    from_at: float
    until_at: float
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    name: str = ""
    reason: str = ""
    booked_by: str = ""
    booked_at: float = 0.0
    unbooked_at: float | None = None

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or f"booking {self.id}"

    @property
    def ends_at(self) -> float:
        """When it is over: as booked, or when it was called off."""
        return self.until_at if self.unbooked_at is None else min(self.until_at, self.unbooked_at)

    @property
    def audit_detail(self) -> dict[str, object]:
        """What the audit table keeps of it."""
        return {
            "booking": self.id, "gpus": list(self.gpus), "from_at": self.from_at, "until_at": self.until_at,
            "users": list(self.users), "accounts": list(self.accounts), "name": self.name, "reason": self.reason,
        }  # fmt: skip

    def admits(self, user: str, account: str) -> bool:
        """Say whether this user's jobs, under this account, may use the GPUs while the window is open."""
        return user in self.users or account in self.accounts

    def is_open(self, now: float) -> bool:
        """Say whether the window is open; its end is no part of it."""
        return self.from_at <= now < self.ends_at

    def overlaps(self, from_at: float, until_at: float) -> bool:
        """Say whether some moment of this span falls into the window."""
        return self.from_at < until_at and from_at < self.ends_at


def next_change(bookings: Iterable[Booking], now: float) -> float | None:
    """Return when the next window opens or closes, epoch seconds; None when none does."""
    times = (at for booking in bookings for at in (booking.from_at, booking.ends_at) if at > now)
    return min(times, default=None)


def disturbed(
    bookings: Iterable[Booking], part: tuple[str, Iterable[int]], owner: tuple[str, str], span: tuple[float, float]
) -> list[Booking]:
    """Return the bookings in whose way somebody is with these GPUs of a node over this span of time.

    `owner` is a user and an account; `span` are two times, epoch seconds, the second is infinity for ever.
    """
    node, gpus = part
    return [
        booking
        for booking in bookings
        if booking.node == node
        and booking.overlaps(*span)
        and not booking.admits(*owner)
        and not set(booking.gpus).isdisjoint(gpus)
    ]

"""A booking as asked for, and what is wrong with it by itself, whatever else runs or is booked."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.control.wish import LATEST_BEGIN
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.units import format_duration

YEAR_S = 366 * 86400.0
#: From the day of the booking on, jobs without a limit keep off its GPUs: not for years.
MOST_AHEAD_S = 400 * 86400.0
MAX_NAME = 64
MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class BookingWish:
    """How many GPUs or which, from when (None: now), and for how long or until when, epoch seconds.

    `force` takes GPUs of jobs that may run into the window, too: they keep them until they end.
    """

    count: int | None = None
    gpus: tuple[int, ...] = ()
    from_at: float | None = None
    until_at: float | None = None
    for_s: float | None = None
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    name: str = ""
    reason: str = ""
    force: bool = False


def check_words(wish: BookingWish) -> None:
    """Raise BadInput for a name or a reason that cannot be."""
    for what, text, most in (("name", wish.name, MAX_NAME), ("reason", wish.reason, MAX_REASON)):
        if len(text) > most or not text.isprintable():
            raise BadInput(f"the booking's {what} is too long or not printable", f"use {most} printable characters")


def check_people(desk: Desk, wish: BookingWish) -> None:
    """Raise NotFound for an account or a user that is none."""
    accounts = desk.book.sharing.accounts
    for account in wish.accounts:
        if account not in accounts:
            none = "dcd share lists them" if accounts else "none is configured: name users instead"
            raise NotFound(f"there is no account {account!r}", _near(account, accounts, none))
    for user in wish.users:
        if not desk.is_login(user):
            known = [member for account in accounts.values() for member in account.users]
            raise NotFound(f"there is no user {user!r} on this node", _near(user, known, "use the login name"))


def window(wish: BookingWish, now: float) -> tuple[float, float]:
    """Return when the window opens and closes; raise BadInput for one that cannot be."""
    from_at = now if wish.from_at is None else wish.from_at
    if (wish.until_at is None) == (wish.for_s is None):
        raise BadInput("a booking has an end or a length", "write it like --for 4h or --until 13:00")
    until_at = wish.until_at if wish.until_at is not None else from_at + (wish.for_s or 0.0)
    if until_at <= from_at:
        raise BadInput("the booking would end before it begins", "write it like --from 9:00 --for 4h")
    if until_at - from_at > YEAR_S:
        raise BadInput("the booking would last longer than a year", "give a queue GPUs of its own, or use dcd drain")
    if not (0 <= from_at <= LATEST_BEGIN and until_at <= LATEST_BEGIN):
        raise BadInput("the window is at no time", "write it like --from 2026-12-01T09:00 --for 4h")
    if from_at - now > MOST_AHEAD_S:
        raise BadInput("the booking would begin in more than 400 days", "book it when the time is nearer")
    if from_at < now:
        ago = format_duration(now - from_at)
        raise BadInput(f"the booking would have begun {ago} ago", "name a time to come, or leave --from out for now")
    return from_at, until_at


def _near(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise

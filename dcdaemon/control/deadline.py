"""Deadlines: what cannot be done by then is refused at the door."""

from dcdaemon.control.wish import Wish
from dcdaemon.core.errors import BadInput
from dcdaemon.core.units import format_duration


def check_deadline(wish: Wish, now: float) -> None:
    """Raise BadInput for a deadline that is past, or too soon for the begin time or the limit that was asked for.

    A limit that the queue gives counts for nothing: nobody said that the job may need it.
    """
    if wish.deadline_at is None:
        return
    if wish.deadline_at <= now:
        late = format_duration(now - wish.deadline_at)
        raise BadInput(f"the deadline is past by {late}", "write one to come, like --deadline +6h")
    begin = max(now, wish.begin_at or now)
    if wish.deadline_at <= begin:
        raise BadInput("the job is due before it may begin", "let it begin earlier, or be due later")
    within_s = wish.deadline_at - begin
    if wish.limit_s is not None and wish.limit_s > within_s:
        limit, within = format_duration(wish.limit_s), format_duration(within_s)
        after = " after its begin time" if begin > now else ""
        raise BadInput(
            f"by its time limit the job may run for {limit}, and is due {within}{after or ' from now'}",
            f"use a limit of {within} or shorter, or a later --deadline",
        )

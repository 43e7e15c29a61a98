"""Tells when a link is down for good and when it comes and goes: a fold over its states, without a clock.

The times are those of gpud: a drop is four minutes without a link, flapping is coming back three times in twelve hours.
"""

from dataclasses import dataclass, replace

from dcdaemon.core.event import Event, EventKind

DROP_AFTER_S = 240.0
FLAPS = 3
FLAP_WINDOW_S = 12 * 3600.0
#: A switch that starts, or a cable being plugged, lets a link bounce several times: that is one flap.
BOUNCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a link; `losses` is a counter that grows whenever the link is lost, if there is one."""

    at: float
    up: bool | None
    losses: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of one link; `expected` when it is wrong for it to be down though it never was up."""

    expected: bool = False
    was_up: bool = False
    last: Seen | None = None
    down_since: float | None = None
    dropped: bool = False
    returns: tuple[float, ...] = ()


def follow(link: Link, seen: Seen, name: str) -> tuple[Link, list[Event]]:
    """Return the link after one more look at it, and what has to be told of it."""
    if seen.up is None:
        return link, []
    bounced = _lost_between(link.last, seen)
    if link.was_up and (bounced or (seen.up and _was_down(link))):
        link = replace(link, returns=_with_return(link.returns, seen.at))
    link, told = _is_up(link, seen, name) if seen.up else _is_down(link, seen, name, bounced=bounced)
    link, flapping = _flapping(link, seen, name)
    return replace(link, last=seen), told + flapping


def switched_off(link: Link) -> Link:
    """Return the link of a port that was switched off on purpose.

    Its being down is no news until it was up again, or is expected to be up; a drop that was told is still one.
    """
    since = link.down_since if link.dropped else None
    return replace(link, was_up=link.was_up and link.expected, last=None, down_since=since)


def _lost_between(before: Seen | None, seen: Seen) -> bool:
    """Tell whether the link went away and came back, or the other way round, while nobody looked."""
    if before is None or before.losses is None or seen.losses is None:
        return False
    return before.up == seen.up and seen.losses > before.losses


def _was_down(link: Link) -> bool:
    return link.last is not None and link.last.up is False


def _with_return(returns: tuple[float, ...], at: float) -> tuple[float, ...]:
    # A clock that was set back leaves times of the future behind; they go, too.
    recent = tuple(time for time in returns if 0 <= at - time < FLAP_WINDOW_S)
    return recent if recent and at - recent[-1] < BOUNCE_S else (*recent, at)


def _is_up(link: Link, seen: Seen, name: str) -> tuple[Link, list[Event]]:
    told = []
    if link.dropped and link.down_since is not None:
        down_s = seen.at - link.down_since
        evidence: dict[str, object] = {"since": link.down_since, "down_s": round(down_s, 1)}
        message = f"{name} is up again after {_long(down_s)}"
        told.append(Event(seen.at, EventKind.LINK_UP, name, message, evidence))
    return replace(link, was_up=True, down_since=None, dropped=False), told


def _is_down(link: Link, seen: Seen, name: str, *, bounced: bool) -> tuple[Link, list[Event]]:
    since = link.down_since
    if since is None or seen.at < since or (bounced and not link.dropped):
        return replace(link, down_since=seen.at), []
    down_s = seen.at - since
    if link.dropped or down_s < DROP_AFTER_S or not (link.was_up or link.expected):
        return link, []
    ever = "" if link.was_up else " and was never seen up"
    message = f"{name} is down for {_long(down_s)}{ever}"
    evidence: dict[str, object] = {"since": since, "down_s": round(down_s, 1), "was_up": link.was_up}
    return replace(link, dropped=True), [Event(seen.at, EventKind.LINK_DOWN, name, message, evidence)]


def _flapping(link: Link, seen: Seen, name: str) -> tuple[Link, list[Event]]:
    if len(link.returns) < FLAPS:
        return link, []
    first = link.returns[0]
    message = f"{name} was lost and came back {len(link.returns)} times in {_long(seen.at - first)}"
    evidence: dict[str, object] = {"returns": list(link.returns), "losses": seen.losses}
    # The next three are told again.
    return replace(link, returns=()), [Event(seen.at, EventKind.LINK_FLAPPING, name, message, evidence)]


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

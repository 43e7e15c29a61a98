"""Bookings as a table and as sentences."""

from datetime import datetime

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import count, printable, spans
from dcdaemon.client.answer import Document

_STATE_STYLE = {"open": "green", "planned": ""}


def bookings_page(document: Document) -> Page:
    """Return the page of `dcd bookings`."""
    bookings = document["bookings"]
    return Page(document, bookings, BOOKINGS, talk=f"{document['node']}: {count(len(bookings), 'booking')}")


def booked_page(booking: Document) -> Page:
    """Return the page of `dcd book`."""
    sentence = f"Booked {_gpus(booking)} {_span(booking)}: {_label(booking)}, for {whom(booking)}."
    return Page(
        booking, [booking], BOOKINGS, text=f"{sentence}{_in_the_way(booking)}  Call it off: dcd unbook {booking['id']}"
    )


def unbooked_page(booking: Document) -> Page:
    """Return the page of `dcd unbook`."""
    return Page(booking, [booking], BOOKINGS, text=f"Called off {_label(booking)}: {_gpus(booking)} {_span(booking)}.")


def window(booking: Document) -> str:
    """Return the booking as the listing of GPUs has it: until when it is open, or from when on."""
    at, edge = ("until", "until_at") if booking["state"] == "open" else ("from", "from_at")
    return f"booked for {booking['name'] or whom(booking)} {at} {minute(booking[edge])}"


def whom(booking: Document) -> str:
    """Return for whom it is."""
    people = [*booking["users"], *(f"account {account}" for account in booking["accounts"])]
    return printable(" and ".join(filter(None, [", ".join(people[:-1]), people[-1]])) if people else "nobody")


def minute(text: str) -> str:
    """Print an ISO-8601 time as local time, to the minute."""
    return datetime.fromisoformat(text).astimezone().strftime("%a %Y-%m-%d %H:%M")


def _span(booking: Document) -> str:
    return f"from {minute(booking['from_at'])} to {_end(booking)}"


def _end(booking: Document) -> str:
    """Return when it ends, without the day where that is the one on which it begins."""
    begin, end = minute(booking["from_at"]), minute(booking["until_at"])
    return end[-5:] if begin[:-5] == end[:-5] else end


def _label(booking: Document) -> str:
    return f"booking {booking['id']}" + (f" ({printable(booking['name'])})" if booking["name"] else "")


def _gpus(booking: Document) -> str:
    return f"{'GPU' if len(booking['gpus']) == 1 else 'GPUs'} {spans(booking['gpus'])}"


def _in_the_way(booking: Document) -> str:
    ids = booking["in_the_way"]
    if not ids:
        return ""
    one = len(ids) == 1
    return (
        f" {'Job' if one else 'Jobs'} {spans(ids)} may run into it, and {'keeps its' if one else 'keep their'} GPUs "
        "to the end."
    )


def _jobs(booking: Document) -> str:
    parts = [spans(booking["jobs"])] if booking["jobs"] else []
    if booking["in_the_way"]:
        parts.append(f"in the way: {spans(booking['in_the_way'])}")
    return "; ".join(parts)


BOOKINGS = (
    Column("ID", lambda booking: str(booking["id"]), right=True, whole=True),
    Column("NAME", lambda booking: booking["name"]),
    Column(
        "STATE",
        lambda booking: str(booking["state"]),
        whole=True,
        style=lambda booking: _STATE_STYLE.get(booking["state"], "dim"),
    ),
    Column("GPUS", lambda booking: spans(booking["gpus"]), whole=True),
    Column("FROM", lambda booking: minute(booking["from_at"]), whole=True),
    Column("UNTIL", _end, whole=True),
    Column("FOR", whom),
    Column("JOBS", _jobs),
    Column("REASON", lambda booking: booking["reason"], wide=True),
    Column("BOOKED BY", lambda booking: booking["booked_by"], wide=True),
)

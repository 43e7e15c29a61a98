"""Events as a table, and as lines that come one by one."""

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, ago, count, printable, when
from dcdaemon.client.answer import Document

_TROUBLE = "red"
_NEWS = "green"
_STYLE = {
    "xid": _TROUBLE, "gpu_lost": _TROUBLE, "gpu_stale": _TROUBLE, "driver_silent": _TROUBLE, "device_gone": _TROUBLE,
    "recovery_action": _TROUBLE, "drive_warning": _TROUBLE, "samples_dropped": _TROUBLE,
    "gpu_found": _NEWS, "driver_returned": _NEWS, "link_up": _NEWS, "mount_answers": _NEWS, "switch_answers": _NEWS,
}  # fmt: skip


def events_page(document: Document) -> Page:
    """Return the page of `dcd events`, the newest at the end, where the eye is."""
    found = document["events"]
    talk = f"{count(len(found), 'event')} · dcd events -f goes on" if found else "nothing happened in this time"
    return Page(document, found, EVENTS, talk=talk)


def event_line(event: Document) -> str:
    """Return one event as a line: time, kind, subject, and what happened."""
    more = [f"{event['count']} times"] if event["count"] > 1 else []
    more += [f"job {event['job_id']}"] if event["job_id"] is not None else []
    told = f"{event['message']} ({', '.join(more)})" if more else event["message"]
    return printable(f"{when(event['at'])}  {event['kind']:<18} {event['subject']:<14} {told}")


EVENTS = (
    Column("ID", lambda event: str(event["id"]), right=True, whole=True),
    Column("WHEN", lambda event: ago(event["at"]), whole=True),
    Column("AT", lambda event: when(event["at"]), whole=True, wide=True),
    Column("KIND", lambda event: str(event["kind"]), whole=True, style=lambda event: _STYLE.get(event["kind"], "")),
    Column("SUBJECT", lambda event: str(event["subject"])),
    Column("COUNT", lambda event: str(event["count"]), right=True, whole=True),
    Column("JOB", lambda event: UNKNOWN if event["job_id"] is None else str(event["job_id"]), right=True, whole=True),
    Column("MESSAGE", lambda event: str(event["message"])),
)

"""`dcd book`: set GPUs aside for users over a window of time."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from dcdaemon.cli.options import BeginTime, Count, Duration, daemon, output, verb
from dcdaemon.cli.show.bookings import booked_page
from dcdaemon.cli.show.output import Output, emit, talk
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client
from dcdaemon.core.errors import BadInput, DcdError

_NOW = "now"
#: So many waiting jobs are looked through for those without a limit.
_LOOKED_AT = 1000
#: One GPU, or the first and the last of several.
_SPAN = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)


class _FromTime(BeginTime):
    """The same times, and `now`, which is None: the daemon's clock says when that is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return epoch seconds, None for now."""
        return None if value == _NOW else super().convert(value, param, ctx)


@verb(
    "book",
    "dcd book --gpus 8 --from 'tue 9:00' --for 4h --account course --name course",
    "dcd book --gpu 0,1 --from 22:00 --for 1h --reason 'new cables'",
)
@click.option("--gpus", "count", type=Count(1), metavar="N", help="So many GPUs; the daemon chooses which.")
@click.option("--gpu", "named", multiple=True, metavar="GPU,...", help="These GPUs: 0,1 or 4-7.")
@click.option(
    "--from", "from_at", type=_FromTime(), default=_NOW, show_default=True, metavar="TIME", help="When it begins."
)
@click.option("--for", "for_s", type=Duration(), metavar="TIME", help="How long it lasts: 4h, 2d.")
@click.option("--until", "until_at", type=BeginTime(), metavar="TIME", help="When it ends, instead of --for.")
@click.option("--user", "users", multiple=True, metavar="USER", help="Who may use it; may be repeated.")
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Whose jobs may use it; may be repeated.")
@click.option("--name", default="", metavar="NAME", help="What people call it.")
@click.option("--reason", default="", metavar="TEXT", help="Shown in the list.")
@click.option("--force", is_flag=True, help="Even GPUs of jobs that may run into it; they keep them to their end.")
@daemon
@output
def command(*, client: Client, out: Output, count: int | None, named: Sequence[str], **wish: Any) -> None:
    """Set GPUs aside; without --user and --account for nobody, as for maintenance. Operators only.

    Inside the window only jobs of these users and accounts start on these GPUs, by themselves and before others; a job
    of anybody else may use them before it if its time limit ends it in time. In a pipe only the id is printed.
    """
    lists = {"users": list(wish.pop("users")), "accounts": list(wish.pop("accounts"))}
    body = {**wish, **lists, "count": count, "gpus": [gpu for text in named for gpu in _indices(text)]}
    page = booked_page(client.post("/v1/bookings", body))
    emit(page, Output("id") if out.wants_ids else out)
    # It is booked, whatever becomes of this second question.
    with suppress(DcdError):
        waiting = client.get("/v1/jobs", {"state": ["waiting"], "limit": _LOOKED_AT})["jobs"]
        if note := endless(waiting, lists):
            talk(f"note: {note}")


def endless(waiting: Sequence[Document], let_in: Mapping[str, Sequence[str]]) -> str:
    """Return what becomes of waiting jobs without a limit that the booking is not for; empty where there are none."""
    ids = [
        job["id"]
        for job in waiting
        if job["gpus_asked"] and not job["limit_s"]
        and job["user"] not in let_in["users"] and job.get("account") not in let_in["accounts"]
    ]  # fmt: skip
    if not ids:
        return ""
    have = "1 waiting job has" if len(ids) == 1 else f"{len(ids)} waiting jobs have"
    return f"{have} no time limit and cannot start on these GPUs until it is over: give jobs one, see default_limit"


def _indices(text: str) -> list[int]:
    """Read `0,1` or `4-7`; raise BadInput for what is no GPU."""
    found: list[int] = []
    for part in text.split(","):
        span = _SPAN.fullmatch(part.strip())
        if span is None or int(span[2] or span[1]) < int(span[1]):
            raise BadInput(f"--gpu {text!r} names no GPUs", "write it like --gpu 0,1 or --gpu 4-7")
        found += range(int(span[1]), int(span[2] or span[1]) + 1)
    return found

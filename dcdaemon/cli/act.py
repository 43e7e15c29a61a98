"""What cancel, hold, release and requeue share: select jobs, ask once, tell what happened to each."""

import os
from collections.abc import Callable, Sequence

from dcdaemon.cli.options import confirm
from dcdaemon.cli.show.jobs import QUEUE, label
from dcdaemon.cli.show.output import Output, Page, emit, talk
from dcdaemon.cli.show.words import count, printable
from dcdaemon.client.answer import Document, rebuild
from dcdaemon.client.http import Client

_ASK_ABOUT_AT_MOST = 10_000


def act(  # noqa: PLR0913  what is asked, and how it is told
    client: Client,
    verb: str,
    done: str,
    select: Sequence[str],
    name: str | None,
    out: Output,
    *,
    tell: Callable[[Document], str] = lambda _: "",
    **more: object,
) -> int:
    """Post the verb for the selected jobs, print what became of each, and return the exit code.

    `tell` adds to the sentence of a job that was changed.
    """
    answer = client.post(f"/v1/jobs/{verb}", {"select": list(select), "name": name, **more})
    sentences = "\n".join(
        f"{done} job {label(job)} ({printable(job['name'])}){printable(tell(job))}." for job in answer["jobs"]
    )
    nothing = "" if answer["jobs"] or answer["refused"] else f"there is no job to {verb}"
    if out.wants_ids:
        out = Output("id")
    emit(Page(answer, answer["jobs"], QUEUE, text=sentences, talk=nothing), out)
    if out.form != "json":
        _tell_refused(answer["refused"])
    return _refused_code(answer["refused"])


def ask_before_cancel(client: Client, select: Sequence[str], name: str | None, *, yes: bool) -> None:
    """Ask before everything of one's own, or anything of somebody else's, is ended."""
    if yes:
        return
    if "all" in select:
        confirm("Cancel all your unfinished jobs?")
        return
    query = {"sel": list(select), "name": name, "limit": _ASK_ABOUT_AT_MOST}
    jobs: list[Document] = client.get("/v1/jobs", query)["jobs"]
    others = [job for job in jobs if job["uid"] != os.getuid() and job["ended_at"] is None]
    if others:
        users = ", ".join(sorted({printable(job["user"]) for job in others}))
        confirm(f"Cancel {count(len(others), 'job')} of {users}?")


def _tell_refused(refused: Sequence[Document]) -> None:
    for one in refused:
        hint = f"\nhint: {one['hint']}" if one.get("hint") else ""
        talk(f"error: {one['message']}{hint}")


def _refused_code(refused: Sequence[Document]) -> int:
    return rebuild(409, {"error": refused[0]}).exit_code if refused else 0

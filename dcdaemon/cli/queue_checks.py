"""The checks of `dcd doctor` on queues: GPUs that are configured and not there, jobs of queues that are gone."""

from collections.abc import Iterator

from dcdaemon.cli.check import OK, WARN, Check
from dcdaemon.cli.show.words import count, spans
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client
from dcdaemon.core.errors import NotFound


def queue_checks(client: Client) -> Iterator[Check]:
    """Judge the queues; nothing is said of a daemon that knows none."""
    try:
        document = client.get("/v1/queues")
    except NotFound:
        return
    queues = document["queues"]
    wrong = [check for queue in queues for check in _gpus(queue)] + [_gone(queues, gone) for gone in document["gone"]]
    yield from wrong or [Check("queues", OK, f"{count(len(queues), 'queue')}, {_default(queues)} is the default one")]


def _gpus(queue: Document) -> Iterator[Check]:
    where, missing = f"[queues.{queue['name']}] gpus", queue["gpus_missing"]
    if missing and not queue["gpus"]:
        yield Check("queues", WARN, f"queue {queue['name']} has no GPU: {spans(missing)} is not there", f"see {where}")
    elif missing:
        yield Check("queues", WARN, f"GPU {spans(missing)} of queue {queue['name']} is not there", f"see {where}")


def _gone(queues: list[Document], gone: Document) -> Check:
    who = count(gone["jobs"], "unfinished job")
    message = f"queue {gone['name']} is not configured any more: {who} of it go by the rules of {_default(queues)}"
    return Check("queues", WARN, message, f"configure it again, or submit them anew: [queues.{gone['name']}]")


def _default(queues: list[Document]) -> str:
    return next(str(queue["name"]) for queue in queues if queue["default"])

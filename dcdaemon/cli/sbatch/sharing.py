"""Leave out what a script says of partition and account where this daemon has no choice of them to offer."""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from dcdaemon.cli.sbatch.request import Request
from dcdaemon.client.http import Client


def without_choices(client: Client, request: Request, written: AbstractSet[str]) -> Request:
    """Return the request with notes on what was left out; where there is a choice, the daemon judges.

    `written` are the fields that the command line gives: there is nothing to ask about those.
    """
    partition = None if "queue" in written else request.partition
    account = None if "account" in written else request.account
    request = replace(request, partition=partition, account=account)
    if not (partition or account):
        return request
    known = client.get("/v1/queues")
    queues = [str(queue["name"]) for queue in known["queues"]]
    if partition and len(queues) == 1 and partition not in queues:
        request = _noted(request, f"--partition={partition} is ignored: there is one queue, {queues[0]}")
        request = replace(request, partition=None)
    if account and not known["accounts"]:
        request = _noted(request, f"--account={account} is ignored: no accounts are set up")
        request = replace(request, account=None)
    return request


def _noted(request: Request, note: str) -> Request:
    return replace(request, notes=(*request.notes, note))

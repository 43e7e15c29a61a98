"""Turn what the user selected into job ids, for the verbs whose address holds one id."""

from collections.abc import Sequence

from dcdaemon.client.http import Client
from dcdaemon.core.errors import BadInput, NotFound

_AT_MOST = 10_000


def job_ids(client: Client, select: Sequence[str], name: str | None = None) -> list[int]:
    """Return the ids that the selectors and the name mean, each once; raise NotFound when there are none."""
    if name is None and all(selector.isdecimal() for selector in select):
        return list(dict.fromkeys(int(selector) for selector in select))
    selectors = [*select, *([] if name is None else [f"name:{name}"])]
    found = client.get("/v1/jobs", {"sel": selectors, "limit": _AT_MOST})["jobs"]
    if not found:
        raise NotFound("no job is selected by this", "dcd ps -a lists all jobs")
    return list(dict.fromkeys(int(job["id"]) for job in found))


def one_job_id(client: Client, select: Sequence[str], name: str | None = None) -> int:
    """Return the one id that is meant; raise BadInput when there are several."""
    ids = job_ids(client, select, name)
    if len(ids) > 1:
        raise BadInput(f"{len(ids)} jobs are selected, and only one can be shown", f"name one of them, like {ids[-1]}")
    return ids[0]

"""One line for all jobs of an array that wait alike, as squeue has it."""

from collections.abc import Hashable, Sequence

from dcdaemon.client.answer import Document
from dcdaemon.core.array import format_indices

_WIDTH = 24


def fold(jobs: Sequence[Document]) -> list[Document]:
    """Return the jobs, those that wait in one array for one kind of reason as the first of them, with `folded` set."""
    alike: dict[Hashable, list[Document]] = {}
    for place, job in enumerate(jobs):
        waits = job["state"] == "waiting" and job.get("array_id") is not None
        alike.setdefault(_key(job) if waits else place, []).append(job)
    return [_folded(several) if len(several) > 1 else several[0] for several in alike.values()]


def _key(job: Document) -> tuple[object, ...]:
    return (job["array_id"], job["held"], job["priority"], (job.get("reason") or {}).get("code"))


def _folded(jobs: Sequence[Document]) -> Document:
    first = jobs[0]
    limit = "" if first["array_limit"] is None else f"%{first['array_limit']}"
    indices = format_indices(sorted(job["array_index"] for job in jobs))
    if len(indices) > _WIDTH:
        indices = indices[: indices.rfind(",", 0, _WIDTH) + 1 or _WIDTH] + "..."
    return {**first, "folded": f"[{indices}{limit}]"}

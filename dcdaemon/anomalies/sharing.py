"""The rule on shared GPUs: a job that takes more than it asked for takes it from the others."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from dcdaemon.anomalies.picture import NodePicture, SharedBy, Sign
from dcdaemon.core.units import format_bytes

#: Clearly more: by a tenth, and by at least what a context more than thought of takes.
_MORE_RATIO, _MORE_BYTES = 1.1, 512 * 1024**2


def share_exceeded(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find jobs whose processes hold clearly more of a GPU than they declared; unknown use is no excess."""
    for share in picture.shares:
        used_bytes = _used(picture, share)
        if used_bytes > max(share.mem_bytes * _MORE_RATIO, share.mem_bytes + _MORE_BYTES):
            yield _sign(share, used_bytes)


def _used(picture: NodePicture, share: SharedBy) -> int:
    sample = picture.samples.get(share.gpu)
    processes = (sample.processes or ()) if sample is not None else ()
    return sum(process.mem_used_bytes or 0 for process in processes if process.job_id == share.job_id)


def _sign(share: SharedBy, used_bytes: int) -> Sign:
    message = (
        f"job {share.job_id} ({share.name}) of {share.user} uses {format_bytes(used_bytes)} of gpu {share.gpu}, "
        f"and asked for {format_bytes(share.mem_bytes)}"
    )
    evidence: dict[str, object] = {"used_bytes": used_bytes, "asked_bytes": share.mem_bytes, "user": share.user}
    return Sign(f"gpu {share.gpu}, job {share.job_id}", message, evidence, share.job_id, share.gpu)

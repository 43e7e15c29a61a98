"""Rules on jobs that hang."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from dcdaemon.anomalies.picture import HungJob, NodePicture, Sign
from dcdaemon.core.units import format_duration
from dcdaemon.core.vitals import RankVitals

_STATES = {
    "R": "runs", "S": "sleeps", "D": "waits for a device", "T": "is stopped", "t": "is traced", "Z": "is a zombie",
}  # fmt: skip


def hung(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find jobs that are silent while a rank of them does nothing."""
    for job in picture.hung:
        yield _sign(job)


def _sign(job: HungJob) -> Sign:
    idlest, used_s = min(job.ranks, key=lambda rank: rank[1])
    who = f"pid {idlest.pid}" if idlest.rank is None else f"rank {idlest.rank} (pid {idlest.pid})"
    what = _STATES.get(idlest.state, f"is in state {idlest.state}")
    where = f" in {idlest.waits_in}" if idlest.waits_in else ""
    message = (
        f"job {job.job_id} ({job.name}) of {job.user} hangs: no report and no output for "
        f"{format_duration(job.silent_s)}, in which {who} used {used_s:.1f} s of CPU; it {what}{where}"
    )
    evidence: dict[str, object] = {
        "silent_s": job.silent_s,
        "attempt": job.attempt,
        "user": job.user,
        "ranks": [_evidence(one, cpu_s) for one, cpu_s in job.ranks],
    }
    return Sign(f"job {job.job_id}, attempt {job.attempt}", message, evidence, job.job_id)


def _evidence(one: RankVitals, used_s: float) -> dict[str, object]:
    return {"rank": one.rank, "pid": one.pid, "state": one.state, "waits_in": one.waits_in, "cpu_s": used_s}

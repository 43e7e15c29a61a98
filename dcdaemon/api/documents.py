"""The JSON documents of the API: units in the keys, null for unknown, ISO times with offset."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dcdaemon.core.anomaly import Anomaly
from dcdaemon.core.job import ACTIVE, Job, JobState, Usage
from dcdaemon.core.log_path import log_path
from dcdaemon.core.ports import Actor
from dcdaemon.core.reasons import Reason
from dcdaemon.core.secrecy import mask_argv, mask_facts, mask_text

Document = dict[str, Any]
SCHEMA = 1


def iso(at: float | None) -> str | None:
    """Return an ISO-8601 time with offset, to the millisecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def joules(energy_mj: int | None) -> float | None:
    """Return joules of millijoules."""
    return None if energy_mj is None else energy_mj / 1000


def job_document(  # noqa: PLR0913  a job is told from five sources
    job: Job,
    now: float,
    usage: Usage | None = None,
    anomalies: Sequence[Anomaly] = (),
    reason: Reason | None = None,
    short: str | None = None,
    power_w: float | None = None,
    *,
    lent: bool = False,
) -> Document:
    """Return a job as listed everywhere; `lent` when it runs on GPUs beyond a quota, which can be recalled."""
    spec = job.spec
    return {
        "schema": SCHEMA, "id": job.id, "name": mask_text(spec.name), "user": spec.user, "uid": spec.uid,
        "node": job.node, "state": job.state.value, "held": job.held, "priority": job.priority, "gpus_asked": spec.gpus,
        "gpus": list(job.gpus), "gpu_instance": job.gpu_instance,
        "cpus": spec.cpus, "mem_bytes": spec.mem_bytes, "limit_s": spec.limit_s,
        "argv": mask_argv(spec.argv), "cwd": mask_text(spec.cwd), "log_path": mask_facts(log_path(job)),
        "after": list(spec.after),
        "after_any": list(spec.after_any), "after_not_ok": list(spec.after_not_ok), "queue": spec.queue,
        "account": spec.account, "begin_at": iso(spec.begin_at), "deadline_at": iso(spec.deadline_at),
        "deadline_met": deadline_met(job, now), "array_id": spec.array_id,
        "array_index": spec.array_index, "array_limit": spec.array_limit, "gpu_mem_bytes": spec.gpu_mem_bytes,
        "gpu_mem_runs": spec.gpu_mem_runs,
        "checkpoint_signal": spec.checkpoint_signal, "checkpoint_s": spec.checkpoint_s, "launcher": spec.launcher,
        "ranks": spec.ranks, "hang_after_s": spec.hang_after_s,
        "preemptible": spec.preemptible, "lent": lent, "predicted_s": job.predicted_s, "predicted_by": job.predicted_by,
        "forecast_at": iso(job.forecast_at), "forecast_low_at": iso(job.forecast_low_at),
        "forecast_high_at": iso(job.forecast_high_at), "preempted": job.preempted, "lost_s": job.lost_s,
        "attempt": job.attempt, "submitted_at": iso(job.submitted_at), "started_at": iso(job.started_at),
        "ended_at": iso(job.ended_at), "wait_s": wait_s(job, now), "run_s": run_s(job, now),
        "exit_code": job.exit_code, "signal": job.signal, "cause": mask_facts(job.cause),
        "energy_j": joules(usage.energy_mj) if usage is not None else None,
        "gpu_s": usage.gpu_s if usage is not None else None,
        "gpu_util_ratio": usage.gpu_util_ratio if usage is not None else None,
        "gpu_power_w": power_w, "mem_peak_bytes": usage.mem_peak_bytes if usage is not None else None,
        "reported": mask_facts(job.reported), "simulated": job.simulated,
        "anomalies": [{"id": anomaly.id, "rule": anomaly.finding.rule} for anomaly in anomalies],
        "reason": None if reason is None else brief_document(reason, short),
    }  # fmt: skip


def brief_document(reason: Reason, short: str | None) -> Document:
    """Return why a job waits as listings have it; `limit` names the limit that refuses it, by kind and whose it is."""
    limit = jsonable(reason.facts.get("limit"))
    return {"code": reason.code.value, "short": mask_facts(short), "limit": mask_facts(limit)}


def wait_s(job: Job, now: float) -> float | None:
    """Return how long the job waited for its newest attempt, or has waited so far; not before its begin time."""
    begin = max(job.queued_at, job.submitted_at, job.spec.begin_at or 0.0)
    if job.started_at is not None:
        return round(max(job.started_at - begin, 0.0), 3)
    if job.ended_at is not None:
        return round(max(job.ended_at - begin, 0.0), 3)
    return round(max(now - begin, 0.0), 3)


def deadline_met(job: Job, now: float) -> bool | None:
    """Say whether the job had succeeded by its deadline; None without one, and while it still may."""
    deadline_at = job.spec.deadline_at
    if deadline_at is None:
        return None
    if job.state is JobState.SUCCEEDED and job.ended_at is not None:
        return job.ended_at <= deadline_at
    return False if now > deadline_at else None


def run_s(job: Job, now: float) -> float | None:
    """Return how long the newest attempt ran, or has run so far."""
    if job.run_s is not None:
        return round(job.run_s, 3)
    if job.started_at is None:
        return None
    if job.state in ACTIVE:
        return round(max(now - job.started_at, 0.0), 3)
    return None if job.ended_at is None else round(max(job.ended_at - job.started_at, 0.0), 3)


def reason_document(job: Job, reason: Reason) -> Document:
    """Return the answer of `dcd why`."""
    unblock = reason.unblock
    return {
        "schema": SCHEMA, "job_id": job.id, "state": job.state.value, "code": reason.code.value,
        "sentence": mask_text(reason.sentence), "facts": mask_facts(jsonable(reason.facts)),
        "unblock": {
            "end_jobs": list(unblock.end_jobs), "skip_jobs": list(unblock.skip_jobs),
            "finish_dependencies": list(unblock.finish_dependencies), "release": unblock.release,
            "end_dependencies": list(unblock.end_dependencies), "fail_dependencies": list(unblock.fail_dependencies),
            "begin_at": iso(unblock.begin_at),
            "restore_gpus": [list(gpu) for gpu in unblock.restore_gpus], "first": unblock.first,
            "lift_limits": [list(limit) for limit in unblock.lift_limits], "unbook": list(unblock.unbook),
            "others": unblock.others,
        },
        "expected_start_at": iso(reason.expected_start_at),
        "expected_low_at": iso(reason.expected_low_at), "expected_high_at": iso(reason.expected_high_at),
    }  # fmt: skip


def anomaly_document(anomaly: Anomaly, reader: Actor) -> Document:
    """Return one anomaly with its evidence; lines of a job's log only for those who may read the log."""
    finding = anomaly.finding
    evidence = jsonable(finding.evidence)
    if "log_tail" in evidence and not (reader.operator or evidence.get("uid") == reader.uid):
        evidence["log_tail"] = None
    return {
        "id": anomaly.id, "rule": finding.rule, "severity": finding.severity.value, "subject": finding.subject,
        "message": mask_text(finding.message), "evidence": mask_facts(evidence), "job_id": finding.job_id,
        "gpu": finding.gpu, "raised_at": iso(anomaly.raised_at), "cleared_at": iso(anomaly.cleared_at),
        "acked_by": anomaly.acked_by,
    }  # fmt: skip


def jsonable(value: object) -> Any:
    """Return tuples and sets as lists, so that any facts can be sent."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(jsonable(item) for item in value)
    return value

"""What the audit keeps of a job before and after a change: where it stands, and nothing that could hold a secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dcdaemon.core.booking import Booking
from dcdaemon.core.job import Job, JobSpec
from dcdaemon.core.token import Token

Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what, from where, to what, and how it was before and after; None where there was nothing to tell."""

    at: float
    uid: int
    user: str
    via: str
    action: str
    job_id: int | None
    detail: Mapping[str, object] = field(default_factory=dict)
    id: int = 0
    peer: str | None = None
    token: str | None = None
    subject: str | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What an audit row says of a change beside who made it: to what, and how that was before and after."""

    action: str
    subject: str | None = None
    job_id: int | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows; an empty field means no restriction; the newest `limit` of them, oldest first."""

    since: float | None = None
    job_ids: tuple[int, ...] = ()
    uid: int | None = None
    user: str | None = None
    action: str | None = None
    limit: int | None = None


def standing(job: Job) -> Facts:
    """Return where a job stands."""
    return {
        "state": job.state.value, "held": job.held, "priority": job.priority, "attempt": job.attempt,
        "gpus": list(job.gpus), "name": job.spec.name, "queue": job.spec.queue, "account": job.spec.account,
        "limit_s": job.spec.limit_s, "begin_at": job.spec.begin_at, "deadline_at": job.spec.deadline_at,
    }  # fmt: skip


def job_change(action: str, before: Job, after: Job) -> Change:
    """Return the change of a job: of where it stood, only what is different now."""
    was, now = standing(before), standing(after)
    changed = [name for name in was if was[name] != now[name]]
    return Change(
        action, f"job {after.id}", after.id, {name: was[name] for name in changed},
        {name: now[name] for name in changed}, {"from": before.state.value, "to": after.state.value},
    )  # fmt: skip


def submission(job_id: int, spec: JobSpec) -> Change:
    """Return the change that a submit is: from nothing to what was asked for."""
    after = {
        "state": "waiting", "held": spec.held, "priority": spec.priority, "name": spec.name, "gpus": spec.gpus,
        "queue": spec.queue, "account": spec.account,
    }  # fmt: skip
    return Change("submit", f"job {job_id}", job_id, None, after)


def booked(booking: Booking) -> Change:
    """Return the change that a new booking is."""
    return Change("book", f"booking {booking.id}", None, None, booking.audit_detail, booking.audit_detail)


def unbooked(booking: Booking) -> Change:
    """Return the change that calling a booking off is."""
    before, after = {"until_at": booking.until_at}, {"until_at": booking.ends_at}
    return Change("unbook", f"booking {booking.id}", None, before, after, {"booking": booking.id})


def acknowledged(anomaly_id: int, before: str | None, after: str) -> Change:
    """Return the change that seeing an anomaly is; `before` is who had seen it already."""
    subject = f"anomaly {anomaly_id}"
    return Change("acknowledge", subject, None, {"acked_by": before}, {"acked_by": after}, {"anomaly": anomaly_id})


def token_created(token: Token) -> Change:
    """Return the change that a new token is."""
    return Change("token_create", f"token {token.id}", None, None, token.audit_detail, token.audit_detail)


def token_revoked(token: Token, at: float) -> Change:
    """Return the change that revoking a token is."""
    detail = token.audit_detail
    return Change("token_revoke", f"token {token.id}", None, {"revoked_at": None}, {"revoked_at": at}, detail)

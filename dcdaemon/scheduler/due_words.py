"""Whether a waiting job is expected to be done by its deadline, in words."""

from dcdaemon.core.reasons import Basis, Facts
from dcdaemon.core.units import format_duration
from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.order import lasting_s


def due_facts(job: QueuedJob, now: float) -> Facts:
    """Return in how long the job is due, and how long it is thought to run; nothing without a deadline."""
    return Facts() if job.deadline_at is None else Facts(due_in_s=job.deadline_at - now, lasts_s=lasting_s(job))


def due_sentence(facts: Facts) -> str:
    """Return when the job is due, and by how much the forecast lies beyond; empty without a deadline."""
    due_in_s = facts.get("due_in_s")
    if due_in_s is None:
        return ""
    if due_in_s <= 0:
        return f"It was due {format_duration(-due_in_s)} ago."
    due, starts_in_s = f"It is due in {format_duration(due_in_s)}", facts.get("starts_in_s")
    late_s = max(starts_in_s or 0.0, 0.0) + facts["lasts_s"] - due_in_s
    if late_s <= 0:
        return f"{due}."
    if starts_in_s is None:
        return f"{due}, and would be late even if it started now."
    if facts.get("starts_basis") == Basis.LIMITS:
        return f"{due}; if every job ahead runs to its limit, it is done {format_duration(late_s)} too late."
    return f"{due}; by this forecast it is done {format_duration(late_s)} too late."

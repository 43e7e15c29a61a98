"""Who goes first and why, and when a start is expected, in words."""

from dcdaemon.core.reasons import Ahead, Basis, Before, Facts
from dcdaemon.core.units import format_duration
from dcdaemon.scheduler.grammar import at_the_latest, capital, conjoined, in_about, jobs

#: One job that goes first, and several.
_WHO: dict[Before, tuple[str, str]] = {
    Before.PRIORITY: ("has a higher priority", "have a higher priority"),
    Before.QUOTA: ("is within its user's quota", "are within their users' quotas"),
    Before.QUEUE: ("is of a queue that goes first", "are of queues that go first"),
    Before.PROMISED: ("was promised a start", "were promised a start"),
    Before.OVERDUE: ("has waited longer than anyone should", "have waited longer than anyone should"),
    Before.OTHER_ORDER: ("is of a queue that has waited longer", "are of queues that have waited longer"),
    Before.SHARE: ("is of a user who has had less", "are of users who have had less"),
    Before.DUE: ("is due earlier", "are due earlier"),
    Before.IN_TIME: ("can still be done by its deadline", "can still be done by their deadlines"),
    Before.SHORTER: ("is expected to be shorter", "are expected to be shorter"),
    Before.NARROWER: ("needs fewer GPUs", "need fewer GPUs"),
    Before.WAITED: ("has waited longer", "have waited longer"),
    Before.EARLIER: ("came earlier", "came earlier"),
}
#: Said already where the one job ahead is named with its priority.
_PLAIN = frozenset({Before.PRIORITY, Before.EARLIER})


def who_goes_first(facts: Facts) -> str:
    """Return a sentence about the jobs ahead; empty where there are none, or where the job ahead says it all."""
    ahead = facts.get("ahead_by") or []
    if not ahead or _is_named(facts, ahead):
        return ""
    if len(ahead) == 1:
        return _all_alike(ahead[0])
    parts = conjoined([_part(each) for each in ahead])
    return f"{sum(each['count'] for each in ahead)} jobs go first: {parts}."


def expected(facts: Facts) -> str:
    """Return when the job is expected to start; empty where nothing is said about that."""
    if "starts_in_s" not in facts:
        return ""
    starts_in_s, endless, basis = facts["starts_in_s"], facts.get("endless"), facts.get("starts_basis")
    if starts_in_s is not None:
        if basis == Basis.LIMITS:
            return f"If every job runs to its limit, it starts {in_about(starts_in_s)}."
        lead = "By the work ahead, it" if basis == Basis.WORK else "It"
        return f"{lead} is expected to start {in_about(starts_in_s)}{interval(facts)}."
    if not endless:
        return "When it starts cannot be foretold."
    verb = "has" if len(endless) == 1 else "have"
    return f"{capital(jobs(endless))} {verb} no time limit, so the start is unknown."


def after_ends(facts: Facts) -> str:
    """Return which jobs have to end before the start, where it is only them; else when it is expected."""
    starts_in_s, ending = facts.get("starts_in_s"), facts.get("ending")
    if starts_in_s is None or not ending or not facts["starts_after_ending"]:
        return expected(facts)
    then = "both start" if facts.get("head_starts_beside") else "it starts"
    if facts.get("starts_basis") != Basis.LIMITS:
        verb = "is" if len(ending) == 1 else "are"
        ends = f"{verb} expected to end {in_about(starts_in_s)}{interval(facts)}"
    else:
        ends = f"{'ends' if len(ending) == 1 else 'end'} {at_the_latest(starts_in_s)}"
    return f"{capital(jobs(ending))} {ends}, then {then}."


def interval(facts: Facts) -> str:
    """Return ` (between 12m and 1h)`, ` (12m or later)`."""
    low_s, high_s = facts.get("starts_low_in_s"), facts.get("starts_high_in_s")
    if low_s is None:
        return ""
    return f" ({format_duration(low_s)} {'or later' if high_s is None else f'to {format_duration(high_s)}'})"


def _is_named(facts: Facts, ahead: list[Ahead]) -> bool:
    named = facts.get("head_job") or facts.get("starting")
    return bool(named) and len(ahead) == 1 and ahead[0]["count"] == 1 and ahead[0]["why"] in _PLAIN


def _all_alike(ahead: Ahead) -> str:
    one, many = _WHO[Before(ahead["why"])]
    if ahead["count"] > 1:
        return f"{ahead['count']} jobs that {many} go first."
    job = capital(jobs(ahead["jobs"]))
    if ahead["why"] == Before.OVERDUE:
        return f"{job} {one} and goes before all others."
    due_in_s = ahead.get("due_in_s")
    if due_in_s is not None:
        one = f"is due in {format_duration(due_in_s)}" if due_in_s > 0 else "is overdue"
    return f"{job}, which {one}, goes first."


def _part(ahead: Ahead) -> str:
    one, many = _WHO[Before(ahead["why"])]
    return f"{jobs(ahead['jobs'])} {one}" if ahead["count"] == 1 else f"{ahead['count']} {many}"

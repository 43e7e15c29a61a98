"""A limit that keeps a job waiting, in words."""

from collections.abc import Sequence

from dcdaemon.core.reasons import Facts
from dcdaemon.scheduler.caps import Cap
from dcdaemon.scheduler.grammar import counted, number


def limit_sentence(job: str, facts: Facts) -> str:
    """Return whose limit it is, what is in use of it, and what the job would add."""
    who, where = _owner(facts["limit"])
    used, most, more = facts["limit_used"], facts["limit_most"], facts["limit_more"]
    unit, verb = ("job", "run") if facts["limit_counts_jobs"] else ("GPU", "use")
    may = f"{who} may {verb} {counted(most, unit)} at a time{where}"
    if more > most:
        needs = f"{number(more)} {unit}{'' if more == 1 else 's'}"
        return f"{job} needs {needs}, but {may}: under this limit it never starts."
    one, many = ("runs", "run") if facts["limit_counts_jobs"] else ("is in use", "are in use")
    is_used = f"{number(used)} {one if used == 1 else many}"
    if facts["limit_kept"] and used + more <= most:
        return f"{job} waits for a limit: {may}, {is_used}, and the rest is kept for a job that has waited longer."
    needs = "" if facts["limit_counts_jobs"] else f", and it needs {number(more)}"
    return f"{job} waits for a limit: {may}, {is_used}{needs}."


def limit_note(facts: Facts) -> str:
    """Return the same in a few words: `user ada uses 8 of 8 GPUs`."""
    who, where = _owner(facts["limit"])
    verb, unit = ("runs", "jobs") if facts["limit_counts_jobs"] else ("uses", "GPUs")
    return f"{who} {verb} {number(facts['limit_used'])} of {facts['limit_most']} {unit}{where}"


def limit_owner(limit: Sequence[str]) -> str:
    """Return whose limit it is: `user ada`, `ada in main`, `array 120`."""
    return "".join(_owner(limit))


def _owner(limit: Sequence[str]) -> tuple[str, str]:
    kind, name = limit
    if kind in {Cap.QUEUE_USER, Cap.QUEUE_JOBS}:
        queue, user = name.split("/", 1)
        return user, f" in {queue}"
    if kind == Cap.QUOTA:
        return " ".join(name.split("/", 1)), ""
    if kind == Cap.NO_CPU:
        return name, " without a CPU"
    return f"{kind} {name}", ""

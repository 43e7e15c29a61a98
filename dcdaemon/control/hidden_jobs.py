"""Reasons for people who see their own jobs alone: other users' jobs are in the way, and stay nameless."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import cast

from dcdaemon.control.access import seen_ids, sees_only_own
from dcdaemon.control.desk import Desk
from dcdaemon.core.ports import Actor
from dcdaemon.core.reasons import Facts, Reason, Unblock

#: As scheduler/grammar.py writes them: `job 3`, `jobs 3 and 4`, `jobs 1, 2, 3, 4 and 9 more`.
_ONE = re.compile(r"\b([Jj])ob (\d+)\b")
_SEVERAL = re.compile(r"\b([Jj])obs (\d+(?:, \d+)*(?: and \d+)?)\b( more)?")
_LISTS = ("starting", "ending", "endless", "waits_for")
_HEAD = tuple(name for name in Facts.__annotations__ if name.startswith("head_"))
_OF_UNBLOCK = ("end_jobs", "skip_jobs", "finish_dependencies", "end_dependencies", "fail_dependencies")


def seen_by(desk: Desk, actor: Actor, reason: Reason) -> Reason:
    """Return the reason without what would tell the reader of jobs that he may not know of."""
    return seen_by_all(desk, actor, [reason])[0]


def seen_by_all(desk: Desk, actor: Actor, reasons: Iterable[Reason]) -> list[Reason]:
    """Return the reasons like that, after one look at whose jobs they name."""
    reasons = list(reasons)
    if not sees_only_own(desk, actor):
        return reasons
    named = sorted({job_id for reason in reasons for job_id in _ids(reason)})
    seen = frozenset(seen_ids(desk, actor, named))
    return [_without(reason, seen) for reason in reasons]


def words_without(text: str, seen: Collection[int]) -> str:
    """Return a text in which the jobs that are not seen have no numbers."""
    return _ONE.sub(lambda match: _one(match, seen), _SEVERAL.sub(lambda match: _several(match, seen), text))


def _ids(reason: Reason) -> set[int]:
    words = f"{reason.sentence} {reason.note}"
    told = {int(match[2]) for match in _ONE.finditer(words)}
    told |= {int(number) for match in _SEVERAL.finditer(words) for number in re.findall(r"\d+", match[2])}
    facts = reason.facts
    listed = [job_id for name in _LISTS for job_id in facts.get(name, ())]  # type: ignore[attr-defined]
    ahead = [job_id for one in facts.get("ahead_by", ()) for job_id in one["jobs"]]
    single = [job_id for job_id in (facts.get("head_job"), facts.get("failed_dependency")) if job_id is not None]
    changes = [job_id for name in _OF_UNBLOCK for job_id in getattr(reason.unblock, name)]
    return told.union(listed, ahead, single, changes)


def _without(reason: Reason, seen: Collection[int]) -> Reason:
    unblock = {name: _kept(getattr(reason.unblock, name), seen) for name in _OF_UNBLOCK}
    return replace(
        reason, facts=_facts(reason.facts, seen), unblock=_changed(reason.unblock, unblock),
        sentence=words_without(reason.sentence, seen), note=words_without(reason.note, seen),
    )  # fmt: skip


def _changed(unblock: Unblock, kept: dict[str, tuple[int, ...]]) -> Unblock:
    others = sum(len(getattr(unblock, name)) - len(ids) for name, ids in kept.items())
    return replace(unblock, others=others, **kept)  # type: ignore[arg-type]  # each is a tuple of ids


def _kept(ids: Iterable[int], seen: Collection[int]) -> tuple[int, ...]:
    return tuple(job_id for job_id in ids if job_id in seen)


def _facts(facts: Facts, seen: Collection[int]) -> Facts:
    shown: dict[str, object] = dict(facts)
    shown |= {name: list(_kept(cast("list[int]", shown[name]), seen)) for name in _LISTS if name in shown}
    if "ahead_by" in facts:
        shown["ahead_by"] = [{**one, "jobs": list(_kept(one["jobs"], seen))} for one in facts["ahead_by"]]
    if facts.get("head_job") not in {*seen, None}:
        shown = {name: value for name, value in shown.items() if name not in _HEAD}
    if facts.get("failed_dependency") not in {*seen, None}:
        shown.pop("failed_dependency")
    return cast("Facts", shown)


def _one(match: re.Match[str], seen: Collection[int]) -> str:
    if int(match[2]) in seen:
        return match[0]
    return "Another job" if match[1] == "J" else "another job"


def _several(match: re.Match[str], seen: Collection[int]) -> str:
    numbers = re.findall(r"\d+", match[2])
    # Of "3 and 9 more" the last number counts jobs.
    ids = [int(number) for number in (numbers[:-1] if match[3] else numbers)]
    mine = [job_id for job_id in ids if job_id in seen]
    if len(mine) == len(ids):
        return match[0]
    word: Callable[[str], str] = str.capitalize if match[1] == "J" else str.lower
    if not mine:
        return word("other jobs")
    return f"{word('jobs' if len(mine) > 1 else 'job')} {', '.join(map(str, mine))} and others"

"""How it is said that GPUs are booked."""

from collections.abc import Sequence

from dcdaemon.core.reasons import BookedGpus, Facts
from dcdaemon.core.units import format_duration
from dcdaemon.scheduler.grammar import conjoined, counted, gpus

_NAMED_AT_MOST = 3


def booked_sentence(job: str, facts: Facts, needed: str, free: str) -> str:
    """Return who has the GPUs, from when and until when, and what limit would let the job in before."""
    told = f"{job} needs {needed}, {free}: {conjoined(_named(facts['node'], facts['booked']))}."
    limit_s = facts.get("limit_to_start_s")
    return f"{told} With a time limit of {format_duration(limit_s)} it could start now." if limit_s else told


def deciding(facts: Facts) -> BookedGpus:
    """Return the booking that has to be over before the job has as many GPUs as it needs."""
    last: dict[int, BookedGpus] = {}
    for one in sorted(facts["booked"], key=lambda one: one["ends_in_s"]):
        last.update(dict.fromkeys(one["gpus"], one))
    in_order = sorted(last.values(), key=lambda one: one["ends_in_s"])
    return in_order[min(max(facts["gpus_needed"] - facts["gpus_free"], 1), len(in_order)) - 1]


def _named(node: str, booked: Sequence[BookedGpus]) -> list[str]:
    named = [_one(node, one) for one in booked[:_NAMED_AT_MOST]]
    more = len(booked) - len(named)
    return [*named, counted(more, "later booking")] if more else named


def _one(node: str, one: BookedGpus) -> str:
    """Return `GPUs 4 and 5 are booked (course) for another 3h`, or `... in 2h, for 4h`."""
    listed = gpus([(node, gpu) for gpu in one["gpus"]])
    length = format_duration(one["ends_in_s"] - one["opens_in_s"])
    when = f"in {format_duration(one['opens_in_s'])}, for {length}" if one["opens_in_s"] else f"for another {length}"
    return f"{listed} {'is' if len(one['gpus']) == 1 else 'are'} booked ({one['label']}) {when}"

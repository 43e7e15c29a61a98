"""When waiting jobs are expected to start, and between which times: their future played through."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dcdaemon.core.reasons import Basis
from dcdaemon.core.view import ClusterView, QueuedJob
from dcdaemon.scheduler.ahead import Line
from dcdaemon.scheduler.backlog import Backlog
from dcdaemon.scheduler.future import Future
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shape import Demand, Shape

#: The interval is what runs so many times shorter and longer than expected make of the start. On replayed traces, with
#: predictions that are typically 2.7 times off, and with all who came later, it held four starts of five.
SHORTER, LONGER = 1 / 3, 4.5
#: A job with more before it is not played through.
MOST_AHEAD = 400
#: Of the jobs behind, so many of each demand take part, and so many in all: they fill what is left over.
MOST_ALIKE_BEHIND = 50
MOST_BEHIND = 200


@dataclass(frozen=True, slots=True)
class Forecast:
    """A start to expect: when, between which times, and what that counts on; `high_at` is None when no end is known.

    `ended` are the jobs running now that end before on its nodes, `after_others` says that others have to run first;
    `beside` start at that same moment.
    """

    at: float
    low_at: float
    high_at: float | None
    basis: Basis
    ended: tuple[int, ...] = ()
    after_others: bool = True
    beside: frozenset[int] = frozenset()


def forecast(view: ClusterView, line: Line, policy: Policy, now: float, job_id: int) -> Forecast | None:
    """Return when one job is expected to start; None when that is unknown."""
    return forecasts(view, line, policy, now, [job_id])[job_id]


def forecasts(
    view: ClusterView, line: Line, policy: Policy, now: float, job_ids: Collection[int]
) -> dict[int, Forecast | None]:
    """Return when these jobs are expected to start, None where that is unknown.

    One play of the future serves all of them, and a second one, with longer runs, the ends of their intervals. Where
    too much goes before, only the work ahead is counted.
    """
    found = _play(view, line, policy, now, [job_id for job_id in job_ids if line.place(job_id) <= MOST_AHEAD])
    far = [job_id for job_id in job_ids if job_id not in found]
    backlog = Backlog.of(view, line, now) if far else None
    return found | {job_id: _counted(backlog, line, now, job_id) for job_id in far if backlog is not None}


def _play(
    view: ClusterView, line: Line, policy: Policy, now: float, job_ids: Sequence[int]
) -> dict[int, Forecast | None]:
    """Return what the play says of these jobs: None for an unknown start, nothing where it had to be given up."""
    if not job_ids:
        return {}
    expected, late = (Future(view, _cast(line, job_ids), policy, now, stretch) for stretch in (1.0, LONGER))
    found: dict[int, Forecast | None] = dict.fromkeys(job_ids) if expected.play(job_ids) else {}
    late_is_over = late.play([job_id for job_id in job_ids if job_id in expected.started])
    for job_id in job_ids:
        if job_id in expected.started:
            found[job_id] = _played(line.job(job_id), expected, late, cut=not late_is_over)
    return found


def _cast(line: Line, job_ids: Sequence[int]) -> QueueIndex:
    """Return who takes part: all before the last of these jobs, some behind it, and whatever they wait for."""
    last = max(line.place(job_id) for job_id in job_ids)
    cast = {key.job_id for key in line.keys[: last + 1]}
    cast.update(islice(_behind(line, last + 1), MOST_BEHIND))
    waited_for = [other for job_id in cast for other in line.job(job_id).waits_for]
    while waited_for:
        other = waited_for.pop()
        if other in line.queue and other not in cast:
            cast.add(other)
            waited_for += line.job(other).waits_for
    jobs = (line.job(job_id) for job_id in cast)
    return QueueIndex(job for job in jobs if not job.held and job.failed_dependency is None)


def _behind(line: Line, place: int) -> Iterator[int]:
    seen: Counter[Demand] = Counter()
    for key in line.keys[place:]:
        demand = Shape.of(line.job(key.job_id)).demand
        seen[demand] += 1
        if seen[demand] <= MOST_ALIKE_BEHIND:
            yield key.job_id


def _played(job: QueuedJob, expected: Future, late: Future, *, cut: bool) -> Forecast:
    """Return what two plays say; `cut` when the one with longer runs was given up."""
    now, started, latest = expected.began, expected.started[job.id], late.started.get(job.id)
    earliest = max(now, job.begin_at or now)
    over = expected.over[: started.after]
    ended = sorted(one.job_id for one in over if one.began_before and not set(one.nodes).isdisjoint(started.nodes))
    at = max(started.at, earliest)
    high_at = now + (at - now) * LONGER if cut else None
    return Forecast(
        at=at,
        low_at=max(now + (at - now) * SHORTER, earliest),
        high_at=high_at if latest is None else max(at, latest.at),
        basis=Basis.PREDICTIONS if any(one.foretold for one in over) else Basis.LIMITS,
        ended=tuple(ended),
        after_others=any(not one.began_before for one in over),
        beside=frozenset(other for other, start in expected.started.items() if start.at == started.at) - {job.id},
    )


def _counted(backlog: Backlog, line: Line, now: float, job_id: int) -> Forecast | None:
    """Return what the work ahead says; nothing of a job that waits for others, or for a time of its own."""
    job = line.job(job_id)
    work_s = None if job.waits_for else backlog.before_s(job_id)
    if work_s is None:
        return None
    earliest = max(now, job.begin_at or now)
    low_at, at, high_at = (max(now + work_s * factor, earliest) for factor in (SHORTER, 1.0, LONGER))
    return Forecast(at, low_at, high_at, Basis.WORK)

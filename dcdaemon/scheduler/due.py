"""Jobs that have deadlines, while these decide: a group is parted as it stands at the time of a pass."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.group import Group, Place, alone
from dcdaemon.scheduler.order import Ranking, runs_s


def parted(groups: Iterable[Group], ranking: Ranking, jobs: Mapping[int, QueuedJob]) -> Iterator[Group]:
    """Yield groups in which by this ranking each job goes before the next one."""
    for group in groups:
        if group.key.due:
            yield from _parts(group, ranking, jobs)
        else:
            yield group


def _parts(group: Group, ranking: Ranking, jobs: Mapping[int, QueuedJob]) -> Iterator[Group]:
    """Yield the overdue, those that are too late, and those in time."""
    if not ranking.goes_by_deadline(group.key.queue):
        yield Group(group.key, _by_age(group.places))
        return
    overdue = {place.job_id for place in group.places if ranking.is_overdue(jobs[place.job_id])}
    if overdue and ranking.moves(jobs[group.places[0].job_id]):
        # What this pass starts may bring them beyond a quota, where nobody is overdue: each has its own turn.
        yield from (alone(jobs[job_id]) for job_id in sorted(overdue))
    elif overdue:
        yield Group(group.key, _by_age(place for place in group.places if place.job_id in overdue))
    others = [place for place in group.places if place.job_id not in overdue] if overdue else group.places
    in_time = bisect_left(others, (ranking.now + runs_s(group.key.length),))
    yield from (Group(group.key, part) for part in (others[:in_time], others[in_time:]) if part)


def _by_age(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: (place.sequence, place.job_id))

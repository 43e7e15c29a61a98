"""Tells the scheduler's memory what happened to jobs, so that it knows what people have had to wait for."""

from dcdaemon.control.desk import Desk
from dcdaemon.core.job import ACTIVE, ENDED, Job
from dcdaemon.core.ports import JobQuery
from dcdaemon.core.view import QueuedJob, Standing
from dcdaemon.scheduler.capacity import places_of
from dcdaemon.scheduler.fair_share import AHEAD_S
from dcdaemon.scheduler.memory import Memory, Past
from dcdaemon.scheduler.order import lasting_s
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import is_ready
from dcdaemon.scheduler.start_time import StartTimes
from dcdaemon.scheduler.start_time_past import replay

#: How far back a restart looks, and at how many jobs at most.
RECALLED_S = 60 * 86400.0
MOST_RECALLED = 5000
#: Of these, so many are gone through event by event.
MOST_REPLAYED = 2000


def standing(desk: Desk, now: float) -> Standing:
    """Return what the past says to a decision made now; under the book's lock."""
    take_news(desk, now)
    return desk.memory.standing(now, desk.book.shares_used(now, AHEAD_S) if _shares_decide(desk.policy) else None)


def take_news(desk: Desk, now: float) -> None:
    """Tell the memory what has happened to jobs; under the book's lock."""
    for job in desk.book.take_news():
        queued = desk.book.queue.get(job.id)
        if queued is not None and is_ready(queued):
            desk.memory.queued(queued, now)
        elif job.state in ACTIVE and job.started_at is not None:
            desk.memory.started(job.id, job.started_at)
        elif job.state in ENDED and job.started_at is not None and job.run_s is not None:
            # Its start may never have been news of its own.
            desk.memory.started(job.id, job.started_at)
            desk.memory.ended(job.id, job.run_s, now)
        elif job.state not in ACTIVE:
            desk.memory.left(job.id, now)


def _shares_decide(policy: Policy) -> bool:
    return Order.FAIR_SHARE in {policy.order, *(rule.order for rule in policy.queues.values())}


def begin(desk: Desk) -> None:
    """Give the desk a memory of the jobs of the past, so that a restart makes nobody wait anew."""
    desk.memory = Memory([places_of(desk.book.node)], desk.policy)
    desk.memory.starts = StartTimes([desk.book.node], desk.policy, desk.memory.expected_s)
    since = desk.clock.now() - RECALLED_S
    ended = desk.store.jobs(JobQuery(states=ENDED, submitted_since=since, limit=MOST_RECALLED))
    known = [job for job in ended if job.run_s is not None and job.node == desk.node]
    known += [job for job in desk.book.unfinished() if job.started_at is not None]
    pasts = sorted(map(_past, known))
    waiting = [_waiting(job) for job in desk.book.queue if is_ready(job)]
    for past in sorted([*pasts, *waiting]):
        desk.memory.recall(past)
    running = [past for past in pasts if past.run_s is None]
    replay(desk.memory.starts, [*running, *pasts[-MOST_REPLAYED:]])
    desk.forecasts.recall(known)


def _past(job: Job) -> Past:
    queued_at = max(job.queued_at, job.submitted_at)
    return Past(queued_at, job.id, len(job.gpus), job.started_at, job.run_s, job.predicted_s)


def _waiting(job: QueuedJob) -> Past:
    return Past(job.queued_at, job.id, job.gpus, None, None, lasting_s(job))

"""Tells the scheduler's memory what happened to jobs, so that it knows what people have had to wait for."""

from dcdaemon.control.desk import Desk
from dcdaemon.core.job import ACTIVE, ENDED, Job
from dcdaemon.core.ports import JobQuery
from dcdaemon.core.view import Standing
from dcdaemon.scheduler.fair_share import AHEAD_S
from dcdaemon.scheduler.memory import Memory, Past
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import is_ready

#: How far back a restart looks, and at how many jobs at most.
RECALLED_S = 60 * 86400.0
MOST_RECALLED = 5000


def standing(desk: Desk, now: float) -> Standing:
    """Return what the past says to a decision made now; under the book's lock."""
    for job in desk.book.take_news():
        queued = desk.book.queue.get(job.id)
        if queued is not None and is_ready(queued):
            desk.memory.queued(queued, now)
        elif job.state in ACTIVE and job.started_at is not None:
            desk.memory.started(job.id, job.started_at)
        elif job.state in ENDED and job.started_at is not None and job.run_s is not None:
            desk.memory.ended(job.id, job.run_s, now)
        elif job.state not in ACTIVE:
            desk.memory.left(job.id, now)
    return desk.memory.standing(now, desk.book.shares_used(now, AHEAD_S) if _shares_decide(desk.policy) else None)


def _shares_decide(policy: Policy) -> bool:
    return Order.FAIR_SHARE in {policy.order, *(rule.order for rule in policy.queues.values())}


def begin(desk: Desk) -> None:
    """Give the desk a memory of the jobs of the past, so that a restart makes nobody wait anew."""
    desk.memory = Memory([len(desk.book.node.gpus)], desk.policy)
    since = desk.clock.now() - RECALLED_S
    ended = desk.store.jobs(JobQuery(states=ENDED, submitted_since=since, limit=MOST_RECALLED))
    known = [job for job in ended if job.run_s is not None and job.node == desk.node]
    known += [job for job in desk.book.unfinished() if job.started_at is not None]
    for past in sorted(map(_past, known)):
        desk.memory.recall(past)


def _past(job: Job) -> Past:
    queued_at = max(job.queued_at, job.submitted_at)
    return Past(queued_at, job.id, len(job.gpus), job.started_at, job.run_s, job.predicted_s)

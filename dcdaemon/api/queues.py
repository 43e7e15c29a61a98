"""Queues and shares over HTTP: what each queue gives and holds, what the caller may use, who has had what."""

from dataclasses import asdict

from fastapi import APIRouter

from dcdaemon.api.documents import SCHEMA, Document
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.control.access import sees_only_own
from dcdaemon.control.queue_report import QueueLine, deciding_queues, gone, queue_lines, your_use
from dcdaemon.control.share_report import share_lines

router = APIRouter(prefix="/v1", tags=["queues"])


@router.get("/queues")
def get_queues(desk: DeskOf, actor: ActorOf) -> Document:
    """List the queues with what runs and waits in them, and what the caller may use and uses."""
    return {
        "schema": SCHEMA, "node": desk.node, "queues": [_queue(line) for line in queue_lines(desk, actor)],
        # Jobs of queues that are not configured any more; they go by the rules of the default one.
        "gone": [{"name": name, "jobs": jobs} for name, jobs in gone(desk)],
        "you": asdict(your_use(desk, actor)),
    }  # fmt: skip


def _queue(line: QueueLine) -> Document:
    queue = line.queue
    return {
        "name": queue.name, "default": line.default, "order": line.order.value, "priority_tier": queue.tier,
        "gpus": line.gpus, "gpus_missing": line.missing, "default_limit_s": line.default_limit_s,
        "max_limit_s": queue.max_limit_s, "max_gpus_per_job": queue.max_gpus_per_job,
        "max_gpus_per_user": queue.max_gpus_per_user, "max_gpus": queue.max_gpus,
        "max_jobs_per_user": queue.max_jobs_per_user, "users": sorted(queue.users), "accounts": sorted(queue.accounts),
        "urgent": queue.urgent, "preemptible": queue.preemptible, "min_run_s": queue.min_run_s, **asdict(line.load),
        "yours": asdict(line.yours), "admits_you": line.admits_you,
    }  # fmt: skip


@router.get("/shares")
def get_shares(desk: DeskOf, actor: ActorOf) -> Document:
    """Tell what each account and user has had of the GPUs, where the past counts less, and who comes next."""
    own = sees_only_own(desk, actor)
    return {
        "schema": SCHEMA, "half_life_s": desk.book.sharing.half_life_s, "queues": deciding_queues(desk),
        "shares": [asdict(line) for line in share_lines(desk) if line.user in (None, actor.user) or not own],
    }  # fmt: skip

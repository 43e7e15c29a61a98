"""Clusters of many nodes with queues, owners, limits, predictions and a past, drawn at random for the properties."""

import math
from dataclasses import replace

from hypothesis import strategies as st

from dcdaemon.core.booking import Booking
from dcdaemon.core.plan import Part, Reservation, Start
from dcdaemon.core.view import ClusterView, GpuBlock, GpuSlot, NodeView, QueuedJob, RunningJob, Standing
from dcdaemon.scheduler.gang import gang_of
from dcdaemon.scheduler.policy import Order, Policy, QueueRule
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of

NOW = 1_000_000.0
MINUTE = 60.0
OWNERS = [("", "ada"), ("vision", "bob"), ("vision", "eve")]
QUEUES = ["", "night", "half"]
#: What the kinds of limits may be; the last one allows no job of more than one GPU.
CAPS = {
    ("user", "ada"): [2, 5],
    ("account", "vision"): [1, 4],
    ("queue", "night"): [3],
    ("array", "7"): [1, 2],
    ("quota", "user/bob"): [1, 3],
}

lengths = st.sampled_from([None, 5 * MINUTE, 20 * MINUTE, 90 * MINUTE, 600 * MINUTE])
predictions = st.sampled_from([None, 4 * MINUTE, 30 * MINUTE, 240 * MINUTE])
orders = st.sampled_from([Order.SHORTEST, Order.SHORTEST, Order.FIFO, Order.FAIR_SHARE, Order.DEADLINE, Order.DEADLINE])
#: How long after NOW a job is to be done: long ago, too soon for most, in time for most.
deadlines = st.sampled_from([None, None, -MINUTE, 10 * MINUTE, 60 * MINUTE, 600 * MINUTE])


@st.composite
def policies(draw):
    """Any order, queues with one of their own, a tier or GPUs of their own."""
    queues = {
        "night": QueueRule(draw(st.none() | orders), draw(st.sampled_from([0, 0, 1]))),
        "half": QueueRule(gpus=draw(st.sampled_from([None, frozenset({0, 1})]))),
    }
    return Policy(
        order=draw(orders), backfill=draw(st.sampled_from([True, True, True, False])),
        backfill_depth=draw(st.sampled_from([1, 1000, 1000])), gangs=draw(st.booleans()),
        safety=draw(st.sampled_from([None, 1.0, 4.0])), queues=queues,
    )  # fmt: skip


def due_at(within_s: float | None, now: float = NOW) -> float | None:
    return None if within_s is None else now + within_s


def caps_of(job: QueuedJob) -> tuple[tuple[str, str], ...]:
    """Return what a job counts against, as an owner's sharing would say; jobs 1, 4, 7 are one array."""
    keys = [("user", job.user), ("account", job.account), ("queue", job.queue), ("quota", f"user/{job.user}")]
    return tuple(key for key in keys if key in CAPS) + ((("array", "7"),) if job.id % 3 == 1 else ())


@st.composite
def jobs(draw, *, max_size=10, widest=10, ready=False):
    """Waiting jobs; some are held, wait for others or for a time, unless they have to be ready."""
    drawn = []
    for number in range(1, draw(st.integers(1, max_size)) + 1):
        account, user = draw(st.sampled_from(OWNERS))
        job = QueuedJob(
            id=number, sequence=draw(st.integers(0, 9)), priority=draw(st.sampled_from([50, 50, 50, 80])),
            gpus=draw(st.sampled_from([0, 1, 1, 2, 4, widest])), cpus=draw(st.integers(0, 4)),
            mem_bytes=draw(st.sampled_from([0, 0, 1, 3])), limit_s=draw(lengths), predicted_s=draw(predictions),
            queued_at=NOW - draw(st.sampled_from([0.0, 10.0, 120.0, 3000.0])) * MINUTE,
            user=user, account=account, queue=draw(st.sampled_from(QUEUES)), deadline_at=due_at(draw(deadlines)),
        )  # fmt: skip
        if not ready:
            job = replace(
                job, held=draw(st.sampled_from([False] * 5 + [True])),
                waits_for=draw(st.sampled_from([(), (), (), (), (100,), (1, 101)])),
                failed_dependency=draw(st.sampled_from([None] * 6 + [90])),
                begin_at=draw(st.sampled_from([None] * 5 + [NOW + 30 * MINUTE])),
            )  # fmt: skip
            job = replace(job, waits_for=tuple(other for other in job.waits_for if other != job.id))
        drawn.append(replace(job, caps=caps_of(job)))
    return drawn


@st.composite
def nodes(draw, *, most=5, blocks=True):
    """Nodes of up to four GPUs, most of them in order."""
    state = st.sampled_from([None] * 7 + [GpuBlock.DRAINED] * blocks)
    return tuple(
        NodeView(f"n{place}", draw(st.integers(2, 8)), draw(st.integers(2, 8)),
                 tuple(GpuSlot(index, blocked=draw(state)) for index in range(draw(st.sampled_from([2, 4, 4])))))
        for place in range(draw(st.integers(1, most)))
    )  # fmt: skip


@st.composite
def views(draw, *, blocks=True):
    """Such nodes with jobs on them, of users who count against limits; promises may be left from before."""
    machines, running = draw(nodes(blocks=blocks)), []
    for node in machines:
        gpus, cpus, mem = [gpu.index for gpu in node.gpus], node.cpus, node.mem_bytes
        for _ in range(draw(st.integers(0, 3))):
            held = tuple(gpus[: draw(st.integers(0, 3))])
            job_cpus, job_mem = draw(st.integers(0, min(cpus, 3))), draw(st.integers(0, min(mem, 3)))
            gpus, cpus, mem = gpus[len(held) :], cpus - job_cpus, mem - job_mem
            account, user = draw(st.sampled_from(OWNERS))
            began, limit_s = NOW - draw(st.sampled_from([1.0, 60.0, 600.0])) * MINUTE, draw(lengths)
            job = QueuedJob(100 + len(running), 0, 50, len(held), 0, 0, None, user=user, account=account)
            entry = RunningJob(
                job.id, node.name, held, job_cpus, job_mem, None if limit_s is None else began + limit_s, began,
                draw(predictions), user=user, account=account, caps=caps_of(job),
            )  # fmt: skip
            running.append(entry)
    drawn = draw(st.sets(st.sampled_from(sorted(CAPS))))
    caps = {key: draw(st.sampled_from(CAPS[key])) for key in sorted(drawn)}
    standing = Standing(
        draw(promises(machines)), draw(st.sampled_from([None, 0.0, 3e5])),
        {owner: draw(st.sampled_from([0.0, 1e4])) for owner in OWNERS},
    )  # fmt: skip
    return ClusterView(machines, tuple(running), caps, standing, draw(bookings(machines)))


@st.composite
def bookings(draw, machines):
    """What operators may have set aside: past, open and coming windows, which may overlap."""
    booked = []
    for number in range(1, draw(st.sampled_from([0, 0, 0, 1, 2])) + 1):
        node = draw(st.sampled_from(machines))
        gpus = tuple(gpu.index for gpu in node.gpus[draw(st.integers(0, 1)) : draw(st.integers(2, 4))])
        begin = NOW + draw(st.sampled_from([-120, -20, 10, 90])) * MINUTE
        until = begin + draw(st.sampled_from([30, 60, 600])) * MINUTE
        booked.append(Booking(number, node.name, gpus, begin, until, draw(st.sampled_from([(), ("ada",), ("bob",)]))))
    return tuple(booked)


@st.composite
def promises(draw, machines):
    """What a plan before may have promised to one of the first jobs."""
    if draw(st.booleans()):
        return ()
    node = draw(st.sampled_from(machines))
    gpus = tuple(gpu.index for gpu in node.gpus[: draw(st.integers(1, 4))])
    kept = Reservation(draw(st.integers(1, 3)), node.name, gpus, NOW + 3600.0, sticky=True)
    return (replace(kept, promised=draw(st.booleans())),)


def after(view: ClusterView, waiting: dict[int, QueuedJob], starts: tuple[Start, ...], policy: Policy) -> ClusterView:
    """Return the cluster once these starts are carried out at NOW."""
    return replace(view, running=view.running + tuple(begun(view, waiting, starts, policy, NOW)))


def begun(view, waiting, starts, policy, now) -> list[RunningJob]:
    """Return what runs then, a gang once a node."""
    spaces, running = spaces_of(view), []
    for start in starts:
        job = waiting[start.job_id]
        share, ends_at = share_of(job, start, spaces, policy), None if job.limit_s is None else now + job.limit_s
        for node, gpus in parts(start):
            entry = RunningJob(
                job.id, node, gpus, share.cpus, share.mem_bytes, ends_at, now, job.predicted_s, user=job.user,
                account=job.account, queue=job.queue, priority=job.priority, caps=job.caps,
            )  # fmt: skip
            running.append(entry)
    return running


def share_of(job: QueuedJob, start: Start, spaces, policy: Policy) -> QueuedJob | Shape:
    """Return what the job takes of each of its nodes."""
    if not start.also:
        return job
    gpus = policy.gpus_of(job.queue)
    seen = spaces if gpus is None else [space.only(gpus) for space in spaces]
    gang = gang_of(Shape.of(job), seen, policy)
    assert gang is not None
    return gang.share


def parts(start: Start | Reservation) -> list[Part]:
    """Return the GPUs of each node."""
    return [Part(start.node, start.gpus), *start.also]


def by_id(waiting: list[QueuedJob]) -> dict[int, QueuedJob]:
    return {job.id: job for job in waiting}


def known(at: float | None) -> float:
    return math.inf if at is None else at

"""What must hold where jobs may take several whole nodes, whatever the cluster and the queue."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from test_scheduler_properties import LIMITS, NOW, by_id, queued_jobs, views

from dcdaemon.core.plan import Part, Plan, Start
from dcdaemon.core.view import ClusterView, QueuedJob, RunningJob
from dcdaemon.scheduler.cycle import pass_on, plan
from dcdaemon.scheduler.gang import could_hold, gang_of
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of

GANGS = Policy(gangs=True)
POLICIES = st.sampled_from([GANGS, Policy(backfill=False, gangs=True)])


@st.composite
def wide_jobs(draw, max_size=9):
    """Jobs of up to three nodes' GPUs."""
    jobs = draw(queued_jobs(ready=True, limits=LIMITS, max_size=max_size))
    return [replace(job, gpus=draw(st.integers(0, 14)), cpus=draw(st.integers(0, 4))) for job in jobs]


def parts(start: Start) -> list[Part]:
    return [Part(start.node, start.gpus), *start.also]


def after(view: ClusterView, jobs: dict[int, QueuedJob], starts: tuple[Start, ...], now: float) -> ClusterView:
    """The cluster once the starts are carried out: a running job a node."""
    spaces, begun = spaces_of(view), []
    for start in starts:
        job = jobs[start.job_id]
        gang = gang_of(Shape.of(job), spaces, GANGS)
        share = gang.share if gang else job
        ends_at = None if job.limit_s is None else now + job.limit_s
        begun += [RunningJob(job.id, *part, share.cpus, share.mem_bytes, ends_at) for part in parts(start)]
    return replace(view, running=view.running + tuple(begun))


@given(views(), wide_jobs(), POLICIES)
def test_no_gpu_is_given_twice_or_while_blocked_and_gangs_get_whole_nodes(view, jobs, policy):
    decided = plan(view, QueueIndex(jobs), policy, NOW)
    assert len({start.job_id for start in decided.starts}) == len(decided.starts)
    full = after(view, by_id(jobs), decided.starts, NOW)
    for node in view.nodes:
        here = [job for job in full.running if job.node == node.name]
        held = [gpu for job in here for gpu in job.gpus]
        assert len(held) == len(set(held))
        assert sum(job.cpus for job in here) <= node.cpus
        assert sum(job.mem_bytes for job in here) <= node.mem_bytes
    usable = {node.name: [gpu.index for gpu in node.gpus if gpu.blocked is None] for node in view.nodes}
    for start in decided.starts:
        asked = by_id(jobs)[start.job_id].gpus
        assert len({part.node for part in parts(start)}) == len(parts(start))
        if start.also:
            assert asked > max(len(gpus) for gpus in usable.values())
            assert all(list(part.gpus) == usable[part.node] for part in parts(start))
            assert asked <= sum(len(part.gpus) for part in parts(start))
        else:
            assert len(start.gpus) == asked
            assert set(start.gpus) <= set(usable[start.node])


def head_alone(view: ClusterView, head: QueuedJob) -> Plan:
    return plan(view, QueueIndex([head]), GANGS, NOW)


@settings(max_examples=200)
@given(views(), wide_jobs(max_size=12))
def test_backfill_never_moves_the_heads_start_later(view, jobs):
    decided = plan(view, QueueIndex(jobs), GANGS, NOW)
    if decided.reservation is None:
        return
    head = by_id(jobs)[decided.reservation.job_id]
    assert could_hold(Shape.of(head), spaces_of(view), GANGS)
    again = head_alone(after(view, by_id(jobs), decided.starts, NOW), head)
    assert again.reservation is not None
    first_at = math.inf if decided.reservation.at is None else decided.reservation.at
    again_at = math.inf if again.reservation.at is None else again.reservation.at
    assert again_at <= first_at


@given(views(), wide_jobs(max_size=12))
def test_a_plan_leaves_nothing_that_could_start_as_well(view, jobs):
    queue = QueueIndex(jobs)
    decided = plan(view, queue, GANGS, NOW)
    started = [start.job_id for start in decided.starts]
    again = plan(after(view, by_id(jobs), decided.starts, NOW), queue.without(started), GANGS, NOW)
    assert again.starts == ()


@given(views(), wide_jobs())
def test_only_who_fits_into_all_nodes_together_may_hold_up_the_others(view, jobs):
    decided = plan(view, QueueIndex(jobs), GANGS, NOW)
    if decided.reservation is None:
        started = {start.job_id for start in decided.starts}
        spaces = spaces_of(view)
        assert all(job.id in started for job in jobs if could_hold(Shape.of(job), spaces, GANGS))


@settings(max_examples=60)
@given(views(), wide_jobs(max_size=12), POLICIES, st.data())
def test_spaces_kept_over_a_whole_life_give_the_plans_of_fresh_views(view, jobs, policy, data):
    view = replace(view, running=())
    kept, queue, now = spaces_of(view), QueueIndex(), NOW
    coming = list(jobs)
    while coming or view.running:
        now += 1.0
        if coming and data.draw(st.booleans()):
            queue.add(coming.pop())
        elif view.running:
            gone = data.draw(st.sampled_from(sorted({job.id for job in view.running})))
            for job in view.running:
                if job.id == gone:
                    next(space for space in kept if space.name == job.node).give_back(gone)
            view = replace(view, running=tuple(job for job in view.running if job.id != gone))
        decided = plan(view, queue, policy, now)
        assert pass_on(kept, queue, policy, now).plan == decided
        view = after(view, by_id(jobs), decided.starts, now)
        for start in decided.starts:
            queue.remove(start.job_id)

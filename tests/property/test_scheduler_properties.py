"""What must hold for every cluster, every queue and every plan."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.plan import Plan, Start
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import ClusterView, GpuBlock, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import WIDTH, short
from dcdaemon.scheduler.placement import fit
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex, is_ready, order_of
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import apply

NOW = 1000.0
POLICIES = st.builds(Policy, backfill=st.booleans(), backfill_depth=st.sampled_from([0, 1, 3, 1000]))
LIMITS = st.sampled_from([None, 10.0, 20.0, 30.0, 60.0, 90.5])


@st.composite
def gpu_slots(draw):
    blocks = draw(st.lists(st.sampled_from([None, None, None, *GpuBlock]), min_size=0, max_size=6))
    return tuple(GpuSlot(index, blocked=block) for index, block in enumerate(blocks))


@st.composite
def views(draw):
    """Nodes with some jobs already on them; jobs that run may hold GPUs that were blocked later."""
    nodes = [
        NodeView(f"n{place}", draw(st.integers(1, 12)), draw(st.integers(0, 12)), draw(gpu_slots()))
        for place in range(draw(st.integers(1, 3)))
    ]
    running = []
    for node in nodes:
        gpus, cpus, mem = [gpu.index for gpu in node.gpus], node.cpus, node.mem_bytes
        for _ in range(draw(st.integers(0, 3))):
            held = tuple(gpus[: draw(st.integers(0, 3))])
            job_cpus, job_mem = draw(st.integers(0, min(cpus, 4))), draw(st.integers(0, min(mem, 4)))
            gpus, cpus, mem = gpus[len(held) :], cpus - job_cpus, mem - job_mem
            ends_at = draw(st.sampled_from([None, NOW - 5, NOW + 10, NOW + 20, NOW + 35]))
            running.append(RunningJob(100 + len(running), node.name, held, job_cpus, job_mem, ends_at))
    return ClusterView(tuple(nodes), tuple(running))


@st.composite
def queued_jobs(draw, *, ready=False, limits=LIMITS, max_size=9):
    return [
        QueuedJob(
            id=number,
            sequence=draw(st.integers(0, 5)),
            priority=draw(st.sampled_from([10, 50, 80])),
            gpus=draw(st.integers(0, 4)),
            cpus=draw(st.integers(0, 6)),
            mem_bytes=draw(st.sampled_from([0, 0, 1, 3, 6])),
            limit_s=draw(limits),
            held=not ready and draw(st.sampled_from([False, False, True])),
            waits_for=() if ready else draw(st.sampled_from([(), (), (100,), (1, 101) if number > 1 else (101,)])),
            failed_dependency=None if ready else draw(st.sampled_from([None, None, None, 90])),
        )
        for number in range(1, draw(st.integers(0, max_size)) + 1)
    ]


def after(view: ClusterView, jobs: dict[int, QueuedJob], starts: tuple[Start, ...], now: float) -> ClusterView:
    """The cluster once the starts are carried out."""
    begun = []
    for start in starts:
        job = jobs[start.job_id]
        ends_at = None if job.limit_s is None else now + job.limit_s
        begun.append(RunningJob(job.id, start.node, start.gpus, job.cpus, job.mem_bytes, ends_at))
    return replace(view, running=view.running + tuple(begun))


def by_id(jobs: list[QueuedJob]) -> dict[int, QueuedJob]:
    return {job.id: job for job in jobs}


def fits_empty(view: ClusterView, job: QueuedJob) -> bool:
    return any(space.can_hold(Shape.of(job)) for space in spaces_of(view))


@given(views(), queued_jobs(), POLICIES)
def test_no_gpu_is_given_twice_or_while_blocked_and_no_capacity_is_exceeded(view, jobs, policy):
    decided = plan(view, QueueIndex(jobs), policy, NOW)
    assert len({start.job_id for start in decided.starts}) == len(decided.starts)
    assert all(is_ready(by_id(jobs)[start.job_id]) for start in decided.starts)
    full = after(view, by_id(jobs), decided.starts, NOW)
    for node in view.nodes:
        here = [job for job in full.running if job.node == node.name]
        held = [gpu for job in here for gpu in job.gpus]
        started = [start for start in decided.starts if start.node == node.name]
        open_gpus = {gpu.index for gpu in node.gpus if gpu.blocked is None}
        assert len(held) == len(set(held))
        assert {gpu for start in started for gpu in start.gpus} <= open_gpus
        assert sum(job.cpus for job in here) <= node.cpus
        assert sum(job.mem_bytes for job in here) <= node.mem_bytes
    for start in decided.starts:
        assert len(start.gpus) == by_id(jobs)[start.job_id].gpus


@given(views(), queued_jobs())
def test_without_backfill_jobs_start_in_strict_order_up_to_the_first_that_does_not_fit(view, jobs):
    decided = plan(view, QueueIndex(jobs), Policy(backfill=False), NOW)
    in_turn = [job for job in sorted(jobs, key=order_of) if is_ready(job) and fits_empty(view, job)]
    started = [start.job_id for start in decided.starts]
    assert started == [job.id for job in in_turn[: len(started)]]
    head = in_turn[len(started)].id if len(started) < len(in_turn) else None
    assert (decided.reservation.job_id if decided.reservation else None) == head


@given(views(), queued_jobs(), POLICIES)
def test_the_head_waits_only_when_it_does_not_fit(view, jobs, policy):
    decided = plan(view, QueueIndex(jobs), policy, NOW)
    in_order = tuple(start for start in decided.starts if not start.backfilled)
    left = spaces_of(after(view, by_id(jobs), in_order, NOW))
    if decided.reservation is None:
        started = {start.job_id for start in decided.starts}
        assert all(job.id in started for job in jobs if is_ready(job) and fits_empty(view, job))
    else:
        head = by_id(jobs)[decided.reservation.job_id]
        assert fit(Shape.of(head), left) is None
        assert fits_empty(view, head)


def head_alone(view: ClusterView, head: QueuedJob, now: float = NOW) -> Plan:
    return plan(view, QueueIndex([head]), Policy(), now)


@settings(max_examples=150)
@given(views(), queued_jobs(ready=True, max_size=12))
def test_backfill_never_moves_the_heads_start_later(view, jobs):
    decided = plan(view, QueueIndex(jobs), Policy(), NOW)
    reservation = decided.reservation
    if reservation is None:
        return
    again = head_alone(after(view, by_id(jobs), decided.starts, NOW), by_id(jobs)[reservation.job_id])
    assert again.reservation is not None
    first_at = math.inf if reservation.at is None else reservation.at
    again_at = math.inf if again.reservation.at is None else again.reservation.at
    assert again_at <= first_at


@settings(max_examples=150)
@given(views(), queued_jobs(max_size=12))
def test_a_plan_leaves_nothing_that_could_start_as_well(view, jobs):
    queue = QueueIndex(jobs)
    decided = plan(view, queue, Policy(), NOW)
    started = [start.job_id for start in decided.starts]
    again = plan(after(view, by_id(jobs), decided.starts, NOW), queue.without(started), Policy(), NOW)
    assert again.starts == ()


@given(views(), queued_jobs(ready=True, max_size=12))
def test_while_the_heads_start_is_unknown_nothing_it_may_need_is_given_away(view, jobs):
    decided = plan(view, QueueIndex(jobs), Policy(), NOW)
    reservation = decided.reservation
    if reservation is None or reservation.at is not None:
        return
    backfilled = [start for start in decided.starts if start.backfilled and start.node == reservation.node]
    assert not {gpu for start in backfilled for gpu in start.gpus} & set(reservation.gpus)


@given(views(), queued_jobs(), POLICIES)
def test_the_same_question_gets_the_same_answer_whatever_the_order_of_arrival(view, jobs, policy):
    forwards, backwards = QueueIndex(jobs), QueueIndex(reversed(jobs))
    assert plan(view, forwards, policy, NOW) == plan(view, backwards, policy, NOW)


@given(views(), queued_jobs(), POLICIES, st.data())
def test_an_index_changed_step_by_step_plans_like_a_fresh_one(view, jobs, policy, data):
    index, kept = QueueIndex(), {}
    for job in jobs:
        index.add(job)
        kept[job.id] = job
        change = data.draw(st.sampled_from(["keep", "remove", "hold", "raise"]))
        chosen = data.draw(st.sampled_from(sorted(kept)))
        if change == "remove":
            assert index.remove(chosen) == kept.pop(chosen)
        elif change != "keep":
            kept[chosen] = replace(kept[chosen], **({"held": True} if change == "hold" else {"priority": 90}))
            index.replace(kept[chosen])
    gone = data.draw(st.sets(st.sampled_from([*kept, -1])))
    before = index.ordered()
    fresh = QueueIndex(job for job in kept.values() if job.id not in gone)
    assert plan(view, index.without(gone), policy, NOW) == plan(view, fresh, policy, NOW)
    assert index.without(gone).ordered() == fresh.ordered()
    assert index.ordered() == before
    assert plan(view, index, policy, NOW) == plan(view, QueueIndex(kept.values()), policy, NOW)


@settings(max_examples=80, deadline=None)
@given(views(), queued_jobs(), POLICIES, st.data())
def test_what_explain_says_would_start_the_job_starts_it(view, jobs, policy, data):
    if not jobs:
        return
    job = data.draw(st.sampled_from(jobs))
    queue = QueueIndex(jobs)
    reason = explain(view, queue, policy, NOW, job.id)
    started = {start.job_id for start in plan(*apply(view, queue, reason.unblock, job.id), policy, NOW).starts}
    if reason.code is ReasonCode.NEVER_FITS:
        assert not fits_empty(ClusterView(tuple(all_restored(node) for node in view.nodes)), job)
    else:
        assert job.id in started
    if fits_empty(view, job):
        assert reason.code not in {
            ReasonCode.DRAINED,
            ReasonCode.HEALTH,
            ReasonCode.FOREIGN,
            ReasonCode.NEVER_FITS,
        }


def all_restored(node: NodeView) -> NodeView:
    return replace(node, gpus=tuple(replace(gpu, blocked=None) for gpu in node.gpus))


@settings(max_examples=80, deadline=None)
@given(views(), queued_jobs(), POLICIES)
def test_every_waiting_job_has_a_reason_that_agrees_with_the_plan(view, jobs, policy):
    queue = QueueIndex(jobs)
    started = {start.job_id for start in plan(view, queue, policy, NOW).starts}
    reasons = explain_all(view, queue, policy, NOW, 100)
    assert [reason.job_id for reason in reasons] == [job.id for job in queue.ordered()]
    for reason in reasons:
        assert (reason.code is ReasonCode.STARTS_NOW) == (reason.job_id in started)
        assert reason.sentence.endswith(".")
        assert 0 < len(short(reason)) <= WIDTH
        alone = explain(view, queue, policy, NOW, reason.job_id)
        assert alone.code is reason.code
        assert alone.expected_start_at is None or alone.expected_start_at >= NOW
        # A job whose dependency ends meanwhile may come before the head; otherwise its promise is kept.
        if reason.expected_start_at is not None and not any(job.waits_for for job in jobs):
            assert alone.expected_start_at is not None
            assert alone.expected_start_at <= reason.expected_start_at


@settings(max_examples=80, deadline=None)
@given(views(), st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), max_size=12), st.data())
def test_every_job_that_fits_starts_and_the_head_no_later_than_promised(view, arrivals, data):
    """Jobs arrive over time, run no longer than their limits, and are planned for at each arrival and end."""
    view = replace(view, running=tuple(job for job in view.running if job.ends_at is None or job.ends_at > NOW))
    runs, coming = {}, []
    for number, (gap_s, run_s) in enumerate(sorted(arrivals), start=1):
        slack_s = data.draw(st.sampled_from([0, 0, 15, None]))
        limit_s = None if slack_s is None else float(run_s + slack_s)
        gpus, cpus = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 5))
        job = QueuedJob(number, number, 50, gpus, cpus, data.draw(st.sampled_from([0, 0, 2])), limit_s)
        if fits_empty(view, job):
            runs[job.id] = float(run_s)
            coming.append((NOW + gap_s, job))
    ends = {job.id: NOW + 200.0 if job.ends_at is None else job.ends_at for job in view.running}
    started, promised, index = {}, {}, QueueIndex()
    now = NOW
    while coming or len(index):
        for _, job in [pair for pair in coming if pair[0] <= now]:
            index.add(job)
        coming = [pair for pair in coming if pair[0] > now]
        view = replace(view, running=tuple(job for job in view.running if ends[job.id] > now))
        decided = plan(view, index, Policy(), now)
        view = after(view, by_id(list(index)), decided.starts, now)
        for start in decided.starts:
            index.remove(start.job_id)
            started[start.job_id], ends[start.job_id] = now, now + runs[start.job_id]
        if decided.reservation is not None and decided.reservation.at is not None:
            promised.setdefault(decided.reservation.job_id, decided.reservation.at)
        future = [ends[job.id] for job in view.running] + [pair[0] for pair in coming]
        assert future or not len(index), "jobs wait and nothing is going to happen"
        now = min(future, default=now)
    assert started.keys() == runs.keys()
    assert all(started[job_id] <= at for job_id, at in promised.items())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 7))
def test_a_wide_job_is_not_starved_by_a_stream_of_endless_small_ones(free):
    """Endless jobs keep coming, one for each that ends; what becomes free is kept for the wide job."""
    node = NodeView("n", 64, 0, tuple(GpuSlot(index) for index in range(8)))
    running = [RunningJob(100 + gpu, "n", (gpu,), 1, 0, None) for gpu in range(free, 8)]
    queue, next_id = QueueIndex([QueuedJob(1, 0, 50, 8, 8, 0, None)]), 200
    for _ in range(9 - free):
        queue.add(QueuedJob(next_id, next_id, 50, 1, 1, 0, None))
        next_id += 1
        decided = plan(ClusterView((node,), tuple(running)), queue, Policy(), NOW)
        if any(start.job_id == 1 for start in decided.starts):
            return
        assert not decided.starts
        running = running[1:]
    raise AssertionError("the wide job never started")

"""What must hold for every set of bookings: nobody is in their way, who is let in gets in, and nobody is forgotten."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.booking import Booking, next_change
from dcdaemon.core.reasons import ReasonCode
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queue import QueueIndex, order_of
from dcdaemon.scheduler.shape import Shape
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import apply

NOW = 1000.0
NODES = {"n0": 4, "n1": 2}
MEMORY = 10_000
GIB = 1024**3
GPU_BYTES = 80 * GIB
OWNERS = st.tuples(st.sampled_from(["ada", "bob", "eve"]), st.sampled_from(["", "vision"]))
POLICIES = st.builds(
    Policy, order=st.sampled_from(Order), backfill=st.booleans(), backfill_depth=st.sampled_from([0, 2, 1000]),
    share_holdoff_s=st.just(0.0),
)  # fmt: skip


@st.composite
def bookings(draw, earliest=-40, latest=120):
    """Windows of which no two have a GPU at one time."""
    found: list[Booking] = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        node = draw(st.sampled_from(sorted(NODES)))
        gpus = tuple(sorted(draw(st.sets(st.integers(0, NODES[node] - 1), min_size=1))))
        from_at = NOW + draw(st.integers(earliest, latest))
        booking = Booking(
            number, node, gpus, from_at, from_at + draw(st.integers(1, 90)),
            users=tuple(draw(st.sets(st.sampled_from(["ada", "bob"])))),
            accounts=tuple(draw(st.sets(st.sampled_from(["vision"])))),
        )  # fmt: skip
        together = [one for one in found if one.node == node and one.overlaps(from_at, booking.until_at)]
        if all(set(one.gpus).isdisjoint(gpus) for one in together):
            found.append(booking)
    return tuple(found)


@st.composite
def jobs(draw, max_size=12):
    made = []
    for number in range(1, draw(st.integers(1, max_size)) + 1):
        user, account = draw(OWNERS)
        limit_s = draw(st.sampled_from([None, 5.0, 10.0, 20.0, 30.0, 60.0, 90.5]))
        share, cpus = draw(st.sampled_from([None, None, None, 30 * GIB, 60 * GIB])), draw(st.integers(0, 2))
        gpus = draw(st.integers(0, 4)) if share is None else 1
        asked = QueuedJob(number, number, 50, gpus, cpus, 0, limit_s, user=user, account=account, queued_at=NOW)
        made.append(replace(asked, gpu_mem_bytes=share))
    return made


def cluster(booked: tuple[Booking, ...] = (), running: tuple[RunningJob, ...] = ()) -> ClusterView:
    nodes = tuple(
        NodeView(name, 16, MEMORY, tuple(GpuSlot(index, GPU_BYTES) for index in range(gpus)))
        for name, gpus in NODES.items()
    )
    return ClusterView(nodes, running, bookings=booked)


@st.composite
def busy(draw):
    """Some GPUs are held from the beginning."""
    held = []
    for name, gpus in NODES.items():
        for gpu in range(gpus):
            if draw(st.booleans()):
                ends_at = draw(st.sampled_from([None, NOW + 10, NOW + 35]))
                held.append(RunningJob(100 + len(held), name, (gpu,), 1, 0, ends_at, user=draw(OWNERS)[0]))
    return tuple(held)


def begun(job: QueuedJob, start, now: float) -> RunningJob:
    ends_at = None if job.limit_s is None else now + job.limit_s
    return RunningJob(
        job.id, start.node, start.gpus, job.cpus, 0, ends_at, now, gpu_mem_bytes=job.gpu_mem_bytes, user=job.user,
        account=job.account,
    )  # fmt: skip


def after(view: ClusterView, index: QueueIndex, starts, now: float) -> ClusterView:
    return replace(view, running=view.running + tuple(begun(index.get(start.job_id), start, now) for start in starts))


def in_the_way(booked: tuple[Booking, ...], job: QueuedJob, start, now: float) -> list[Booking]:
    """The bookings that a job would still be in the way of when its enforced limit is over."""
    ends_at = float("inf") if job.limit_s is None else now + job.limit_s
    return [
        one for one in booked
        if one.node == start.node and not set(one.gpus).isdisjoint(start.gpus)
        and not one.admits(job.user, job.account) and one.overlaps(now, ends_at)
    ]  # fmt: skip


@settings(max_examples=200)
@given(bookings(), jobs(), busy(), POLICIES)
def test_no_job_is_started_into_a_window_that_is_not_for_it(booked, waiting, held, policy):
    view, index = cluster(booked, held), QueueIndex(waiting)
    decided = plan(view, index, policy, NOW)
    assert len({start.job_id for start in decided.starts}) == len(decided.starts)
    taken: Counter[tuple[str, int]] = Counter()
    for job in after(view, index, decided.starts, NOW).running:
        taken.update({(job.node, gpu): job.gpu_mem_bytes or GPU_BYTES for gpu in job.gpus})
    assert max(taken.values(), default=0) <= GPU_BYTES
    for start in decided.starts:
        assert in_the_way(booked, index.get(start.job_id), start, NOW) == []
        assert len(start.gpus) == index.get(start.job_id).gpus


@settings(max_examples=200)
@given(bookings(latest=0), jobs(), busy(), POLICIES)
def test_the_first_who_is_let_in_gets_in(booked, waiting, held, policy):
    """Whatever else waits: of those for whom a window is open, the first waits only if its GPUs are held."""
    view, index = cluster(booked, held), QueueIndex(waiting)
    decided = plan(view, index, policy, NOW)
    left = {space.name: space for space in spaces_of(after(view, index, decided.starts, NOW))}
    started = {start.job_id for start in decided.starts}
    for booking in booked:
        if not booking.is_open(NOW):
            continue
        let_in = [
            job for job in sorted(waiting, key=order_of)
            if 0 < job.gpus <= len(booking.gpus) and booking.admits(job.user, job.account)
        ]  # fmt: skip
        inside = left[booking.node].only(frozenset(booking.gpus))
        # Shorter jobs may go first; where only one is let in, there is nothing to choose.
        if len(let_in) == 1 or (let_in and policy.order is Order.FIFO):
            assert let_in[0].id in started or not inside.has_room(Shape.of(let_in[0]))


@settings(max_examples=200)
@given(bookings(), jobs(), busy(), st.sampled_from(Order))
def test_what_is_refused_to_one_user_is_refused_to_no_other(booked, waiting, held, order):
    """A refusal spares others of the same demand; where no two demands are alike there is nothing to spare."""
    view, policy = cluster(booked, held), Policy(order=order)
    unlike = [replace(job, mem_bytes=job.id) for job in waiting]
    decided = plan(view, QueueIndex(waiting), policy, NOW)
    assert plan(view, QueueIndex(unlike), policy, NOW) == decided


@settings(max_examples=200)
@given(bookings(), jobs(), busy(), POLICIES, st.randoms())
def test_the_order_in_which_bookings_are_listed_decides_nothing(booked, waiting, held, policy, random):
    shuffled = list(booked)
    random.shuffle(shuffled)
    first = plan(cluster(booked, held), QueueIndex(waiting), policy, NOW)
    assert plan(cluster(tuple(shuffled), held), QueueIndex(waiting), policy, NOW) == first


@settings(max_examples=200)
@given(bookings(), jobs(), busy())
def test_the_head_starts_when_it_was_promised(booked, waiting, held):
    """When all jobs run to their limits and no other comes, a known start is kept, whatever is booked."""
    view, index = cluster(booked, held), QueueIndex(waiting)
    decided = plan(view, index, Policy(), NOW)
    outside = [one for one in decided.reservations if not promised_inside(booked, index.get(one.job_id), one)]
    if not outside or outside[0].at is None:
        return
    head, at = index.get(outside[0].job_id), outside[0].at
    later = after(view, index, decided.starts, NOW)
    later = replace(later, running=tuple(job for job in later.running if job.ends_at is None or job.ends_at > at))
    assert any(start.job_id == head.id for start in plan(later, QueueIndex([head]), Policy(), at).starts)


def promised_inside(booked, job, reservation) -> bool:
    """Whether GPUs are kept within an open window: others who are let in may come first there, and run on."""
    return any(
        one.node == reservation.node and one.is_open(NOW) and set(reservation.gpus) <= set(one.gpus)
        and one.admits(job.user, job.account)
        for one in booked
    )  # fmt: skip


@settings(max_examples=80)
@given(bookings(), jobs(), busy(), POLICIES, st.data())
def test_over_a_whole_life_windows_are_kept_and_every_job_that_fits_runs(booked, waiting, held, policy, data):
    """Jobs end when they like, within their limits; the scheduler is asked at each end and each change of a window."""
    runs = {job.id: data.draw(st.floats(0.1, job.limit_s or 150.0)) for job in waiting}
    view, index, now = cluster(booked, held), QueueIndex(waiting), NOW
    ends = {job.id: NOW + 40.0 if job.ends_at is None else job.ends_at for job in held}
    while len(index):
        decided = plan(view, index, policy, now)
        for start in decided.starts:
            assert in_the_way(booked, index.get(start.job_id), start, now) == []
            ends[start.job_id] = now + runs[start.job_id]
        view = after(view, index, decided.starts, now)
        for start in decided.starts:
            index.remove(start.job_id)
        change_at = next_change(booked, now)
        times = [ends[job.id] for job in view.running] + ([] if change_at is None else [change_at])
        assert times or not len(index), "jobs wait and nothing is going to happen"
        now = min(times, default=now)
        view = replace(view, running=tuple(job for job in view.running if ends[job.id] > now))
    assert not any(job.gpus > max(NODES.values()) for job in waiting)


@settings(max_examples=80)
@given(bookings(), jobs(max_size=6), busy(), POLICIES, st.data())
def test_what_explain_says_would_start_the_job_starts_it(booked, waiting, held, policy, data):
    view, queue = cluster(booked, held), QueueIndex(waiting)
    job = data.draw(st.sampled_from(waiting))
    reason = explain(view, queue, policy, NOW, job.id)
    started = {start.job_id for start in plan(view, queue, policy, NOW).starts}
    assert (reason.code is ReasonCode.STARTS_NOW) == (job.id in started)
    changed = plan(*apply(view, queue, reason.unblock, job.id), policy, NOW)
    assert job.id in {start.job_id for start in changed.starts}
    assert explain_all(view, queue, policy, NOW, only=frozenset({job.id}))[0].code is reason.code
    if reason.code is ReasonCode.BOOKED:
        assert any(one.id == named["booking"] for named in reason.facts["booked"] for one in booked)

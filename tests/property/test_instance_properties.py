"""Random nodes with GPUs that are cut by MIG: no instance in two jobs, none beyond its size, no cut GPU given whole."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from scene import GIB, Scene, broken_promises, instance

from dcdaemon.core.booking import Booking
from dcdaemon.core.job import ENDED
from dcdaemon.core.view import ClusterView, GpuBlock, GpuInstance, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.ahead import Line
from dcdaemon.scheduler.cycle import pass_on, plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.forecast import forecasts
from dcdaemon.scheduler.instances import number_of
from dcdaemon.scheduler.memory import Memory
from dcdaemon.scheduler.picture import Picture
from dcdaemon.scheduler.policy import Policy, QueueRule
from dcdaemon.scheduler.preempt import preempt
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shares import capacity_bytes
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import apply

NOW = 1_000_000.0
POLICY = Policy(queues={"half": QueueRule(gpus=frozenset({0, 1}))}, share_holdoff_s=0)
limits = st.sampled_from([None, 50.0, 600.0])
PREEMPTING = replace(
    POLICY,
    queues={
        **POLICY.queues, "urgent": QueueRule(tier=1, urgent=True), "scraps": QueueRule(preemptible=True),
    },
)  # fmt: skip
blocks = st.sampled_from([None] * 6 + [GpuBlock.FOREIGN, GpuBlock.DRAINED])


@st.composite
def slots(draw, index):
    block = draw(st.sampled_from([None] * 6 + [GpuBlock.DRAINED]))
    if draw(st.booleans()):
        return GpuSlot(index, 80 * GIB, block)
    sizes = draw(st.lists(st.sampled_from([10, 20, 40]), max_size=3))
    made = (GpuInstance(f"{place}/0", gib * GIB, draw(blocks)) for place, gib in enumerate(sizes))
    return GpuSlot(index, 80 * GIB, block, instances=tuple(made))


@st.composite
def clusters(draw):
    """One or two nodes; jobs on instances, on whole GPUs and on shares of those."""
    nodes, running = [], []
    for place in range(draw(st.integers(1, 2))):
        gpus = tuple(draw(slots(index)) for index in range(draw(st.integers(1, 3))))
        node = NodeView(f"n{place}", 8, 64, gpus)
        nodes.append(node)
        for slot in gpus:
            for name in draw(st.sets(st.sampled_from([one.name for one in slot.instances or ()] or [None]))):
                mem = draw(st.sampled_from([None, 30])) if slot.instances is None else 5
                if slot.instances is not None and name is None:
                    continue
                ends_at = draw(st.sampled_from([None, NOW + 100.0, NOW + 900.0]))
                running.append(
                    RunningJob(
                        100 + len(running), node.name, (slot.index,), 1, 0, ends_at, NOW - 300.0,
                        gpu_mem_bytes=mem and mem * GIB, gpu_instance=name,
                    )
                )  # fmt: skip
    booked = ()
    if draw(st.booleans()):
        begin = NOW + draw(st.sampled_from([-60.0, 200.0]))
        booked = (Booking(1, "n0", (0,), begin, begin + 1000.0, users=draw(st.sampled_from([(), ("ada",)]))),)
    return ClusterView(tuple(nodes), tuple(running), bookings=booked)


@st.composite
def queues(draw):
    return [
        QueuedJob(
            number, number, draw(st.sampled_from([50, 50, 80])), 1 if mem else draw(st.integers(0, 3)), 1, 0,
            draw(limits), gpu_mem_bytes=mem and mem * GIB, user=draw(st.sampled_from(["ada", "bob"])),
            queue=draw(st.sampled_from(["", "", "half"])),
        )
        for number in range(1, draw(st.integers(1, 6)) + 1)
        for mem in [draw(st.sampled_from([None, 5, 15, 40, 60]))]
    ]  # fmt: skip


def given_out(view, jobs, starts):
    """Return for each node, GPU and instance the memory that jobs on it asked for, None for a whole GPU."""
    asked = {job.id: job for job in jobs}
    held = [(job.node, gpu, job.gpu_instance, job.gpu_mem_bytes) for job in view.running for gpu in job.gpus]
    held += [
        (start.node, gpu, start.gpu_instance, asked[start.job_id].gpu_mem_bytes)
        for start in starts
        for gpu in start.gpus
    ]
    found = {}
    for node, gpu, name, mem in held:
        found.setdefault((node, gpu, name), []).append(mem)
    return found


@settings(max_examples=400, deadline=None)
@given(clusters(), queues())
def test_no_instance_is_given_twice_and_no_cut_gpu_whole(view, jobs):
    decided = plan(view, QueueIndex(jobs), POLICY, NOW)
    asked, at = (
        {job.id: job for job in jobs},
        {(node.name, slot.index): slot for node in view.nodes for slot in node.gpus},
    )
    for (node, gpu, name), mems in given_out(view, jobs, decided.starts).items():
        slot = at[node, gpu]
        if name is None:
            assert None not in mems or len(mems) == 1
            assert None in mems or sum(mems) <= capacity_bytes(slot)
        else:
            assert len(mems) == 1
    for start in decided.starts:
        job = asked[start.job_id]
        assert len(start.gpus) == job.gpus
        for gpu in start.gpus:
            slot = at[start.node, gpu]
            assert slot.blocked is None
            assert (slot.instances is None) == (start.gpu_instance is None)
            assert job.queue != "half" or gpu in {0, 1}
            for one in slot.instances or ():
                if one.name == start.gpu_instance:
                    assert one.blocked is None
                    assert job.gpu_mem_bytes <= one.mem_total_bytes
            for booking in view.bookings:
                if (booking.node, gpu) == (start.node, 0) and not booking.admits(job.user, ""):
                    assert job.limit_s is not None
                    assert NOW + job.limit_s <= booking.from_at


@settings(max_examples=200, deadline=None)
@given(clusters(), queues())
def test_what_is_said_to_start_a_job_does_start_it(view, jobs):
    queue = QueueIndex(jobs)
    reasons = {reason.job_id: reason for reason in explain_all(view, queue, POLICY, NOW)}
    starts = {start.job_id for start in plan(view, QueueIndex(jobs), POLICY, NOW).starts}
    for job in jobs:
        reason = explain(view, queue, POLICY, NOW, job.id)
        assert reason.sentence
        assert reason.code is reasons[job.id].code
        assert (reason.code == "starts_now") == (job.id in starts)
        if reason.code in {"never_fits", "starts_now"}:
            continue
        changed = apply(view, queue, reason.unblock, job.id)
        assert job.id in {start.job_id for start in plan(*changed, POLICY, NOW).starts}, reason


@settings(max_examples=200, deadline=None)
@given(clusters(), queues())
def test_a_pass_leaves_the_spaces_as_a_fresh_view_would_have_them(view, jobs):
    spaces = spaces_of(view)
    decided = pass_on(spaces, QueueIndex(jobs), POLICY, NOW, bookings=view.bookings).plan
    at = {space.name: space for space in spaces}
    for start in decided.starts:
        at[start.node].give_back(start.job_id)

    def left(made):
        return [(one.free, one.free_instances, one.cpus, one.holds, one.shared) for one in made]

    assert left(spaces) == left(spaces_of(view))


@settings(max_examples=200, deadline=None)
@given(clusters(), queues())
def test_nobody_without_a_limit_goes_where_the_head_of_the_queue_is_waited_for(view, jobs):
    decided = plan(replace(view, bookings=()), QueueIndex(jobs), POLICY, NOW)
    spaces = {space.name: space for space in spaces_of(view)}
    for kept in decided.reservations[:1]:
        for start in decided.starts:
            job = next(job for job in jobs if job.id == start.job_id)
            if start.backfilled and job.limit_s is None and start.node == kept.node:
                taken = {number for number in spaces[kept.node].instances if number in kept.gpus}
                assert not taken or start.gpu_instance is None or not _same(start, taken)


def _same(start, numbers):
    return any(number_of(gpu, start.gpu_instance) in numbers for gpu in start.gpus)


@st.composite
def crowds(draw):
    """A cluster in which everything ends by a limit, and jobs that all have one."""
    view = draw(clusters())
    ends = st.sampled_from([NOW + 100.0, NOW + 900.0])
    held = tuple(replace(job, ends_at=draw(ends), queue=draw(st.sampled_from(["", "scraps"]))) for job in view.running)
    nodes = tuple(replace(node, gpus=tuple(map(_open, node.gpus))) for node in view.nodes)
    jobs = [replace(job, limit_s=draw(st.sampled_from([50.0, 300.0, 800.0]))) for job in draw(queues())]
    return replace(view, nodes=nodes, running=held, bookings=()), jobs


def _open(slot):
    made = slot.instances and tuple(replace(one, blocked=None) for one in slot.instances)
    return replace(slot, blocked=None, instances=made)


def begun(start, job, at):
    return RunningJob(
        job.id, start.node, start.gpus, job.cpus, 0, at + job.limit_s, at, gpu_mem_bytes=job.gpu_mem_bytes,
        gpu_instance=start.gpu_instance,
    )  # fmt: skip


def lived(view, jobs):
    """Return when each job starts and what was kept for the first one that had to wait, every job at its limit."""
    memory, index, now = Memory([4], POLICY), QueueIndex(jobs), NOW
    started, first = {}, None
    by_id = {job.id: job for job in jobs}
    while True:
        decided = plan(replace(view, standing=memory.standing(now)), index, POLICY, now)
        memory.keep(decided)
        for start in decided.starts:
            index.remove(start.job_id)
            started[start.job_id] = now
            view = replace(view, running=(*view.running, begun(start, by_id[start.job_id], now)))
        first = first or next(iter(decided.reservations), None)
        if not view.running:
            return started, first
        now = min(job.ends_at for job in view.running)
        view = replace(view, running=tuple(job for job in view.running if job.ends_at > now))


@settings(max_examples=200, deadline=None)
@given(crowds())
def test_all_that_fits_starts_when_it_is_foretold_and_the_first_when_it_was_promised(crowd):
    view, jobs = crowd
    started, first = lived(view, jobs)
    picture = Picture(view, QueueIndex(jobs), POLICY, NOW)
    fits = {job.id for job in jobs if picture.never_fits(job) is None}
    assert started.keys() == fits
    if first is not None:
        assert started[first.job_id] <= first.at
    line = Line.of(view, QueueIndex(jobs), POLICY, NOW)
    foretold = forecasts(view, line, POLICY, NOW, sorted(fits))
    assert {job_id: one.at for job_id, one in foretold.items()} == started


@settings(max_examples=200, deadline=None)
@given(crowds(), st.sampled_from([None, 5, 15, 60]))
def test_only_jobs_that_are_in_the_way_are_stopped_and_then_the_urgent_one_starts(crowd, gib):
    view, _ = crowd
    urgent = QueuedJob(1, 1, 50, 1, 1, 0, None, gpu_mem_bytes=gib and gib * GIB, queue="urgent")
    index = QueueIndex([urgent])
    asked = preempt(view, index, PREEMPTING, plan(view, index, PREEMPTING, NOW), NOW)
    if asked is None:
        return
    victims = {job.id: job for job in view.running if job.id in asked.victims}
    assert {job.queue for job in victims.values()} == {"scraps"}

    def starts_without(gone):
        left = replace(view, running=tuple(job for job in view.running if job.id not in gone))
        return [start.gpus for start in plan(left, index, PREEMPTING, NOW).starts]

    [[gpu]] = starts_without(victims.keys())
    assert all(job.gpus == (gpu,) for job in victims.values())
    assert not any(starts_without(victims.keys() - {job_id}) for job_id in victims)
    if gib is not None and any(job.gpu_instance for job in victims.values()):
        assert len(victims) == 1, "an instance is one job's"
    if gib is None:
        assert all(job.gpu_instance is None for job in victims.values())


steps = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from([None, 5, 9, 15, 30]), st.sampled_from([30.0, 100.0, 900.0])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 61.0, 600.0]), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.none()),
    st.tuples(st.just("cut"), st.sampled_from(["", "9", "9 20", "40"]), st.none()),
    st.tuples(st.just("restart"), st.none(), st.none()),
    st.tuples(st.just("silence"), st.none(), st.none()),
)


def cut(scene: Scene, sizes: str) -> None:
    """Cut the first GPU anew once nothing runs there, as the driver has it."""
    if all(0 not in job.gpus for job in scene.desk.book.active()):
        migs = tuple(instance(0, f"{place}/0", float(gib)) for place, gib in enumerate(sizes.split(), 1))
        scene.reading = replace(scene.reading, cut=frozenset({0} if sizes else ()), migs=migs, unread=())
    scene.sample()


def silence(scene: Scene) -> None:
    """Have the driver tell nothing of the instances from now on, or tell of them again."""
    scene.reading = replace(scene.reading, migs=scene.reading.unread, unread=scene.reading.migs)
    scene.sample()


def happen(scene: Scene, kind: str, what, run_s) -> None:
    if kind == "submit":
        mem = None if what is None else what * GIB
        scene.submit(Play(run_s=run_s), gpus=1, **({} if mem is None else {"gpu_mem_bytes": mem}))
    elif kind == "wait":
        scene.advance(what)
    elif kind == "cut":
        cut(scene, what)
    elif kind == "restart":
        scene.daemon()
    elif kind == "silence":
        silence(scene)
    elif alive := scene.desk.book.unfinished():
        scene.cancel(alive[what % len(alive)])


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_instances_are_held_by_one_job_each_and_every_job_gets_its_turn(history):
    scene = Scene(gpus=2)
    for step in [("cut", "9 20", None), *history]:
        happen(scene, *step)
        scene.cycle()
        assert broken_promises(scene) == []
        for job in scene.desk.book.active():
            assert (job.gpu_instance is not None) == (job.gpus == (0,) and bool(scene.reading.cut))
    if scene.reading.unread:
        silence(scene)
    for _ in range(200):
        if all(job.state in ENDED for job in scene.jobs()):
            break
        scene.advance(61.0)
    assert all(job.state in ENDED for job in scene.jobs()), "a job waits for ever"
    assert scene.store._allocation == scene.store._shares == {}

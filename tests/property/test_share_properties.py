"""Random lives of shares and whole jobs: no GPU beyond its memory, none mixed, no millijoule lost."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from scene import GIB, Scene, broken_promises

from dcdaemon.control.drain import refresh_slots
from dcdaemon.core.energy import IDLE
from dcdaemon.core.job import ENDED, JobState
from dcdaemon.core.samples import GpuSample
from dcdaemon.core.view import ClusterView, GpuBlock, GpuSlot, NodeView, QueuedJob, RunningJob
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.energy.attribute import Holding
from dcdaemon.energy.meter import Meter
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.cycle import pass_on, plan
from dcdaemon.scheduler.explain import explain
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.shares import capacity_bytes
from dcdaemon.scheduler.space import spaces_of
from dcdaemon.scheduler.whatif import apply

NOW = 1_000_000.0
HOLDOFF_S = Policy().share_holdoff_s
sizes = st.sampled_from([None, None, 5, 20, 35, 79])
steps = st.one_of(
    st.tuples(st.just("submit"), sizes, st.sampled_from([30.0, 100.0, 900.0])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 61.0, 600.0]), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.none()),
    st.tuples(st.just("measure"), st.sampled_from([None, 0, 30, 78]), st.none()),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


def measure(scene: Scene, used_gib: int | None) -> None:
    """Let every GPU have that much in use."""
    scene.sample()
    reading = scene.desk.board.gpus
    used = None if used_gib is None else used_gib * GIB
    scene.desk.board.gpus = replace(reading, samples=tuple(replace(s, mem_used_bytes=used) for s in reading.samples))

    refresh_slots(scene.desk)


def live(scene: Scene, kind: str, what, run_s: float | None) -> None:
    if kind == "submit" and what is None:
        scene.submit(Play(run_s=run_s), gpus=2 if run_s == 30.0 else 1)
    elif kind == "submit":
        scene.submit(Play(run_s=run_s), gpus=1, gpu_mem_bytes=what * GIB)
    elif kind == "wait":
        scene.advance(what)
    elif kind == "cancel":
        alive = scene.desk.book.unfinished()
        if alive:
            scene.cancel(alive[what % len(alive)])
    elif kind == "measure":
        measure(scene, what)
    else:
        scene.daemon()
    scene.cycle()


def ended_at(job) -> float:
    return math.inf if job.ended_at is None else job.ended_at


def loaded_too_soon(scene: Scene) -> list[tuple[int, int]]:
    """Name the shares that joined a GPU on which another one had not run for long enough."""
    jobs = [job for job in scene.jobs() if job.spec.gpu_mem_bytes is not None and job.started_at is not None]
    return [
        (first.id, second.id)
        for first in jobs
        for second in jobs
        if first.gpus and first.gpus == second.gpus and first.id != second.id
        if first.started_at <= second.started_at < min(first.started_at + HOLDOFF_S, ended_at(first))
        if ended_at(second) > first.started_at
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_no_gpu_is_shared_beyond_its_memory_or_with_a_whole_job(history):
    scene = Scene(gpus=2)
    for step in history:
        live(scene, *step)
        assert broken_promises(scene) == []
        assert loaded_too_soon(scene) == []
    measure(scene, None)
    for _ in range(200):
        if all(job.state in ENDED for job in scene.jobs()):
            break
        scene.advance(HOLDOFF_S)
    assert all(job.state in ENDED for job in scene.jobs()), "a job waits for ever"
    assert broken_promises(scene) == []
    assert scene.store._allocation == scene.store._shares == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=15), st.lists(st.integers(0, 10**6), min_size=16, max_size=16))
def test_every_millijoule_of_a_shared_gpu_is_somebodys_and_only_once(history, drawn_mj):
    scene = Scene(gpus=2)
    meters, counters, booked = [Meter("n1", gpu, f"GPU-{gpu}") for gpu in range(2)], [0, 0], [0, 0]
    for step, energy_mj in zip([*history, ("wait", 30.0, None)], drawn_mj, strict=False):
        live(scene, *step)
        now = scene.clock.now()
        held = [
            Holding(hold.job_id, hold.gpu, hold.from_at, hold.to_at, hold.weight)
            for hold in scene.desk.book.holds(now - 1e5, now)
        ]
        for gpu in range(2):
            counters[gpu] += energy_mj
            sample = GpuSample(now, scene.clock.monotonic(), gpu, energy_counter_mj=counters[gpu], power_w=300.0)
            meters[gpu], metered = meters[gpu].advance(sample, held)
            if metered is not None:
                booked[gpu] += metered.energy_mj
                assert sum(share.energy_mj for share in metered.shares) == metered.energy_mj
                owners = {job.id for job in scene.jobs() if gpu in job.gpus or job.state is JobState.WAITING}
                assert {share.job_id for share in metered.shares} <= owners | {IDLE}


def test_two_jobs_share_the_energy_by_what_they_declared():
    scene = Scene(gpus=1)
    scene.run(gpu_mem_bytes=10 * GIB)
    scene.advance(HOLDOFF_S)
    scene.run(gpu_mem_bytes=30 * GIB)
    began = scene.clock.now()
    scene.advance(10.0)
    held = [Holding(h.job_id, h.gpu, h.from_at, h.to_at, h.weight) for h in scene.desk.book.holds(0.0, began + 10)]
    meter = Meter("n1", 0, "GPU-0")
    meter, _ = meter.advance(GpuSample(began, 100.0, 0, energy_counter_mj=0, power_w=400.0), held)
    _, metered = meter.advance(GpuSample(began + 10, 110.0, 0, energy_counter_mj=4_000_000, power_w=400.0), held)
    assert {share.job_id: share.energy_mj for share in metered.shares} == {1: 1_000_000, 2: 3_000_000}


def test_the_conductor_wakes_when_a_job_has_been_loaded():
    scene, conductor = Scene(gpus=1), Conductor(lambda *_: None)
    conductor._desk = scene.desk
    scene.run(gpu_mem_bytes=10 * GIB)
    assert conductor._nap_s() is None, "nobody waits for it"
    second = scene.submit(gpu_mem_bytes=10 * GIB)
    scene.cycle()
    assert conductor._nap_s() == HOLDOFF_S
    scene.clock.advance(HOLDOFF_S)
    scene.cycle()
    assert scene.state(second) is JobState.RUNNING
    assert conductor._nap_s() is None


@st.composite
def clusters(draw):
    """One or two nodes with shares and whole jobs on them."""
    nodes, running = [], []
    for place in range(draw(st.integers(1, 2))):
        slots = []
        for gpu in range(draw(st.integers(1, 3))):
            total = draw(st.sampled_from([80, 80, 40, None]))
            used = draw(st.sampled_from([None, 5, 60]))
            block = draw(st.sampled_from([None] * 5 + [GpuBlock.DRAINED]))
            slot = GpuSlot(gpu, total and total * GIB, block, mem_used_bytes=used and used * GIB)
            slots.append(slot)
            left = capacity_bytes(slot)
            for _ in range(draw(st.integers(0, 2))):
                mem = draw(st.sampled_from([0, 10 * GIB, 30 * GIB]))
                if mem > left or (not mem and any((job.node, job.gpus) == (f"n{place}", (gpu,)) for job in running)):
                    continue
                left = left - mem if mem else 0
                began = NOW - draw(st.sampled_from([10.0, 300.0]))
                ends_at = draw(st.sampled_from([None, NOW + 100.0, NOW + 900.0]))
                running.append(
                    RunningJob(100 + len(running), f"n{place}", (gpu,), 1, 0, ends_at, began, gpu_mem_bytes=mem or None)
                )
        nodes.append(NodeView(f"n{place}", 16, 64, tuple(slots)))
    return ClusterView(tuple(nodes), tuple(running))


@st.composite
def queues(draw):
    return [
        QueuedJob(
            number, number, 50, 1 if mem else draw(st.integers(0, 3)), 1, 0,
            draw(st.sampled_from([None, 50.0, 600.0])), gpu_mem_bytes=mem and mem * GIB,
        )
        for number in range(1, draw(st.integers(1, 6)) + 1)
        for mem in [draw(st.sampled_from([None, 10, 30, 60]))]
    ]  # fmt: skip


@settings(deadline=None)
@given(clusters(), queues(), st.sampled_from([0.0, 60.0]))
def test_a_plan_shares_no_gpu_beyond_its_memory_and_with_no_whole_job(view, jobs, holdoff_s):
    policy = Policy(share_holdoff_s=holdoff_s)
    decided = plan(view, QueueIndex(jobs), policy, NOW)
    asked = {job.id: job for job in jobs}
    new = [(start.node, gpu, asked[start.job_id].gpu_mem_bytes) for start in decided.starts for gpu in start.gpus]
    old = [(job.node, gpu, job.gpu_mem_bytes) for job in view.running for gpu in job.gpus]
    for node in view.nodes:
        for slot in node.gpus:
            came = [mem for name, gpu, mem in new if (name, gpu) == (node.name, slot.index)]
            here = came + [mem for name, gpu, mem in old if (name, gpu) == (node.name, slot.index)]
            assert not came or slot.blocked is None
            assert len(here) <= 1 or None not in here
            assert None in here or sum(here) <= capacity_bytes(slot) or not came
            assert len(came) <= 1 or not holdoff_s
    kept = {
        (part.node, gpu) for reservation in decided.reservations[:1] for part in reservation.parts for gpu in part.gpus
    }
    endless = {
        (start.node, gpu) for start in decided.starts if asked[start.job_id].limit_s is None for gpu in start.gpus
    }
    backfilled = {(start.node, gpu) for start in decided.starts if start.backfilled for gpu in start.gpus}
    assert not kept & endless & backfilled


@settings(deadline=None, max_examples=60)
@given(clusters(), queues())
def test_what_is_said_to_start_a_job_does_start_it(view, jobs):
    queue = QueueIndex(jobs)
    for job in jobs:
        reason = explain(view, queue, Policy(), NOW, job.id)
        assert reason.sentence
        if reason.code in {"never_fits", "starts_now"}:
            continue
        changed = apply(view, queue, reason.unblock, job.id)
        assert job.id in {start.job_id for start in plan(*changed, Policy(), NOW).starts}, reason


@given(clusters(), queues())
def test_a_pass_leaves_the_spaces_as_a_fresh_view_would_have_them(view, jobs):
    """What starts and ends again is gone without a trace, as the trials of `why` need it."""
    spaces = spaces_of(view)

    decided = pass_on(spaces, QueueIndex(jobs), Policy(share_holdoff_s=0), NOW).plan
    at = {space.name: space for space in spaces}
    for start in decided.starts:
        at[start.node].give_back(start.job_id)
    fresh = spaces_of(view)
    assert [(s.free, s.cpus, s.holds, s.shared) for s in spaces] == [(s.free, s.cpus, s.holds, s.shared) for s in fresh]

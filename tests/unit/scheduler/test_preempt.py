"""Whom a waiting job may have stopped, and that nobody is stopped in vain."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import NOW, node, running, view, waiting

from dcdaemon.core.plan import Preemption
from dcdaemon.core.view import RunningJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.policy import Policy, QueueRule
from dcdaemon.scheduler.preempt import cost_gpu_s, preempt
from dcdaemon.scheduler.queue import QueueIndex

QUEUES = {"urgent": QueueRule(tier=1, urgent=True), "scraps": QueueRule(preemptible=True, min_run_s=300.0)}
POLICY = Policy(queues=QUEUES, gangs=True)
QUOTA = ("quota", "user/bob")


def scrap(job_id, gpus, ran_s=3600.0, saved_s_ago=None, **rest):
    saved_at = None if saved_s_ago is None else NOW - saved_s_ago
    job = running(job_id, gpus, on=rest.pop("on", "n1"))
    return replace(job, queue="scraps", started_at=NOW - ran_s, checkpoint_at=saved_at, **rest)


def asked(picture, *jobs, policy=POLICY):
    queue = QueueIndex(jobs)
    return preempt(picture, queue, policy, plan(picture, queue, policy, NOW), NOW)


def test_the_victim_that_loses_least_makes_room_and_no_more_than_needed():
    picture = view(scrap(1, range(4), saved_s_ago=2000.0), scrap(2, range(4, 8), saved_s_ago=60.0))
    assert asked(picture, waiting(9, 2, queue="urgent")) == Preemption(9, (2,))
    assert asked(picture, waiting(9, 6, queue="urgent")) == Preemption(9, (1, 2))


def test_a_victim_that_one_dearer_victim_makes_needless_is_let_off():
    picture = view(scrap(1, (0,), saved_s_ago=0.0), scrap(2, range(1, 8), saved_s_ago=600.0))
    assert asked(picture, waiting(9, 7, queue="urgent")) == Preemption(9, (2,))


def test_nobody_is_stopped_without_a_right_to_it():
    busy = scrap(1, range(8))
    for picture, job in (
        (view(busy), waiting(9, 1)),
        (view(replace(busy, queue="")), waiting(9, 1, queue="urgent")),
        (view(replace(busy, priority=60)), waiting(9, 1, queue="urgent")),
        (view(replace(busy, started_at=NOW - 299.0)), waiting(9, 1, queue="urgent")),
    ):
        assert asked(picture, job) is None


def test_nobody_is_stopped_for_a_job_that_would_not_start_then():
    picture = view(scrap(1, range(4)), running(2, range(4, 8)))
    assert asked(picture, waiting(9, 8, queue="urgent")) is None
    assert asked(picture, waiting(9, 4, cpus=64, queue="urgent")) is None


def test_nobody_is_stopped_who_would_take_the_gpus_again():
    level = Policy(queues=QUEUES | {"urgent": QueueRule(urgent=True)}, gangs=True)
    picture = view(scrap(1, range(8)))
    assert asked(picture, waiting(9, 8, queue="urgent"), policy=level) is None, "job 1 is the older one"
    younger = view(scrap(10, range(8)))
    assert asked(younger, waiting(9, 8, queue="urgent"), policy=level) == Preemption(9, (10,))


def test_nobody_else_is_stopped_while_victims_are_on_their_way_out():
    picture = view(scrap(1, range(4), stopping=True), scrap(2, range(4, 8)))
    assert asked(picture, waiting(9, 4, queue="urgent")) is None


def test_a_gang_gets_whole_nodes_from_those_who_lose_least_or_nobody_is_stopped():
    nodes = [node(name) for name in ("a", "b", "c")]
    jobs = [scrap(1, range(8), on="a", saved_s_ago=3000.0), scrap(2, range(8), on="b", saved_s_ago=10.0)]
    picture = view(*jobs, scrap(3, range(8), on="c", saved_s_ago=20.0), nodes=nodes)
    assert asked(picture, waiting(9, 16, queue="urgent")) == Preemption(9, (2, 3))
    taken = view(*jobs, running(3, range(8), on="c"), nodes=nodes)
    assert asked(taken, waiting(9, 24, queue="urgent")) is None


def test_a_gang_that_runs_is_stopped_whole():
    nodes = [node("a"), node("b")]
    parts = [scrap(1, range(8), on="a"), scrap(1, range(8), on="b")]
    assert asked(view(*parts, nodes=nodes), waiting(9, 2, queue="urgent")) == Preemption(9, (1,))


def lent_to_bob(ran_s=3600.0):
    mine = replace(running(1, range(4)), caps=(QUOTA,), started_at=NOW - 7200.0)
    loan = replace(running(2, range(4, 8)), caps=(QUOTA,), started_at=NOW - ran_s)
    return replace(view(mine, loan), caps={QUOTA: 4})


def test_what_is_lent_beyond_a_quota_is_given_back_to_those_within_theirs():
    assert asked(lent_to_bob(), waiting(9, 2, user="ada")) == Preemption(9, (2,))
    assert asked(lent_to_bob(), waiting(9, 5, user="ada")) is None, "what is within the quota is nobody else's"
    assert asked(lent_to_bob(ran_s=599.0), waiting(9, 2, user="ada")) is None
    assert asked(lent_to_bob(), waiting(9, 2, user="bob", caps=(QUOTA,))) is None
    assert asked(lent_to_bob(), waiting(9, 2, user="ada"), policy=replace(POLICY, recall=False)) is None


def test_the_cost_is_work_since_the_checkpoint_and_a_restart_on_every_gpu():
    picture = view(scrap(1, (0, 1), saved_s_ago=100.0), scrap(2, (2,), ran_s=50.0))
    assert cost_gpu_s(picture, (1, 2), NOW) == 2 * (100.0 + 60.0) + 50.0 + 60.0


@st.composite
def crowded(draw):
    """Two full nodes with jobs of all kinds."""
    nodes, jobs, job_id = [node("a", gpus=4), node("b", gpus=4)], [], 1
    for name in ("a", "b"):
        left = list(range(draw(st.integers(0, 4)), 4))
        while left:
            gpus, left = left[: draw(st.integers(1, 4))], left[draw(st.integers(1, 4)) :]
            gpus = [gpu for gpu in gpus if not any(gpu in job.gpus and job.node == name for job in jobs)]
            if gpus:
                queue, ran_s = draw(st.sampled_from(["", "scraps"])), draw(st.sampled_from([10.0, 400.0, 9000.0]))
                saved_at = draw(st.sampled_from([None, NOW - 5.0]))
                jobs.append(
                    RunningJob(
                        job_id, name, tuple(gpus), 1, 0, None, NOW - ran_s, queue=queue, checkpoint_at=saved_at,
                        priority=draw(st.sampled_from([40, 50, 60])),
                    )
                )  # fmt: skip
                job_id += 1
    return view(*jobs, nodes=nodes)


@settings(max_examples=200, deadline=None)
@given(crowded(), st.integers(1, 8), st.sampled_from(["", "urgent"]))
def test_whoever_is_stopped_may_be_and_every_one_of_them_is_needed_and_the_job_starts(picture, gpus, queue_name):
    job = waiting(99, gpus, queue=queue_name)
    chosen = asked(picture, job)
    if chosen is None:
        return
    assert queue_name == "urgent"
    by_id = {other.id: other for other in picture.running}
    for victim in (by_id[job_id] for job_id in chosen.victims):
        assert (victim.queue, victim.priority <= 50, NOW - victim.started_at >= 300.0) == ("scraps", True, True)

    def starts(gone):
        left = replace(picture, running=tuple(other for other in picture.running if other.id not in gone))
        return any(start.job_id == 99 for start in plan(left, QueueIndex([job]), POLICY, NOW).starts)

    assert starts(chosen.victims)
    assert not any(starts(set(chosen.victims) - {victim}) for victim in chosen.victims)

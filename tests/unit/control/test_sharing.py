"""A shared node at work: limits, quotas and shares from submit to start, and over a restart of the daemon."""

import pytest
from scene import ADA, BOB, NODE, Scene

from dcdaemon.control import remember
from dcdaemon.control.book import Book
from dcdaemon.control.start import run_cycle
from dcdaemon.control.why import why
from dcdaemon.core.job import JobState
from dcdaemon.core.view import NodeView
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.caps import Cap, lent
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queues import Account, Queue, Quotas, Sharing

GIB = 1024**3
HOUR_S = 3600.0


class SharedNode(Scene):
    """A scene whose daemons are given this sharing."""

    def __init__(self, sharing: Sharing, **rest) -> None:
        self.sharing = sharing
        super().__init__(**rest)

    def daemon(self, prepare=lambda _: None):
        def shared(desk):
            desk.book = Book(NodeView(NODE, 32, 256 * GIB), self.sharing)
            desk.policy = Policy(queues=self.sharing.rules, weights=self.sharing.weights)
            self.sample()
            desk.book.fair_use.recall(self.store, self.clock.now())
            prepare(desk)

        desk = super().daemon(shared)
        remember.begin(desk)
        return desk

    def running(self) -> list[int]:
        return [job.id for job in self.jobs() if job.state is JobState.RUNNING]


def site(*queues: Queue, **rest) -> Sharing:
    return Sharing(
        {queue.name: queue for queue in queues or (Queue("main"),)}, (queues or (Queue("main"),))[0].name, **rest
    )


def test_a_cap_holds_back_and_lets_go():
    node = SharedNode(site(Queue("main", max_gpus_per_user=2)))
    jobs = [node.submit(Play(run_s=100.0)) for _ in range(3)]
    other = node.submit(Play(run_s=None), BOB)
    node.cycle()
    assert node.running() == [jobs[0].id, jobs[1].id, other.id]
    node.advance(101)
    assert node.running() == [jobs[2].id, other.id]


def test_jobs_that_take_nothing_of_the_node_do_not_run_all_at_once():
    node = SharedNode(site(no_cpu_per_user=2))
    idle = [node.submit(Play(run_s=100.0), cpus=0, gpus=0) for _ in range(4)]
    other = node.submit(Play(run_s=None), BOB, cpus=0, gpus=0)
    busy = [node.submit(Play(run_s=None), cpus=1, gpus=0), node.submit(Play(run_s=None), cpus=0, gpus=1)]
    node.cycle()
    assert node.running() == [idle[0].id, idle[1].id, other.id, *(job.id for job in busy)]
    reason = why(node.desk, node.job(idle[2]))
    assert "ada may run 2 jobs at a time without a CPU, 2 run" in reason.sentence
    node.advance(101)
    assert [job.id in node.running() for job in idle] == [False, False, True, True]


def test_jobs_in_their_queue_get_its_gpus():
    node = SharedNode(site(Queue("main"), Queue("short", gpus=frozenset({3}))))
    short = [node.submit(queue="short") for _ in range(2)]
    long = node.submit(gpus=3)
    node.cycle()
    assert node.job(short[0]).gpus == (3,)
    assert node.job(long).gpus == (0, 1, 2)
    assert node.state(short[1]) is JobState.WAITING


def test_limits_of_those_who_have_gone_are_forgotten():
    node = SharedNode(site(quotas=Quotas(per_user=1)))
    job = node.run(Play(run_s=10.0))
    assert node.desk.book.view().caps == {(Cap.QUOTA, "user/ada"): 1}
    node.advance(11)
    assert node.state(job) is JobState.SUCCEEDED
    assert node.desk.book.view().caps == {}


def test_beyond_a_quota_idle_gpus_are_lent_and_can_be_recalled():
    node = SharedNode(site(quotas=Quotas(per_user=2)))
    for _ in range(4):
        node.submit(Play(run_s=None))
    node.cycle()
    assert node.running() == [1, 2, 3, 4]
    assert lent(node.desk.book.view()) == {3, 4}
    node.cancel(node.job(1))
    node.advance(60)
    assert lent(node.desk.book.view()) == {4}


def test_within_the_quota_goes_first():
    node = SharedNode(site(quotas=Quotas(per_user=2)))
    full = node.run(Play(run_s=100.0), gpus=4)
    mine, theirs = node.submit(), node.submit(None, BOB, gpus=4)
    node.cycle()
    assert node.running() == [full.id]
    node.submit(None, BOB)
    node.advance(101)
    assert node.running() == [mine.id, 4], "four at once would be beyond bob's quota, one is not"
    assert node.state(theirs) is JobState.WAITING


def test_a_job_whose_queue_was_taken_away_goes_by_the_default_one():
    node = SharedNode(site(Queue("main"), Queue("short", gpus=frozenset({3}))))
    node.run(Play(run_s=None), gpus=4)
    waiting = node.submit(queue="short")
    node.sharing = site(Queue("main", gpus=frozenset({0, 1})))
    node.daemon()
    queued = node.desk.book.queue.get(waiting.id)
    assert queued is not None
    assert queued.queue == "main"


def test_shares_count_what_ran_and_what_runs_and_last_over_a_restart():
    node = SharedNode(site(accounts={"vision": Account("vision", ("ada",))}, half_life_s=24 * HOUR_S))
    node.run(Play(run_s=2 * HOUR_S), gpus=2)
    node.submit(Play(run_s=None), BOB)
    node.cycle()
    node.advance(2 * HOUR_S)
    node.advance(HOUR_S)
    before = node.desk.book.shares_used(node.clock.now())
    assert before[("vision", "ada")] == pytest.approx(4 * HOUR_S, rel=0.06)
    assert before[("", "bob")] == pytest.approx(3 * HOUR_S, rel=0.06)
    assert node.desk.book.shares_used(node.clock.now(), HOUR_S)[("", "bob")] == before[("", "bob")] + HOUR_S
    node.daemon()
    after = node.desk.book.shares_used(node.clock.now())
    assert after == pytest.approx(before, rel=0.02)


def test_an_end_that_the_restart_finds_out_counts_once():
    node = SharedNode(site(half_life_s=24 * HOUR_S))
    node.run(Play(run_s=HOUR_S), gpus=2)
    node.clock.advance(HOUR_S + 1)
    node.engine.tick()
    node.daemon()
    assert node.desk.book.shares_used(node.clock.now())[("", "ada")] == pytest.approx(2 * HOUR_S, rel=0.03)
    node.daemon()
    assert node.desk.book.shares_used(node.clock.now())[("", "ada")] == pytest.approx(2 * HOUR_S, rel=0.03)


def test_a_job_that_never_ran_costs_no_share():
    node = SharedNode(site())
    job = node.submit()
    node.cancel(job)
    assert node.desk.book.shares_used(node.clock.now()) == {}


def test_in_a_fair_share_queue_who_had_least_goes_first():
    node = SharedNode(site(Queue("main", order=Order.FAIR_SHARE)))
    node.run(Play(run_s=HOUR_S), gpus=4)
    mine = [node.submit(Play(run_s=HOUR_S), ADA, gpus=4) for _ in range(2)]
    theirs = [node.submit(Play(run_s=HOUR_S), BOB, gpus=4) for _ in range(2)]
    started = []
    for _ in range(4):
        node.advance(HOUR_S)
        started += node.running()
    assert started == [theirs[0].id, mine[0].id, theirs[1].id, mine[1].id]
    assert run_cycle(node.desk).starts == ()

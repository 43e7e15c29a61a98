"""How a node is shared: who may use which queue, and which limits count a job."""

from dcdaemon.scheduler.caps import Cap
from dcdaemon.scheduler.policy import Order, QueueRule
from dcdaemon.scheduler.queues import MAIN, Account, Queue, Quotas, Sharing

VISION = Account("vision", ("ada", "bob"), shares=2.0, max_gpus=6, quota_gpus=4)
SPEECH = Account("speech", ("ada",))


def sharing(*queues: Queue, **rest) -> Sharing:
    queues = queues or (Queue(MAIN),)
    return Sharing({queue.name: queue for queue in queues}, queues[0].name, **rest)


def test_nothing_configured_is_one_queue_without_limits():
    site = Sharing()
    assert list(site.queues) == [MAIN]
    assert site.queue("") == Queue(MAIN)
    assert site.caps_of("ada", "", MAIN) == ()
    assert site.accounts_of("ada") == []


def test_a_job_of_a_queue_that_is_gone_goes_by_the_default_one():
    site = sharing(Queue("long", tier=1), Queue("short"))
    assert site.queue("retired").name == "long"
    assert site.caps_of("ada", "", "retired") == ()


def test_a_queue_admits_those_it_names_and_everybody_where_it_names_nobody():
    assert Queue("open").admits("bob", "")
    closed = Queue("closed", users=frozenset({"ada"}), accounts=frozenset({"vision"}))
    assert closed.admits("ada", "")
    assert closed.admits("bob", "vision")
    assert not closed.admits("bob", "speech")


def test_the_limit_of_a_job_is_what_it_asks_for_else_what_the_queue_gives():
    plain, short = Queue("plain"), Queue("short", default_limit_s=600.0, max_limit_s=3600.0)
    assert (plain.limit_for(60.0, None), plain.limit_for(None, 7200.0), plain.limit_for(None, None)) == (60, 7200, None)
    assert (short.limit_for(60.0, 7200.0), short.limit_for(None, 7200.0)) == (60.0, 600.0)
    assert Queue("capped", max_limit_s=3600.0).limit_for(None, None) == 3600.0
    assert Queue("capped", max_limit_s=3600.0).limit_for(None, 7200.0) == 3600.0


def test_a_job_counts_against_every_limit_that_there_is_and_no_other():
    queue = Queue("short", max_gpus=8, max_gpus_per_user=2, max_jobs_per_user=5)
    site = sharing(queue, accounts={"vision": VISION, "speech": SPEECH}, quotas=Quotas(per_user=3, users={"bob": 0}))
    keys = site.caps_of("ada", "vision", "short")
    assert [(key, site.most(key)) for key in keys] == [
        ((Cap.ACCOUNT, "vision"), 6),
        ((Cap.QUEUE, "short"), 8),
        ((Cap.QUEUE_USER, "short/ada"), 2),
        ((Cap.QUEUE_JOBS, "short/ada"), 5),
        ((Cap.QUOTA, "user/ada"), 3),
        ((Cap.QUOTA, "account/vision"), 4),
    ]
    assert (Cap.QUOTA, "user/bob") in site.caps_of("bob", "speech", "short"), "a quota of 0 is one"
    assert (Cap.ACCOUNT, "speech") not in site.caps_of("bob", "speech", "short")


def test_jobs_without_a_cpu_count_against_a_limit_of_their_user():
    site = sharing(no_cpu_per_user=3)
    assert [(key, site.most(key)) for key in site.caps_of("ada", "", MAIN, no_cpu=True)] == [((Cap.NO_CPU, "ada"), 3)]
    assert site.caps_of("ada", "", MAIN) == ()
    assert sharing().caps_of("ada", "", MAIN, no_cpu=True) == ()


def test_a_hard_quota_is_a_cap_and_the_lower_of_two_caps_holds():
    site = sharing(accounts={"vision": VISION}, quotas=Quotas(per_user=3, hard=True))
    caps = {key: site.most(key) for key in site.caps_of("ada", "vision", MAIN)}
    assert caps == {(Cap.USER, "ada"): 3, (Cap.ACCOUNT, "vision"): 4}


def test_limits_of_arrays_are_no_business_of_the_configuration():
    assert Sharing().most((Cap.ARRAY, "120")) is None
    assert sharing(Queue("120", max_gpus=3)).most((Cap.ARRAY, "120")) is None


def test_accounts_come_in_the_order_of_the_configuration():
    assert sharing(accounts={"speech": SPEECH, "vision": VISION}).accounts_of("ada") == ["speech", "vision"]


def test_what_a_decision_has_to_know_is_taken_from_the_queues():
    site = sharing(Queue("a", gpus=frozenset({1}), order=Order.FIFO, tier=3), accounts={"vision": VISION})
    assert site.rules["a"] == QueueRule(Order.FIFO, 3, frozenset({1}))
    assert (site.weights.accounts, site.weights.users) == ({"vision": 2.0}, {})

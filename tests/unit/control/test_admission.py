"""Where a job goes: queue, account and limit, and what is refused at the door."""

from dataclasses import replace

import pytest
from scene import ADA, BOB, NODE, ROOT, Scene

from dcdaemon.control.book import Book
from dcdaemon.control.queues import admit
from dcdaemon.core.errors import DcdError, Forbidden, NeverFits, NotFound, Refused
from dcdaemon.core.view import NodeView
from dcdaemon.scheduler.queues import Account, Queue, Quotas, Sharing

GIB = 1024**3
SHORT = Queue(
    "short", gpus=frozenset({0, 1}), default_limit_s=600.0, max_limit_s=3600.0, max_gpus_per_job=3,
    users=frozenset({"ada"}), accounts=frozenset({"speech"}), preemptible=True,
)  # fmt: skip
SITE = Sharing(
    {"main": Queue("main"), "short": SHORT, "tight": Queue("tight", max_gpus_per_user=2, max_jobs_per_user=0)},
    accounts={
        "vision": Account("vision", ("ada", "bob")),
        "speech": Account("speech", ("bob",), max_gpus=3),
        "secret": Account("secret", ("eve",)),
    },
    quotas=Quotas(per_user=1),
)


def shared(scene: Scene, sharing: Sharing = SITE) -> Scene:
    """Give the scene's daemon these queues."""
    scene.desk.book = Book(NodeView(NODE, 32, 256 * GIB), sharing)
    scene.sample()
    return scene


def admitted(scene: Scene, actor=ADA, **fields):
    return admit(shared(scene).desk, actor, scene.wish(**fields))


def refused(scene: Scene, kind: type[DcdError], actor=ADA, **fields) -> tuple[str, str | None]:
    with pytest.raises(DcdError) as caught:
        admitted(scene, actor, **fields)
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hint


def test_nothing_configured_is_one_queue_and_no_account(scene):
    job = scene.submit()
    assert (job.spec.queue, job.spec.account, job.spec.limit_s, job.spec.preemptible) == ("main", "", None, False)


def test_a_job_goes_to_the_default_queue_and_the_users_first_account(scene):
    place = admitted(scene)
    assert (place.queue, place.account, place.limit_s, place.preemptible) == ("main", "vision", None, False)
    assert admitted(scene, replace(ADA, user="dan")).account == ""


def test_a_job_gets_what_its_queue_gives(scene):
    place = admitted(scene, queue="short")
    assert (place.queue, place.limit_s, place.preemptible) == ("short", 600.0, True)
    assert admitted(scene, queue="short", limit_s=60.0).limit_s == 60.0


def test_the_usual_account_is_one_that_the_queue_takes(scene):
    assert admitted(scene, BOB).account == "vision"
    assert admitted(scene, BOB, queue="short").account == "speech"


def test_an_account_of_ones_own_may_be_named_and_no_other(scene):
    assert admitted(scene, BOB, account="speech").account == "speech"
    assert refused(scene, Forbidden, ADA, account="speech") == (
        "ada does not belong to account speech",
        "yours: vision",
    )
    assert refused(scene, Forbidden, ROOT, account="vision")[0] == "root does not belong to account vision"


def test_names_that_are_not_there_get_the_nearest(scene):
    assert refused(scene, NotFound, queue="mian") == ("there is no queue 'mian'", "did you mean main?")
    assert refused(scene, NotFound, queue="xyzzy") == ("there is no queue 'xyzzy'", "dcd queues lists them")
    assert refused(scene, NotFound, account="visoin") == ("there is no account 'visoin'", "did you mean vision?")
    with pytest.raises(NotFound) as caught:
        admit(shared(scene, Sharing()).desk, ADA, scene.wish(account="vision"))
    assert caught.value.hint == "none is configured: leave -A out"


def test_a_queue_is_for_those_it_names_and_for_operators(scene):
    message, _ = refused(scene, Forbidden, BOB, queue="short", account="vision")
    assert message == "queue short is for ada and account speech; bob may not submit to it"
    assert admitted(scene, ROOT, queue="short").queue == "short"


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            Refused,
            {"queue": "short", "limit_s": 7200.0},
            "queue short runs no job longer than 1h, this one asks for 2h",
        ),
        (Refused, {"queue": "short", "gpus": 4}, "queue short gives a job 3 GPUs at most, this one asks for 4"),
        (NeverFits, {"queue": "short", "gpus": 3}, "the job asks for 3 GPUs, queue short has 2"),
        (Refused, {"queue": "tight", "gpus": 3}, "ada in queue tight may have 2 GPUs at a time, this one asks for 3"),
        (Refused, {"queue": "tight"}, "ada in queue tight may have 0 jobs at a time, this one asks for 1"),
    ],
)
def test_what_a_queue_would_never_run_is_refused_at_the_door(scene, kind, fields, message):
    told, hint = refused(scene, kind, **fields)
    assert told == message
    assert hint


def test_what_an_account_may_never_have_is_refused_and_a_soft_quota_refuses_nothing(scene):
    assert refused(scene, Refused, BOB, account="speech", gpus=4)[0].startswith("account speech may have 3 GPUs")
    assert admitted(scene, BOB, account="vision", gpus=4).account == "vision", "the quota of 1 is lent beyond"


def test_a_node_that_grants_a_usual_limit_grants_it_within_the_queues(scene):
    scene.desk.rules = replace(scene.rules, default_limit_s=7200.0)
    assert (admitted(scene).limit_s, admitted(scene, queue="short").limit_s) == (7200.0, 600.0)


def test_what_is_refused_is_not_stored(scene):
    shared(scene)
    with pytest.raises(NotFound):
        scene.submit(queue="mian")
    assert scene.jobs() == []


def test_a_grace_does_not_get_around_the_longest_limit_of_a_queue(scene):
    quick = Sharing({"quick": Queue("quick", max_limit_s=2.0), "day": Queue("day", max_limit_s=86400.0)}, "quick")
    desk = shared(scene, quick).desk

    def admit_with(grace_s: float | None, queue: str = "quick", actor=ADA) -> None:
        admit(desk, actor, scene.wish(queue=queue, grace_s=grace_s))

    with pytest.raises(Refused, match="queue quick gives a job 30s to end after its time limit, this one asks for 1h"):
        admit_with(3600.0)
    for grace_s in (None, 0.0, desk.rules.grace_s):
        admit_with(grace_s)
    admit_with(8640.0, "day")
    with pytest.raises(Refused, match="queue day gives"):
        admit_with(8641.0, "day")
    admit_with(86400.0, actor=ROOT)


def test_without_a_longest_limit_any_grace_may_be_asked_for(scene):
    assert admitted(scene, grace_s=86400.0).queue == "main"


def test_a_job_without_a_cpu_is_refused_where_none_may_ever_run(scene):
    site = Sharing(no_cpu_per_user=0)
    with pytest.raises(Refused, match=r"ada \(jobs without a CPU\) may have 0 jobs at a time"):
        admit(shared(scene, site).desk, ADA, scene.wish(cpus=0, gpus=0))
    assert admit(shared(scene, site).desk, ADA, scene.wish(cpus=0, gpus=1)).queue == "main"
    assert admit(shared(scene, site).desk, ADA, scene.wish(cpus=1, gpus=0)).queue == "main"

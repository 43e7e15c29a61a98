"""Which jobs a selector means, and what is said when it means none."""

import pytest
from scene import ADA, BOB, Scene

from dcdaemon.control.select import resolve
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.fakes.engine import Play


@pytest.fixture
def scene() -> Scene:
    """Jobs 1, 2, 4 and 6 are Ada's, 3 and 5 Bob's; 1 has ended; 2 and 5 are both called `tune`."""
    scene = Scene(gpus=1)
    scene.run(Play(run_s=1.0))
    scene.advance(1.0)
    for actor, name in ((ADA, "tune"), (BOB, "eval"), (ADA, "pretrain"), (BOB, "tune"), (ADA, "sweep")):
        scene.submit(actor=actor, name=name)
    return scene


@pytest.mark.parametrize(
    ("selectors", "ids"),
    [
        (["4"], (4,)),
        (["3-5"], (3, 4, 5)),
        (["5-99"], (5, 6)),
        (["last"], (6,)),
        (["@"], (6,)),
        (["@~1"], (4,)),
        (["last~3"], (1,)),
        (["all"], (2, 4, 6)),
        (["5", "2"], (5, 2)),
        (["5,2, 3"], (5, 2, 3)),
        (["2-4", "3", "all"], (2, 3, 4, 6)),
        (["name:tune"], (2, 5)),
        (["name:sweep", "5"], (6, 5)),
        ([], ()),
    ],
)
def test_a_selector_means_jobs_each_once_in_the_order_given(scene, selectors, ids):
    assert resolve(scene.desk, ADA, selectors) == ids


def test_last_and_all_are_the_caller_s_own(scene):
    assert resolve(scene.desk, BOB, ["last"]) == (5,)
    assert resolve(scene.desk, BOB, ["all"]) == (3, 5)


def test_a_name_means_every_unfinished_job_of_that_name(scene):
    assert resolve(scene.desk, ADA, [], "tune") == (2, 5)
    assert resolve(scene.desk, ADA, ["5"], "tune") == (5, 2)


def test_a_name_that_no_unfinished_job_has_means_the_newest_ended_one(scene):
    assert resolve(scene.desk, ADA, [], "train.py") == (1,)


@pytest.mark.parametrize(
    ("selector", "message"),
    [("9", "there is no job 9"), ("9-12", "there is no job 9-12"), ("@~7", "ada has no job @~7")],
)
def test_jobs_that_do_not_exist_are_not_found(scene, selector, message):
    with pytest.raises(NotFound) as caught:
        resolve(scene.desk, ADA, [selector])
    assert (caught.value.message, caught.value.hint) == (message, "dcd ps -a lists all jobs")


def test_a_name_with_a_comma_is_one_name(scene):
    job = scene.submit(name="lr=1,2")
    assert resolve(scene.desk, ADA, ["name:lr=1,2"]) == (job.id,)


def test_an_unknown_name_is_not_found(scene):
    with pytest.raises(NotFound) as caught:
        resolve(scene.desk, ADA, [], "nobody")
    assert caught.value.message == "there is no job named 'nobody'"


@pytest.mark.parametrize("selector", ["", "x", "-1", "1.5", "all,", "lastt", "@~", "@~x", "1-2-3", "9" * 19, "²"])
def test_what_is_no_selector_is_bad_input(scene, selector):
    with pytest.raises(BadInput) as caught:
        resolve(scene.desk, ADA, [selector])
    assert caught.value.hint == (
        "use an id (42), a range (3-7), an array (120_3, 120_*), last, @~1, all, or a name (name:prep)"
    )


@pytest.mark.parametrize(
    "selectors",
    [["1-100001"], ["1-60000", "2-60001"], ["1-50000,1-50001"], ["@~100000"], ["all"] * 101, ["1-999999999999999999"]],
)
def test_what_would_take_the_daemon_seconds_to_look_up_is_refused_at_once(scene, selectors):
    with pytest.raises(BadInput) as caught:
        resolve(scene.desk, ADA, selectors)
    assert caught.value.message == "more than 100000 jobs are selected"


@pytest.mark.parametrize("span", ["5-3"])
def test_a_range_that_is_backwards_is_bad_input(scene, span):
    with pytest.raises(BadInput) as caught:
        resolve(scene.desk, ADA, [span])
    assert caught.value.message == f"{span!r} is not a range of jobs"
    assert caught.value.hint == "write the smaller id first, like 3-7"

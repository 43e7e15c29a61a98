"""`--array`: one job for each index, all or none, at most so many at a time."""

import pytest
from scene import ADA, ENV, Scene, broken_promises

from dcdaemon.control import change
from dcdaemon.control.desk import Rules
from dcdaemon.control.select import resolve
from dcdaemon.control.submit import check, submit
from dcdaemon.core.errors import BadInput, NeverFits, NotFound, Refused
from dcdaemon.core.job import ACTIVE, JobState
from dcdaemon.core.ports import JobQuery
from dcdaemon.fakes.engine import Play


@pytest.fixture(autouse=True)
def nothing_is_broken(scene):
    yield
    assert broken_promises(scene) == []


def array(scene: Scene, text: str, **fields):
    return submit(scene.desk, ADA, [scene.wish(array=text, **fields)], ENV)


def active(scene: Scene) -> list[int]:
    return [job.spec.array_index for job in scene.desk.book.active()]


def test_an_array_becomes_one_job_for_each_index(scene):
    scene.submit()
    jobs = array(scene, "1,5-9:2%3", name="sweep", gpus=2)
    assert [(job.id, job.spec.array_id, job.spec.array_index, job.label) for job in jobs] == [
        (2, 2, 1, "2_1"), (3, 2, 5, "2_5"), (4, 2, 7, "2_7"), (5, 2, 9, "2_9"),
    ]  # fmt: skip
    assert {(job.spec.array_limit, job.spec.name, job.spec.gpus) for job in jobs} == {(3, "sweep", 2)}
    assert scene.store.jobs(JobQuery(array_id=2, oldest_first=True)) == jobs


def test_an_array_of_one_is_an_array(scene):
    [job] = array(scene, "7")
    assert job.label == "1_7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0-999999", "an array of 1000000 jobs: at most 10000 are taken in one request"),
        ("", "'' names no indices of an array"),
        ("-1", "'-1' names no indices of an array"),
        ("1,2,1", "the array '1,2,1' names index 1 twice"),
    ],
)
def test_what_is_no_array_is_refused_and_nothing_is_kept(scene, text, message):
    with pytest.raises(BadInput) as caught:
        array(scene, text)
    assert caught.value.message == message
    assert (scene.jobs(), scene.envs.kept) == ([], {})


def test_the_arrays_of_a_request_count_together(scene):
    wishes = [scene.wish(array="0-5999"), scene.wish(array="0-5999")]
    with pytest.raises(BadInput) as caught:
        submit(scene.desk, ADA, wishes, ENV)
    assert caught.value.message == "12000 jobs in one request"


def test_an_array_counts_against_the_jobs_of_its_user_as_a_whole(scene):
    scene.desk.rules = Rules(daemon_uid=0, jobs_per_user=9)
    with pytest.raises(Refused, match="with 10 more that is over the limit of 9"):
        array(scene, "0-9")
    assert scene.jobs() == []


def test_an_array_that_never_fits_is_refused_as_a_whole(scene):
    with pytest.raises(NeverFits):
        array(scene, "0-9", gpus=5)
    assert scene.jobs() == []


def test_a_check_counts_the_jobs_of_an_array(scene):
    assert len(check(scene.desk, ADA, [scene.wish(array="0-9"), scene.wish()], ENV)) == 11


@pytest.mark.parametrize("path", ["/home/ada/out.log", "/home/ada/%x.log", "/home/ada/100%.log"])
def test_the_jobs_of_an_array_cannot_share_a_log(scene, path):
    with pytest.raises(BadInput) as caught:
        array(scene, "0-9", log_path=path)
    assert caught.value.message == "the jobs of an array cannot share one log"
    assert caught.value.hint == "put the index into its name: --log out-%a.log"


@pytest.mark.parametrize("path", ["/home/ada/out-%a.log", "/home/ada/%j", "/home/ada/%A_%4a.log", "/dev/null", None])
def test_a_log_of_each_job_s_own_is_fine(scene, path):
    assert len(array(scene, "0-1", log_path=path)) == 2


def test_at_most_so_many_of_an_array_run_at_a_time(scene):
    scene.default_play = Play(run_s=10.0)
    array(scene, "0-4%2")
    scene.cycle()
    assert active(scene) == [0, 1]
    for expected in ([2, 3], [4], []):
        scene.advance(10.0)
        assert active(scene) == expected
    assert {job.state for job in scene.jobs()} == {JobState.SUCCEEDED}


def test_a_limit_holds_for_its_own_array_only_and_across_a_restart(scene):
    array(scene, "0-3%1")
    array(scene, "0-3%2")
    scene.cycle()
    scene.daemon()
    scene.cycle()
    started = [job.label for job in scene.jobs() if job.state in ACTIVE]
    assert started == ["1_0", "5_0", "5_1"]
    assert scene.submit() is not None
    scene.cycle()
    assert len(scene.desk.book.active()) == 4, "the last GPU is nobody's of the arrays"


def test_an_array_without_a_limit_takes_what_is_free(scene):
    array(scene, "0-9")
    scene.cycle()
    assert len(active(scene)) == 4


def test_the_limit_of_an_array_is_forgotten_with_its_last_job(scene):
    scene.default_play = Play(run_s=1.0)
    array(scene, "0-1%1")
    assert scene.desk.book.view().caps == {("array", "1"): 1}
    for _ in range(3):
        scene.advance(1.0)
    assert scene.desk.book.view().caps == {}
    change.requeue(scene.desk, ADA, 1)
    assert scene.desk.book.view().caps == {("array", "1"): 1}


def test_a_job_is_told_its_index_and_its_array(scene):
    scene.envs = scene.desk.envs
    submit(scene.desk, ADA, [scene.wish(array="4")], {**ENV, "DCD_ARRAY_INDEX": "99", "DCD_ARRAY_COUNT": "3"})
    submit(scene.desk, ADA, [scene.wish()], {**ENV, "DCD_ARRAY_INDEX": "99"})
    orders = []
    start = scene.engine.start
    scene.engine.start = lambda order: (orders.append(order), start(order))[1]
    scene.cycle()
    told = [{key: value for key, value in order.env.items() if key.startswith("DCD_ARRAY")} for order in orders]
    assert told == [{"DCD_ARRAY_ID": "1", "DCD_ARRAY_INDEX": "4"}, {}]


@pytest.fixture
def two_arrays(scene):
    """Jobs 1 and 12 stand alone, 2 to 6 are the array 2 (0-4), 7 to 11 the array 7 (10, 20, ..., 50)."""
    scene.submit()
    array(scene, "0-4")
    array(scene, "10-50:10")
    scene.submit()
    return scene


@pytest.mark.parametrize(
    ("selectors", "ids"),
    [
        (["2_3"], (5,)),
        (["2_*"], (2, 3, 4, 5, 6)),
        (["2_[0-1,4]"], (2, 3, 6)),
        (["2_[3-4%5]"], (5, 6)),
        (["7_20"], (8,)),
        (["7_[0-99]"], (7, 8, 9, 10, 11)),
        (["7_[30,10],2_0, 1"], (7, 9, 2, 1)),
        (["2"], (2,)),
    ],
)
def test_jobs_of_arrays_are_selected(two_arrays, selectors, ids):
    assert resolve(two_arrays.desk, ADA, selectors) == ids


@pytest.mark.parametrize("selector", ["2_9", "1_0", "3_*", "99_0", "7_[0-9]"])
def test_jobs_that_an_array_does_not_have_are_not_found(two_arrays, selector):
    with pytest.raises(NotFound) as caught:
        resolve(two_arrays.desk, ADA, [selector])
    assert caught.value.message == f"there is no job {selector}"


@pytest.mark.parametrize("selector", ["2_", "_3", "2_x", "2_[]", "2_[1", "2_3-4", "2_-1", "2_[4-1]", "2_[0-999999]"])
def test_what_names_no_job_of_an_array_is_bad_input(two_arrays, selector):
    with pytest.raises(BadInput):
        resolve(two_arrays.desk, ADA, [selector])


def test_selecting_a_thousand_jobs_of_an_array_one_by_one_is_fine_but_a_hundred_arrays_are_too_many(scene):
    jobs = array(scene, "0-999")
    assert len(resolve(scene.desk, ADA, [f"1_{index}" for index in range(1000)])) == len(jobs)
    with pytest.raises(BadInput, match="more than 100000 jobs are selected"):
        resolve(scene.desk, ADA, [f"{number}_*" for number in range(100)])


def test_waiting_for_a_thousand_jobs_of_an_array_reads_it_once(scene):
    array(scene, "0-999", held=True)
    jobs, asked = scene.store.jobs, []
    scene.store.jobs = lambda query: (asked.append(query), jobs(query))[1]
    job = scene.submit(after=tuple(f"1_{index}" for index in range(0, 1000, 2)))
    assert len(job.spec.after) == 500
    assert len([query for query in asked if query.array_id]) == 1


@pytest.mark.parametrize("selector", ["," * 500_000, "[" * 500_000, "1_[," * 100_000, "2_[" + "1," * 200_000 + "1]"])
def test_a_megabyte_of_commas_and_brackets_is_answered_at_once(scene, selector):
    with pytest.raises(BadInput):
        resolve(scene.desk, ADA, [selector])


def test_a_whole_array_is_cancelled_and_one_of_its_jobs_held(scene):
    array(scene, "0-3")
    [held] = resolve(scene.desk, ADA, ["1_2"])
    assert change.hold(scene.desk, ADA, held).held
    for job_id in resolve(scene.desk, ADA, ["1_*"]):
        change.cancel(scene.desk, ADA, job_id)
    assert {job.state for job in scene.jobs()} == {JobState.CANCELLED}

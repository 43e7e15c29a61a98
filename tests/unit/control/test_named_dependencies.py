"""`--after name:X`: names inside one request, names of earlier jobs, and circles."""

import pytest
from scene import ADA, BOB, ENV, Scene

from dcdaemon.control.submit import submit
from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.ports import JobQuery
from dcdaemon.fakes.engine import Play


def bulk(scene: Scene, *wishes, actor=ADA):
    return submit(scene.desk, actor, [scene.wish(**wish) for wish in wishes], ENV)


def refused(scene: Scene, *wishes) -> BadInput:
    before = scene.store.jobs(JobQuery())
    with pytest.raises(BadInput) as caught:
        bulk(scene, *wishes)
    assert scene.store.jobs(JobQuery()) == before
    return caught.value


def test_a_job_may_come_after_one_of_its_own_request_earlier_or_later(scene):
    train, prep, report = bulk(
        scene,
        {"name": "train", "after": ("name:prep",)},
        {"name": "prep"},
        {"name": "report", "after_any": ("name:train",), "after": ("name:prep",)},
    )
    assert (train.spec.after, report.spec.after_any, report.spec.after) == ((prep.id,), (train.id,), (prep.id,))
    scene.plays = {job.id: Play(run_s=1.0) for job in (train, prep, report)}
    for _ in range(4):
        scene.advance(1.0)
    ends = [scene.job(job).ended_at for job in (prep, train, report)]
    assert ends == sorted(ends)
    assert None not in ends


def test_names_inside_the_request_go_before_those_of_earlier_jobs(scene):
    scene.submit(name="prep")
    prep, train = bulk(scene, {"name": "prep"}, {"name": "train", "after": ("name:prep",)})
    assert train.spec.after == (prep.id,)


def test_a_name_means_all_of_that_name_in_the_request(scene):
    *preps, last = bulk(
        scene, {"name": "prep"}, {"name": "prep"}, {"name": "last", "after": ("name:prep", "name:prep")}
    )
    assert last.spec.after == tuple(job.id for job in preps)


def test_a_name_means_the_newest_own_unfinished_job_before_one_that_ended(scene):
    old = scene.submit(name="prep", held=True)
    ended = scene.run(Play(run_s=1.0), name="prep")
    scene.advance(1.0)
    scene.submit(name="prep", actor=BOB)
    assert scene.submit(after=("name:prep",)).spec.after == (old.id,)
    scene.cancel(old)
    assert scene.submit(after=("name:prep",)).spec.after == (ended.id,), "of ended ones the newest: the older is gone"


def test_a_name_of_nobody_or_of_somebody_else_s_job_is_not_found(scene):
    scene.submit(name="prep", actor=BOB)
    with pytest.raises(NotFound) as caught:
        scene.submit(after=("name:prep",))
    assert caught.value.message == "ada has no job named 'prep'"


def test_a_name_of_an_array_means_all_of_it(scene):
    array = bulk(scene, {"name": "sweep", "array": "0-3"})
    ids = tuple(job.id for job in array)
    assert scene.submit(after=("name:sweep",)).spec.after == ids
    *inside, last = bulk(scene, {"name": "sweep", "array": "0-1"}, {"after": ("name:sweep",)})
    assert last.spec.after == tuple(job.id for job in inside)


def test_an_array_may_come_after_an_array_of_its_request(scene):
    jobs = bulk(scene, {"name": "b", "array": "0-1", "after": ("name:a",)}, {"name": "a", "array": "5-7"})
    later, first = jobs[:2], jobs[2:]
    assert [job.spec.after for job in later] == [tuple(job.id for job in first)] * 2


def test_a_job_may_come_after_an_earlier_one_of_its_own_name(scene):
    first = scene.submit(name="nightly")
    second = scene.submit(name="nightly", after_any=("name:nightly",))
    assert second.spec.after_any == (first.id,)


@pytest.mark.parametrize("kind", ["after", "after_any"])
def test_the_first_of_those_that_wait_for_the_one_before_waits_for_nobody(scene, kind):
    first = scene.submit(name="nightly", **{kind: ("name:nightly",)})
    second = scene.submit(name="nightly", **{kind: ("name:nightly",)})
    assert (getattr(first.spec, kind), getattr(second.spec, kind)) == ((), (first.id,))


@pytest.mark.parametrize("kind", ["after", "after_any", "after_not_ok"])
def test_jobs_that_wait_for_each_other_are_refused_and_the_circle_named(scene, kind):
    error = refused(
        scene,
        {"name": "start"},
        {"name": "a", "after": ("name:start", "name:b")},
        {"name": "b", kind: ("name:c",)},
        {"name": "c", "after": ("name:a",)},
    )
    assert error.message == "the jobs wait for each other in a circle: a -> b -> c -> a"
    assert error.hint == "leave out one of these"


def test_a_job_without_a_name_is_found_by_the_one_it_gets(scene):
    error = refused(
        scene, {"argv": ("python", "prep.py"), "after": ("name:b",)}, {"name": "b", "after": ("name:prep.py",)}
    )
    assert error.message == "the jobs wait for each other in a circle: prep.py -> b -> prep.py"


def test_a_long_circle_is_told_in_one_line(scene):
    names = [f"j{number}" for number in range(3000)]
    wishes = [
        {"name": name, "after": (f"name:{other}",)} for name, other in zip(names, [*names[1:], names[0]], strict=True)
    ]
    error = refused(scene, *wishes)
    assert error.message.endswith("j0 -> j1 -> j2 -> j3 -> j4 -> j5 -> j6 -> j7 -> (2992 more) -> j0")


def test_a_long_chain_is_no_circle(scene):
    wishes = [{"name": f"j{number}", "after": (f"name:j{number - 1}",) if number else ()} for number in range(3000)]
    jobs = bulk(scene, *wishes)
    assert [job.spec.after for job in jobs[1:]] == [(job.id,) for job in jobs[:-1]]


def test_two_ways_to_one_job_are_no_circle(scene):
    top, left, right, bottom = bulk(
        scene,
        {"name": "top"},
        {"name": "left", "after": ("name:top",)},
        {"name": "right", "after": ("name:top",)},
        {"name": "bottom", "after": ("name:left", "name:right")},
    )
    assert bottom.spec.after == (left.id, right.id)
    assert left.spec.after == right.spec.after == (top.id,)


def test_what_can_never_come_true_is_refused(scene):
    scene.submit()
    error = refused(scene, {"name": "a", "after": ("1",), "after_not_ok": ("1",)})
    assert error.message == "job 'a' would wait for job 1 both to succeed and to fail"


@pytest.mark.parametrize(
    "wishes",
    [
        [{"name": "x", "after_any": ("name:x",)}] * 1000,
        [{"name": "a", "array": "0-999"}, {"name": "b", "array": "0-999", "after": ("name:a",)}],
    ],
)
def test_more_dependencies_than_can_be_kept_are_refused_before_they_are_written_out(scene, wishes):
    error = refused(scene, *wishes)
    assert error.message == "more than 200000 dependencies in one request"
    assert error.hint == "let one job wait for all of them, and the others for that one"


def test_a_thousand_names_that_have_to_be_looked_up_are_too_many(scene):
    error = refused(scene, *({"after": (f"name:old{number}",)} for number in range(1000)))
    assert error.message == "more than 100000 jobs are selected"

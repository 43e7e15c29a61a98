"""What a job may be asked to wait for, over HTTP: arrays, dependencies, begin times; and what is refused there."""

import pytest

from dcdaemon.core.errors import BadInput, NotFound
from dcdaemon.core.ports import JobQuery
from dcdaemon.fakes.engine import Play

JOB = {"argv": ["train.py"], "cwd": "/work", "gpus": 1}


def post(door, *jobs, **more):
    body = {"jobs": [{**JOB, **job} for job in jobs], "env": {}, **more}
    return door.ada.post("/v1/jobs", body)


def test_an_array_is_answered_job_by_job(door, scene):
    answer = post(door, {"array": "0-3:2%1", "name": "sweep", "log_path": "/work/%A_%a.log"}, explain=True)
    told = [
        (job["id"], job["array_id"], job["array_index"], job["array_limit"], job["log_path"]) for job in answer["jobs"]
    ]
    assert told == [(1, 1, 0, 1, "/work/1_0.log"), (2, 1, 2, 1, "/work/1_2.log")]
    assert answer["starts"][0] == "now"
    assert [job["id"] for job in door.ada.get("/v1/jobs", {"sel": "1_2"})["jobs"]] == [2]


def test_the_answer_has_an_arrays_command_line_once(door, scene):
    answer = post(door, {"array": "0-2", "argv": ["train.py", "a"]}, {"argv": ["other.py"]})
    assert [job["argv"] for job in answer["jobs"]] == [["train.py", "a"], [], [], ["other.py"]]
    assert [job.spec.argv for job in scene.store.jobs(JobQuery(oldest_first=True))][1] == ("train.py", "a")


def test_a_dry_run_counts_the_jobs_of_an_array(door, scene):
    assert post(door, {"array": "0-99"}, {}, dry_run=True)["accepted"] == 101
    assert scene.jobs() == []


def test_verbs_take_whole_arrays_and_parts_of_them(door, scene):
    post(door, {"array": "0-4", "held": True})
    assert [job["id"] for job in door.ada.post("/v1/jobs/release", {"select": ["1_[0-1]"]})["jobs"]] == [1, 2]
    assert len(door.ada.post("/v1/jobs/cancel", {"select": ["1_*"]})["jobs"]) == 5
    assert door.ada.get("/v1/wait", {"sel": "1_*"})["done"]


def test_jobs_of_one_request_may_name_each_other(door, scene):
    answer = post(
        door,
        {"name": "report", "after_any": ["name:train"]},
        {"name": "train"},
        {"name": "alarm", "after_not_ok": ["name:train"]},
    )
    waits = [(job["after"], job["after_any"], job["after_not_ok"]) for job in answer["jobs"]]
    assert waits == [([], [2], []), ([], [], []), ([], [], [2])]
    scene.plays[2] = Play(run_s=1.0, exit_code=1)
    scene.cycle()
    assert door.ada.get("/v1/jobs/3/why")["unblock"]["fail_dependencies"] == [2]
    scene.advance(1.0)
    assert {job["state"] for job in door.ada.get("/v1/jobs", {"sel": ["1", "3"]})["jobs"]} == {"running"}


def test_a_circle_is_one_error_and_nothing_is_queued(door, scene):
    with pytest.raises(BadInput) as caught:
        post(door, {"name": "a", "after": ["name:b"]}, {"name": "b", "after": ["name:a"]}, {"name": "c"})
    assert caught.value.message == "the jobs wait for each other in a circle: a -> b -> a"
    assert scene.jobs() == []


@pytest.mark.parametrize("begin", [1_700_003_600.0, "2023-11-14T23:13:20+00:00", "2023-11-15T00:13:20+01:00"])
def test_a_begin_time_is_epoch_seconds_or_iso_with_an_offset(door, scene, begin):
    [job] = post(door, {"begin_at": begin})["jobs"]
    assert job["begin_at"] == "2023-11-14T23:13:20.000+00:00"
    why = door.ada.get("/v1/jobs/1/why")
    assert (why["code"], why["facts"]["begins_in_s"]) == ("begin_time", 3600.0)
    assert why["unblock"]["begin_at"] == job["begin_at"]


def test_a_deadline_is_stored_and_told_with_whether_it_was_met(door, scene):
    [job] = post(door, {"deadline_at": "2023-11-15T00:13:20+01:00"})["jobs"]
    assert (job["deadline_at"], job["deadline_met"]) == ("2023-11-14T23:13:20.000+00:00", None)
    scene.clock.advance(7200.0)
    assert door.ada.get("/v1/jobs/1")["deadline_met"] is False


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"begin_at": "2023-11-14T23:13:20"}, "no offset"),
        ({"begin_at": "tomorrow"}, "not an ISO-8601 time"),
        ({"begin_at": True}, "begin_at"),
        ({"deadline_at": "2023-11-14T23:13:20"}, "no offset"),
        ({"deadline_at": 1.0}, "the deadline is past by"),
        ({"gpu_mem_auto": "yes"}, "gpu_mem_auto"),
        ({"begin_at": 1e300}, "the begin time is no time"),
        ({"array": "0-999999"}, "an array of 1000000 jobs: at most 10000"),
        ({"array": 7}, "array"),
        ({"array": "0-9", "log_path": "/work/out.log"}, "cannot share one log"),
        ({"queue": "no such\nqueue"}, "cannot be the name of a queue"),
        ({"account": "-"}, "cannot be the name of an account"),
        ({"gpu_mem_bytes": 1 << 30, "gpus": 2}, "memory of one GPU, or for whole GPUs"),
        ({"gpu_mem_bytes": 0}, "memory of one GPU, or for whole GPUs"),
        ({"preemptible": True}, "preemptible"),
        ({"array_id": 1}, "array_id"),
        ({"after": ["-1"]}, "'-1' selects no job"),
    ],
)
def test_bad_input_is_one_clear_error(door, scene, job, said):
    with pytest.raises(BadInput) as caught:
        post(door, {}, job)
    assert said in caught.value.message
    assert scene.jobs() == []


def test_a_name_of_nobody_is_not_found(door, scene):
    with pytest.raises(NotFound):
        post(door, {"after": ["name:nobody"]})


def test_a_share_of_a_gpu_is_one_gpu(door, scene):
    [job] = post(door, {"gpus": 0, "gpu_mem_bytes": 10 << 30})["jobs"]
    assert (job["gpus_asked"], job["gpu_mem_bytes"]) == (1, 10 << 30)

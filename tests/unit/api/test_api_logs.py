"""The log of a job over HTTP: the last lines, a part, or all of it until the job is gone."""

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import ROOT

from dcdaemon.api.log_file import last_lines
from dcdaemon.control import change
from dcdaemon.core.errors import Forbidden, NotFound
from dcdaemon.fakes.engine import Play

DEADLINE_S = 10.0
TEXT = b"one\ntwo\nthree\n"


def read(client, job_id=1, **query) -> tuple[int, bytes]:
    """Return where the log was read from and what came; a stream that hangs is a failure."""
    with client._ask("GET", f"/v1/jobs/{job_id}/log", query, None, DEADLINE_S) as response:
        if response.status >= 400:
            client._document(response)
        return int(response.headers["X-Dcd-Offset"]), response.read()


@pytest.fixture
def job(scene):
    job = scene.run()
    scene.engine.write(job, TEXT)
    return job


@pytest.mark.parametrize(
    ("query", "offset", "text"),
    [
        ({}, 0, TEXT),
        ({"lines": 2}, 4, b"two\nthree\n"),
        ({"lines": 0}, 14, b""),
        ({"lines": 3}, 0, TEXT),
        ({"lines": 1_000_000}, 0, TEXT),
        ({"offset": 8}, 8, b"three\n"),
        ({"offset": 8, "lines": 1}, 8, b"three\n"),
        ({"offset": 14}, 14, b""),
        ({"offset": 99}, 99, b""),
    ],
)
def test_a_part_of_the_log_and_where_it_begins(door, job, query, offset, text):
    assert read(door.ada, **query) == (offset, text)


@pytest.mark.parametrize(("lines", "text"), [(0, b""), (1, b"half"), (2, b"three\nhalf")])
def test_a_line_that_is_not_finished_counts(door, scene, job, lines, text):
    scene.engine.write(job, b"half")
    assert read(door.ada, lines=lines)[1] == text


def test_the_bytes_are_the_job_s_own_whatever_they_are(door, scene, job):
    noise = bytes(range(256)) * 1024
    scene.engine.write(job, noise)
    assert read(door.ada)[1] == TEXT + noise


def test_a_job_that_has_not_started_has_an_empty_log(door, scene):
    scene.submit(held=True)
    assert read(door.ada) == (0, b"")


def test_each_attempt_has_its_log_and_the_newest_is_shown(door, scene):
    job = scene.run(Play(1.0, 1))
    scene.engine.write(job, b"first\n")
    scene.advance(1.0)
    change.requeue(scene.desk, ROOT, job.id)
    assert read(door.ada, attempt=2)[1] == b"", "it is still to come"
    scene.cycle()
    scene.engine.write(scene.job(job), b"second\n")
    assert read(door.ada)[1] == b"second\n"
    assert read(door.ada, attempt=1)[1] == b"first\n"
    assert read(door.ada, attempt=1, follow=1)[1] == b"first\n"
    with pytest.raises(NotFound) as caught:
        read(door.ada, attempt=3)
    assert caught.value.message == f"job {job.id} has no attempt 3"


def test_a_log_is_for_its_owner_and_operators_only(door, job):
    with pytest.raises(Forbidden) as caught:
        read(door.bob)
    assert caught.value.message == "job 1 belongs to ada; bob may not read the log of it"
    assert read(door.root)[1] == TEXT


def test_a_follower_waits_for_the_start_and_ends_with_the_job(door, scene, aside, until):
    blocker = scene.run(Play(5.0), gpus=4)
    job = scene.submit(Play(5.0))
    follower = aside(lambda: read(door.ada, job_id=job.id, follow=1))
    until(lambda: door.changes._waiters)
    scene.advance(5.0)
    assert (scene.state(blocker), scene.state(job)) == ("succeeded", "running")
    scene.engine.write(scene.job(job), b"at last\n")
    assert not follower.done
    scene.engine.write(scene.job(job), b"bye")
    scene.advance(5.0)
    assert follower.result() == (0, b"at last\nbye")


def test_a_follower_may_begin_with_the_last_lines(door, scene, job, aside):
    follower = aside(lambda: read(door.ada, lines=1, follow=1))
    scene.engine.write(job, b"four\n")
    scene.cancel(job)
    scene.cycle()
    offset, text = follower.result()
    assert TEXT.splitlines(keepends=True)[-1] in text or text == b"four\n"
    assert (TEXT + b"four\n")[offset:] == text


def test_a_follower_of_an_ended_job_gets_it_all_at_once(door, scene, job):
    scene.cancel(job)
    scene.cycle()
    assert read(door.ada, follow=1) == (0, TEXT)


@pytest.mark.parametrize("end", [change.cancel, change.requeue])
def test_a_follower_of_a_job_that_is_cancelled_before_it_starts_is_let_go(door, scene, aside, until, end):
    scene.run(gpus=4)
    job = scene.submit()
    follower = aside(lambda: read(door.ada, job_id=job.id, follow=1))
    until(lambda: door.changes._waiters)
    change.cancel(scene.desk, ROOT, job.id)
    assert follower.result() == (0, b"")
    if end is change.requeue:
        change.requeue(scene.desk, ROOT, job.id)
        waiting = aside(lambda: read(door.ada, job_id=job.id, follow=1))
        until(lambda: door.changes._waiters)
        assert not waiting.done, "a job that waits again has no log to follow yet"
        change.cancel(scene.desk, ROOT, job.id)
        assert waiting.result() == (0, b"")


def test_a_follower_that_comes_before_the_shim_has_made_the_log_waits_for_it(door, scene, aside, until, monkeypatch):
    job = scene.run()
    open_log, asked = scene.engine.open_log, []

    def not_yet(*which):
        asked.append(which)
        return open_log(*which) if len(asked) > 3 else None

    monkeypatch.setattr(scene.engine, "open_log", not_yet)
    follower = aside(lambda: read(door.ada, follow=1))
    until(lambda: len(asked) > 3)
    scene.engine.write(job, b"hello\n")
    scene.cancel(job)
    scene.cycle()
    assert follower.result() == (0, b"hello\n")


def test_a_follower_of_an_attempt_ends_with_it_though_the_job_goes_on(door, scene, aside, until):
    job = scene.run(gpus=4)
    scene.engine.write(job, b"first")
    got = []

    def follow():
        with door.ada.stream("/v1/jobs/1/log", {"follow": 1}) as stream:
            got.extend(stream)

    follower = aside(follow)
    until(lambda: got)
    change.requeue(scene.desk, ROOT, job.id)
    scene.cycle()
    assert (scene.state(job), scene.job(job).attempt) == ("running", 2)
    follower.result()
    assert b"".join(got) == b"first"


def test_streams_that_are_given_up_leave_no_file_open(door, scene, job, until):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    read(door.ada)
    before = open_files()
    for _ in range(20):
        with door.ada.stream("/v1/jobs/1/log", {"follow": 1}) as stream:
            assert next(iter(stream)) == TEXT
    until(lambda: open_files() <= before)


def naive(text: bytes, lines: int) -> int:
    kept = text.splitlines(keepends=True) if b"\r" not in text else text.split(b"\n")
    return len(text) - sum(len(line) for line in kept[len(kept) - lines :]) if lines < len(kept) else 0


@given(st.text("ab\n", max_size=60).map(str.encode), st.integers(0, 70), st.sampled_from([1, 30_000]))
def test_the_last_lines_begin_where_counting_them_says(text, lines, times):
    text *= times
    with tempfile.TemporaryFile() as file:
        file.write(text)
        file.flush()
        assert last_lines(file.fileno(), lines) == naive(text, lines)


def test_the_last_lines_of_a_file_without_end_are_looked_for_near_its_end():
    with tempfile.TemporaryFile() as file:
        file.truncate(2**40)
        begin = time.monotonic()
        assert 0 < 2**40 - last_lines(file.fileno(), 10) <= 2**27
        assert time.monotonic() - begin < 5

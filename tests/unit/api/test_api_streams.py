"""Requests that sleep: waiting for jobs, and hundreds of followers that keep nobody else from being answered."""

import asyncio
import contextlib
import http.client
import socket
import threading

import pytest
from scene import ADA, ROOT

from dcdaemon.api.changes import Changes
from dcdaemon.control import change
from dcdaemon.control.submit import submit
from dcdaemon.core.errors import NotFound
from dcdaemon.fakes.engine import Play

FOLLOWERS = 200
TEXT = b"epoch 1\n" * 1000


def wait(client, *sel, **query):
    return client.get("/v1/wait", {"sel": list(sel), **query})


def outcome(answer) -> tuple[bool, list[tuple[int, str]]]:
    return answer["done"], [(job["id"], job["state"]) for job in answer["jobs"]]


def test_waiting_for_jobs_that_have_ended_is_no_waiting(door, scene):
    scene.run(Play(1.0))
    scene.advance(1.0)
    answer = wait(door.ada, "1")
    assert answer.keys() == {"schema", "done", "jobs"}
    assert outcome(answer) == (True, [(1, "succeeded")])


@pytest.mark.parametrize(
    "fields", [{"array": "1-201"}, {"argv": ("train.py", "x" * 100_000), "array": "0-10"}], ids=["many", "long"]
)
def test_of_many_jobs_only_their_ends_are_told(door, scene, raw, fields):
    jobs = submit(scene.desk, ADA, [scene.wish(**fields)], {})
    wanted = f"/v1/wait?sel=1-{len(jobs)}&timeout_s=0"
    _, _, answer = raw(door.ada, "GET", wanted)
    _, _, foreign = raw(door.bob, "GET", wanted)
    assert (answer["brief"], foreign["brief"]) == (True, True)
    ends = {"started_at": None, "ended_at": None, "exit_code": None, "signal": None}
    assert answer["jobs"] == [{"id": job.id, "state": "waiting", **ends, "private": False} for job in jobs]
    assert foreign["jobs"][0]["private"]


def test_waiting_for_all_ends_with_the_last(door, scene, aside, until):
    for run_s in (1.0, 2.0):
        scene.run(Play(run_s))
    waiter = aside(lambda: wait(door.ada, "1-2"))
    until(lambda: door.changes._waiters)
    scene.advance(1.0)
    until(lambda: door.changes._waiters)
    assert not waiter.done
    scene.advance(1.0)
    assert outcome(waiter.result()) == (True, [(1, "succeeded"), (2, "succeeded")])


def test_waiting_for_any_ends_with_the_first(door, scene, aside, until):
    for run_s in (5.0, 1.0):
        scene.run(Play(run_s, exit_code=3))
    waiter = aside(lambda: wait(door.ada, "1-2", any=1))
    until(lambda: door.changes._waiters)
    scene.advance(1.0)
    assert outcome(waiter.result()) == (True, [(1, "running"), (2, "failed")])


def test_waiting_has_an_end_of_its_own(door, scene):
    scene.run()
    assert outcome(wait(door.ada, "1", timeout_s=0.05)) == (False, [(1, "running")])
    assert outcome(wait(door.ada, "1", timeout_s=0)) == (False, [(1, "running")])


def test_waiting_for_what_does_not_exist_is_refused_at_once(door):
    with pytest.raises(NotFound, match="there is no job 3"):
        wait(door.ada, "3")


def test_waiting_by_name(door, scene, aside, until):
    scene.run(Play(1.0), name="vit")
    waiter = aside(lambda: wait(door.ada, name="vit"))
    until(lambda: door.changes._waiters)
    scene.advance(1.0)
    assert outcome(waiter.result()) == (True, [(1, "succeeded")])


def test_a_job_that_is_requeued_is_waited_for_to_its_last_attempt(door, scene, aside, until):
    job = scene.run()
    waiter = aside(lambda: wait(door.ada, "1"))
    until(lambda: door.changes._waiters)
    change.requeue(scene.desk, ROOT, job.id)
    scene.cycle()
    until(lambda: door.changes._waiters)
    assert (scene.state(job), waiter.done) == ("running", False)
    change.cancel(scene.desk, ROOT, job.id)
    scene.cycle()
    assert outcome(waiter.result()) == (True, [(1, "cancelled")])


def test_nobody_is_asked_twice_for_a_change_that_is_not_theirs(door, scene, aside, until):
    """A bell that rings for other jobs wakes a waiter, which goes back to sleep."""
    scene.run(Play(100.0))
    waiter = aside(lambda: wait(door.ada, "1"))
    for _ in range(20):
        until(lambda: door.changes._waiters)
        scene.submit(held=True)
    assert not waiter.done
    scene.advance(100.0)
    assert waiter.result()["done"] is True


class Followers:
    """Many followers of one job, each on a connection of its own and all in one thread."""

    def __init__(self, path: str, count: int) -> None:
        self._connections = [self._open(path) for _ in range(count)]

    @staticmethod
    def _open(path: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20.0)
        connection.connect(path)
        connection.sendall(b"GET /v1/jobs/1/log?follow=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection

    def texts(self) -> list[bytes]:
        return [self._text(connection) for connection in self._connections]

    @staticmethod
    def _text(connection: socket.socket) -> bytes:
        response = http.client.HTTPResponse(connection)
        response.begin()
        with contextlib.closing(connection):
            return response.read()


def test_two_hundred_followers_get_every_byte_and_keep_nobody_from_submitting(door, scene, job_body, aside):
    job = scene.run()
    scene.engine.write(job, TEXT)
    followers = Followers(str(door.directory / "d.sock"), FOLLOWERS)
    waiters = [aside(lambda: wait(door.ada, "1")) for _ in range(20)]
    submitted = [door.ada.post("/v1/jobs", job_body())["jobs"][0]["id"] for _ in range(5)]
    assert submitted == [2, 3, 4, 5, 6]
    assert door.ada.get("/v1/status")["queue"]["waiting"] == 5
    scene.engine.write(job, b"done\n")
    scene.cancel(job)
    scene.cycle()
    assert followers.texts() == [TEXT + b"done\n"] * FOLLOWERS
    assert all(waiter.result()["done"] for waiter in waiters)


def test_more_slow_questions_than_threads_do_not_stop_the_door(door, scene, aside, until, monkeypatch):
    """Waiting costs no thread of the pool, so that forty waiting clients leave it to the others."""
    scene.run()
    before = threading.active_count()
    waiters = [aside(lambda: wait(door.ada, "1")) for _ in range(60)]
    until(lambda: len(door.changes._waiters) == 60)
    assert threading.active_count() < before + 60 + 60
    assert door.ada.get("/v1/jobs")["summary"]["running"] == 1
    scene.cancel(scene.job(1))
    scene.cycle()
    assert all(waiter.result()["done"] for waiter in waiters)


def test_a_change_between_the_look_and_the_nap_is_not_missed():
    async def nap() -> None:
        changes = Changes()
        changes.bind(asyncio.get_running_loop())
        heard = changes.rings
        changes.close()  # rings while nobody has lined up yet
        await asyncio.wait_for(changes.next(heard, 60.0), 5.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(changes.next(changes.rings, 60.0), 0.01)

    asyncio.run(nap())

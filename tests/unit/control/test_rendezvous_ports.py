"""Every running job with a launcher has a port of its own, on which nobody else listens."""

import socket

import pytest
from scene import Scene

from dcdaemon.control.ports import FIRST_PORT, PORTS, Ports, is_free
from dcdaemon.core.errors import StartFailed


def test_no_two_running_jobs_have_the_same_port():
    ports = Ports(is_free=lambda _: True)
    running: set[int] = set()
    given = {}
    for job_id in (1, 1 + PORTS, 2, 1 + 2 * PORTS):
        given[job_id] = ports.take(job_id, running)
        running.add(job_id)
    assert len(set(given.values())) == len(given)


def test_the_port_of_a_job_that_has_ended_is_given_out_again():
    ports = Ports(is_free=lambda _: True)
    first = ports.take(1, ())
    assert ports.take(1 + PORTS, {1}) != first
    assert ports.take(1 + 2 * PORTS, {1 + PORTS}) == first


def test_a_requeued_job_may_have_its_own_port_again():
    ports = Ports(is_free=lambda _: True)
    assert ports.take(7, {7}) == ports.take(7, {7})


def test_a_port_that_somebody_listens_on_is_passed_over():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert not is_free(taken)
    assert is_free(taken)


def test_ports_are_below_those_that_the_kernel_gives_out():
    ports = Ports(is_free=lambda _: True)
    for job_id in (1, PORTS - 1, PORTS, 10**9):
        assert FIRST_PORT <= ports.take(job_id, ()) < FIRST_PORT + PORTS <= 32_768


def test_without_a_free_port_the_start_fails_clearly():
    with pytest.raises(StartFailed, match="no port"):
        Ports(is_free=lambda _: False).take(1, ())


def test_only_a_job_with_a_launcher_gets_a_port():
    scene = Scene()
    plain, ranked = scene.run(), scene.run(launcher="torchrun")
    assert scene.engine.order_of(plain).port is None
    assert scene.engine.order_of(ranked).port is not None

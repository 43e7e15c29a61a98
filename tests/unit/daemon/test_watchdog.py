"""Systemd is told that the daemon is well only while it is."""

import time

import pytest
from scene import Scene

from dcdaemon.core.ports import GpuMark
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.duties.watchdog import WatchdogDuty
from dcdaemon.daemon.ticker import Ticker


class Idle:
    name, every_s = "idle", 1.0

    def tick(self) -> None: ...


@pytest.fixture
def watched(scene: Scene):
    ticker = Ticker(lambda *_: None, scene.clock.monotonic)
    ticker.add(Idle())
    conductor = Conductor(lambda *_: None)
    alive = [True]
    duty = WatchdogDuty(scene.desk, ticker, conductor, lambda: alive[0])
    return duty, conductor, alive


def test_a_well_daemon_feeds_the_watchdog_and_says_what_it_does(scene, systemd, watched):
    duty, _, _ = watched
    scene.run(gpus=3)
    scene.submit(gpus=4)
    scene.submit(gpus=4, held=True)
    scene.sample(lost=[3])
    duty.tick()
    assert systemd.told() == ["WATCHDOG=1\nSTATUS=1 running, 2 waiting (1 held), 4 GPUs, 1 not well"]
    assert [report.name for report in scene.desk.board.duties] == ["idle"]


def test_a_late_duty_silences_the_watchdog_until_it_ticks_again(scene, systemd, watched):
    duty, _, _ = watched
    scene.clock.advance(60.0)
    duty.tick()
    duty.tick()
    # Why it is about to be restarted is told once.
    assert systemd.told() == ["STATUS=late: idle"]
    assert [report.late for report in scene.desk.board.duties] == [True]
    [run] = duty._ticker._runs
    duty._ticker._tick(run)
    duty.tick()
    assert len(systemd.told()) == 1


def test_a_dead_api_silences_the_watchdog(systemd, watched):
    duty, _, alive = watched
    alive[0] = False
    duty.tick()
    assert systemd.told() == ["STATUS=the API's thread has ended"]


def test_a_conductor_that_hangs_in_a_cycle_silences_the_watchdog(systemd, watched):
    duty, conductor, _ = watched
    conductor._busy_since_s = time.monotonic() - 3600.0
    duty.tick()
    assert systemd.told() == ["STATUS=the scheduler hangs in a cycle"]
    conductor._busy_since_s = time.monotonic()
    duty.tick()
    assert len(systemd.told()) == 1


def test_trouble_of_the_conductor_is_in_the_status(scene, systemd, watched):
    duty, conductor, _ = watched
    conductor.trouble = "the disk is full"
    duty.tick()
    assert systemd.told()[0].endswith("4 GPUs, the disk is full")
    assert scene.desk.board.keeps_jobs == "the disk is full"


def test_the_status_names_what_takes_no_job(scene, systemd, watched):
    duty, _, _ = watched
    scene.desk.board.marks = {0: GpuMark(0, drained="fan"), 2: GpuMark(2, drained="fan")}
    scene.sample(lost=[3])
    duty.tick()
    assert systemd.told() == ["WATCHDOG=1\nSTATUS=0 running, 0 waiting, 4 GPUs, 2 drained, 1 not well"]

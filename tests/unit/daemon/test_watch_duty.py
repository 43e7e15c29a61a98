"""The watch duty: whatever a job names as its log, the node goes on being watched."""

import os
from pathlib import Path

import pytest
from scene import ROOT, Scene

from dcdaemon.anomalies.picture import Thresholds
from dcdaemon.control.release import release_driver
from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.daemon.duties.gpus import GpuDuty
from dcdaemon.daemon.duties.watch import WatchDuty
from dcdaemon.engines.local import LocalEngine
from dcdaemon.fakes.engine import Play
from dcdaemon.fakes.gpus import SimulatedGpus


def watch_of(scene: Scene) -> WatchDuty:
    source = SimulatedGpus(4, dict, scene.clock, 1.0)
    gpus = GpuDuty(scene.desk, source, 1.0, 5.0, 600.0)
    duty = WatchDuty(scene.desk, gpus, Thresholds(), 5.0, expected_driver=False)
    scene.desk.listeners.append(duty.noted)
    return duty


@pytest.mark.parametrize("log", ["/dev/null", "link"])
def test_a_log_that_cannot_be_read_costs_its_evidence_and_nothing_else(tmp_path: Path, log: str):
    scene = Scene()
    (tmp_path / "link").symlink_to("elsewhere")
    real = LocalEngine(tmp_path, lambda _job, _attempt: None)
    scene.engine.open_log = real.open_log
    duty = watch_of(scene)
    scene.run(Play(1.0, exit_code=3), log_path=str(tmp_path / log))
    scene.advance(1.0)
    duty.tick()
    [crash] = scene.store.anomalies()
    assert (crash.finding.rule, crash.finding.evidence["log_tail"]) == ("job_crashed", [])


def test_a_log_that_fails_to_be_read_is_tried_once_and_stops_no_watch():
    """A device that fails, and the memory of a process, open well and cannot be read."""
    scene = Scene()
    opened = []

    def unreadable(_job, _attempt):
        opened.append(os.open("/proc/self/mem", os.O_RDONLY))
        return opened[-1]

    scene.engine.open_log = unreadable
    duty = watch_of(scene)
    scene.run(Play(1.0, exit_code=3))
    scene.advance(1.0)
    duty.tick()
    duty.tick()
    assert len(opened) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])
    assert [anomaly.finding.evidence["log_tail"] for anomaly in scene.store.anomalies()] == [[]]


def test_what_is_open_on_another_node_is_not_cleared():
    scene = Scene()
    scene.store.raise_anomalies([Finding("gpu_lost", "gpu 0", Severity.CRITICAL, "gpu 0 is lost")], 0.0)
    scene.desk.node = "n2"
    watch_of(scene).tick()
    [elsewhere] = scene.store.anomalies(open_only=True)
    assert elsewhere.node == "n1"


def test_a_crash_that_an_earlier_daemon_had_no_time_to_look_at_is_found_once(tmp_path: Path):
    scene = Scene(log_dir=tmp_path)
    scene.run(Play(1.0, exit_code=3))
    scene.advance(1.0)  # it is stored, and the daemon dies before its watch comes round
    scene.daemon()
    watch_of(scene).tick()
    scene.daemon()
    watch_of(scene).tick()
    assert [anomaly.finding.rule for anomaly in scene.store.anomalies()] == ["job_crashed"]


def test_a_driver_that_an_operator_let_go_of_is_not_odd():
    scene = Scene()
    source = scene.desk.source = SimulatedGpus(4, dict, scene.clock, 1.0)
    gpus = GpuDuty(scene.desk, source, 1.0, 5.0, 600.0)
    duty = WatchDuty(scene.desk, gpus, Thresholds(), 5.0, expected_driver=True)
    gpus.tick()
    release_driver(scene.desk, ROOT, 3600.0)
    scene.advance(600.0)
    gpus.tick()
    assert scene.desk.board.gpus.released_until is not None
    duty.tick()
    assert scene.store.anomalies() == []

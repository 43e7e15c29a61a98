"""What the daemon says of its collectors, and of the devices that do not answer."""

from dataclasses import replace

from dcdaemon.core.collector import CollectorReport, Lack
from dcdaemon.core.samples import FilesystemSample, HostReading, HostSample, SwitchSample

PLAIN = {
    "running": True,
    "every_s": 5.0,
    "last_read_age_s": None,
    "last_duration_s": None,
    "error": None,
    "lack": None,
}


def test_each_collector_is_told_with_its_age_duration_error_and_lack(door, scene):
    read_s = scene.clock.monotonic()
    scene.desk.board.host = HostReading(
        HostSample(scene.clock.now()),
        collectors=(
            CollectorReport("cpu", 5.0, last_read_s=read_s, last_duration_s=0.00006),
            CollectorReport("disks", 5.0, error="OSError: no"),
            CollectorReport("rapl", 5.0, lack=Lack("for root alone", "run it as root", wrong=True)),
            CollectorReport("snmp", 60.0, running=False, lack=Lack("none is configured")),
        ),
    )
    scene.desk.board.collectors["kernel log"] = CollectorReport("kernel log", None)
    scene.clock.advance(2.0)
    assert door.ada.get("/v1/status")["collectors"] == [
        PLAIN | {"name": "cpu", "last_read_age_s": 2.0, "last_duration_s": 0.00006},
        PLAIN | {"name": "disks", "error": "OSError: no"},
        PLAIN | {"name": "rapl", "lack": {"why": "for root alone", "fix": "run it as root", "wrong": True}},
        PLAIN
        | {
            "name": "snmp",
            "every_s": 60.0,
            "running": False,
            "lack": {"why": "none is configured", "fix": None, "wrong": False},
        },
        PLAIN | {"name": "kernel log", "every_s": None},
    ]


def test_devices_that_do_not_answer_are_told_while_that_is_fresh(door, scene):
    at, read_s = scene.clock.now(), scene.clock.monotonic()
    samples = [
        SwitchSample(at, "leaf1", up=False, error="no answer"),
        FilesystemSample(at, "/data", "nfs4", error="does not answer since 12 s"),
        FilesystemSample(at, "/", "ext4", size_bytes=2, available_bytes=1),
    ]
    scene.desk.board.newest.take(samples, read_s)
    assert door.ada.get("/v1/status")["troubles"] == [
        {"kind": "filesystem", "device": "/data", "error": "does not answer since 12 s"},
        {"kind": "switch", "device": "leaf1", "error": "no answer"},
    ]
    scene.clock.advance(3600.0)
    assert door.ada.get("/v1/status")["troubles"] == []


def test_gpus_whose_values_are_withdrawn_are_told_while_the_driver_answers_for_others(door, scene):
    reading = scene.desk.board.gpus
    scene.desk.board.newest.take(reading.samples[:1], scene.clock.monotonic())
    scene.clock.advance(12.0)
    scene.desk.board.gpus = replace(reading, samples=reading.samples[2:])
    assert door.ada.get("/v1/status")["troubles"] == [
        {"kind": "gpu", "device": "0", "error": "has not answered for 12s"},
        {"kind": "gpu", "device": "1", "error": "has not answered yet"},
    ]
    scene.desk.board.gpus = replace(reading, samples=(), driver_error="the driver hangs")
    assert door.ada.get("/v1/status")["troubles"] == []


def test_what_keeps_jobs_waiting_is_a_trouble(door, scene):
    scene.desk.board.keeps_jobs = "no job is started, for /state has no space"
    [trouble] = door.ada.get("/v1/status")["troubles"]
    assert trouble == {"kind": "jobs", "device": "waiting", "error": "no job is started, for /state has no space"}

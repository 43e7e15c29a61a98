"""The document of the GPUs: which keys it has, of which kind, and what is null."""

from dataclasses import replace

from scene import ROOT, instance
from shapes import GPU, assert_shape, used

from dcdaemon.api.documents import iso
from dcdaemon.control.drain import drain
from dcdaemon.core.container import Container
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.samples import MigSample
from dcdaemon.fakes.gpus import SimulatedGpus


def test_gpus_tell_their_values_their_job_and_their_strangers(door, scene):
    scene.run(gpus=1, name="vit")
    stranger = GpuProcess(77, 1 << 30, "eve", "python mine.py", 3720.04, sm_util_ratio=0.4)
    drain(scene.desk, ROOT, 2, "fan")
    scene.sample({1: [stranger]}, lost=[3])
    used(scene, 1)
    document = door.ada.get("/v1/gpus")
    assert document.keys() == {
        "schema", "node", "driver_version", "driver_error", "released_until", "simulated", "gpus", "queues",
    }  # fmt: skip
    assert [(gpu["index"], gpu["state"], gpu["health"]) for gpu in document["gpus"]] == [
        (0, "busy", "ok"), (1, "foreign", "ok"), (2, "drained", "ok"), (3, "unhealthy", "lost"),
    ]  # fmt: skip
    for gpu in document["gpus"]:
        assert_shape(gpu, GPU)
    busy, foreign, drained, lost = document["gpus"]
    assert busy["job"] == {"id": 1, "name": "vit", "user": "ada", "gpu_mem_bytes": None, "gpu_instance": None}
    assert busy["jobs"] == [busy["job"]]
    assert busy["energy_j"] == 124.4
    assert foreign["processes"] == [
        {
            "pid": 77,
            "user": "eve",
            "command": "python mine.py",
            "age_s": 3720.0,
            "mem_used_bytes": 1 << 30,
            "sm_util_ratio": 0.4,
            "instance": None,
            "job_id": None,
            "job_by": None,
            "stray": False,
            "hidden": False,
            "container": None,
        },
    ]
    assert foreign["blocked_detail"].startswith("pid 77 (python mine.py, eve")
    assert (drained["drained_reason"], drained["job"], drained["energy_j"]) == ("fan", None, None)
    assert {lost[key] for key in ("util_ratio", "power_w", "temp_c", "mem_used_bytes", "sample_age_s")} == {None}


def test_a_process_in_a_container_tells_which(door, scene):
    scene.run(gpus=1)
    container = Container("docker", "3f" * 32, image="pytorch:24.05", names_job=7)
    scene.sample({1: [GpuProcess(77, 1 << 30, "root", "python", 60.0, container=container)]})
    [process] = door.ada.get("/v1/gpus")["gpus"][1]["processes"]
    assert process["container"] == {
        "runtime": "docker", "id": "3f" * 32, "image": "pytorch:24.05", "names_job": 7,
        "stop_command": "docker stop 3f3f3f3f3f3f",
    }  # fmt: skip


def test_a_gpu_s_sample_has_an_age_and_a_limit(door):
    door.load()
    gpu = door.ada.get("/v1/gpus")["gpus"][0]
    assert (gpu["sample_age_s"], gpu["power_limit_w"], gpu["power_w"]) == (0.4, 650.0, 300.0)


def test_a_gpu_tells_every_metric_under_its_own_name_and_its_mig_instances(door, scene):
    door.load()
    reading = scene.desk.board.gpus
    told = {"sm_active_ratio": 0.9, "clock_event_reasons": 0x24, "last_xid": 31, "ecc_corrected_volatile": 3}
    sample = replace(reading.samples[0], **told)
    mig = MigSample(scene.clock.now(), 0, "9/0", "MIG-1", "1g.10gb", mem_used_bytes=5, sm_active_ratio=0.5)
    scene.desk.board.gpus = replace(reading, samples=(sample, *reading.samples[1:]), migs=(mig,))
    scene.desk.board.newest.take((mig,), scene.clock.monotonic() - 2)
    gpu, other = door.ada.get("/v1/gpus")["gpus"][:2]
    assert (gpu["sm_active_ratio"], gpu["ecc_corrected_volatile"], gpu["last_xid"]) == (0.9, 3, 31)
    assert gpu["clock_events"] == ["sw_power_cap", "sw_thermal"]
    assert gpu["migs"] == [
        {
            "instance": "9/0", "state": "free", "job_id": None,
            "uuid": "MIG-1", "profile": "1g.10gb", "mem_used_bytes": 5, "mem_total_bytes": None,
            "sm_active_ratio": 0.5, "tensor_active_ratio": None, "dram_active_ratio": None, "sample_age_s": 2.0,
        },
    ]  # fmt: skip
    assert (other["sm_active_ratio"], other["clock_events"], other["migs"]) == (None, None, [])


def test_a_gpu_is_foreign_when_strangers_are_in_all_of_its_instances(door, scene):
    migs = (instance(0, "7/0"), instance(0, "8/0"))
    scene.reading = replace(scene.reading, cut=frozenset({0}), migs=migs)
    strangers = [GpuProcess(pid, 1 << 30, "eve", "mine.py", 60.0, instance=f"{pid}/0") for pid in (7, 8)]
    scene.sample({0: strangers[:1]})
    gpu = door.ada.get("/v1/gpus")["gpus"][0]
    assert (gpu["state"], [mig["state"] for mig in gpu["migs"]]) == ("free", ["foreign", "free"])
    assert gpu["blocked_detail"].startswith("MIG instance 7/0: pid 7 (mine.py, eve")
    assert door.ada.get("/v1/status")["gpus"]["foreign"] == 0
    scene.sample({0: strangers})
    assert door.ada.get("/v1/gpus")["gpus"][0]["state"] == "foreign"
    assert door.ada.get("/v1/status")["gpus"]["foreign"] == 1


def test_instances_that_are_not_read_are_listed_without_their_values(door, scene):
    scene.reading = replace(scene.reading, cut=frozenset({0}), unread=(instance(0, "7/0"),))
    scene.sample()
    gpu = door.ada.get("/v1/gpus")["gpus"][0]
    assert (gpu["state"], [(mig["instance"], mig["state"]) for mig in gpu["migs"]]) == (
        "unhealthy", [("7/0", "unhealthy")],
    )  # fmt: skip
    assert gpu["blocked_detail"] == "MIG instance 7/0: does not answer"


def test_the_age_of_a_sample_does_not_follow_the_wall_clock(door, scene):
    door.load()
    scene.clock.step_wall(3600)
    assert door.ada.get("/v1/gpus")["gpus"][0]["sample_age_s"] == 0.4


def test_a_release_answers_with_the_gpus_and_until_when(door, scene):
    scene.desk.source = SimulatedGpus(4, dict, scene.clock)
    document = door.root.post("/v1/gpus/release", {"for_s": 600.0})
    assert document["released_until"] == iso(scene.clock.now() + 600)
    assert "the driver is released" in document["driver_error"]
    assert {gpu["state"] for gpu in document["gpus"]} == {"unhealthy"}
    assert {gpu["util_ratio"] for gpu in document["gpus"]} == {None}
    assert door.root.post("/v1/gpus/release", {"for_s": 0.0})["released_until"] is None


def test_draining_answers_with_the_gpus(door, scene):
    gpus = door.root.post("/v1/gpus/1/drain", {"reason": "loud"})["gpus"]
    assert [gpu["state"] for gpu in gpus] == ["free", "drained", "free", "free"]
    assert [gpu["state"] for gpu in door.root.post("/v1/gpus/1/undrain")["gpus"]] == ["free"] * 4
    assert [row.action for row in scene.store.audit() if row.action != "token_create"] == ["drain", "restore"]

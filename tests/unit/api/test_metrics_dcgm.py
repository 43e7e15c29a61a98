"""GET /metrics/dcgm: names, labels and units of dcgm-exporter, from hand-worked values."""

from dataclasses import replace

import pytest
from readings import Exposition, full
from scene import Scene, instance

from dcdaemon.api.metrics.dcgm import unit_of
from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.metric import metrics_of
from dcdaemon.core.samples import GpuSample, MigSample

MIB = 2**20
BLANKS = ("9223372036854775794", "2147483632", "None", "nan", "140737488355328")


@pytest.fixture
def scene() -> Scene:
    """A node by itself: nothing here goes through the API's server."""
    made = Scene(gpus=2)
    gpus = tuple(replace(gpu, pci_bus_id=f"00000000:{0x10 + gpu.index:02X}:00.0") for gpu in made.reading.gpus)
    made.reading = replace(made.reading, gpus=gpus, driver_version="580.1")
    made.desk.board.gpus = made.reading
    return made


@pytest.fixture
def page(scene):
    maker = make_pages(scene.desk, lambda: (), dcgm=True)["/metrics/dcgm"]

    def make(*samples, text=False):
        scene.desk.board.newest.take(samples, scene.clock.monotonic())
        body = maker().decode()
        return body if text else Exposition(body) if body else None

    return make


def gpu(scene, index=0, **values):
    return GpuSample(scene.clock.now(), scene.clock.monotonic(), index, **values)


def test_a_line_reads_as_dcgm_exporter_writes_it(page, scene):
    head, kind, line, *_ = page(gpu(scene, 1, temp_c=64.0), text=True).splitlines()
    assert head == "# HELP DCGM_FI_DEV_GPU_TEMP Temperature of the GPU (in C)."
    assert kind == "# TYPE DCGM_FI_DEV_GPU_TEMP gauge"
    assert line == (
        'DCGM_FI_DEV_GPU_TEMP{gpu="1",UUID="GPU-0001",pci_bus_id="00000000:11:00.0",device="nvidia1",modelName="H100",'
        'Hostname="n1",hostname="n1",DCGM_FI_DRIVER_VERSION="580.1"} 64'
    )


def test_values_are_in_dcgm_exporters_units(page, scene):
    shown = page(
        gpu(
            scene, util_ratio=0.57, mem_bw_busy_ratio=1.0, mem_used_bytes=5 * MIB + MIB // 2, mem_free_bytes=7 * MIB,
            mem_reserved_bytes=600 * MIB, mem_total_bytes=81559 * MIB, power_w=612.345, power_limit_w=700.0,
            energy_counter_mj=1_234_567, temp_c=64.9, hbm_temp_c=71.0, sm_clock_hz=1_980_000_000,
            mem_clock_hz=2_619_000_000, tensor_active_ratio=0.345, graphics_active_ratio=0.9,
            pcie_tx_bytes_per_s=123456.75, throttled_power_s=1.5, ecc_corrected_volatile=3, pcie_replays=4,
            rows_remapped_uncorrectable=2, row_remap_failed=1, nvlink_replay_errors=6, clock_event_reasons=0x44,
        )
    )  # fmt: skip
    expected = {
        "DEV_GPU_UTIL": 57, "DEV_MEM_COPY_UTIL": 100, "DEV_FB_USED": 5, "DEV_FB_FREE": 7, "DEV_FB_RESERVED": 600,
        "DEV_FB_TOTAL": 81559, "DEV_POWER_USAGE": 612.345, "DEV_ENFORCED_POWER_LIMIT": 700,
        "DEV_TOTAL_ENERGY_CONSUMPTION": 1_234_567, "DEV_GPU_TEMP": 64, "DEV_MEMORY_TEMP": 71, "DEV_SM_CLOCK": 1980,
        "DEV_MEM_CLOCK": 2619, "PROF_PIPE_TENSOR_ACTIVE": 0.345, "PROF_GR_ENGINE_ACTIVE": 0.9,
        "PROF_PCIE_TX_BYTES": 123456, "DEV_POWER_VIOLATION": 1_500_000_000, "DEV_ECC_SBE_VOL_TOTAL": 3,
        "DEV_PCIE_REPLAY_COUNTER": 4, "DEV_UNCORRECTABLE_REMAPPED_ROWS": 2, "DEV_ROW_REMAP_FAILURE": 1,
        "DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL": 6, "DEV_CLOCK_THROTTLE_REASONS": 0x44,
        "DEV_CLOCKS_EVENT_REASONS": 0x44,
    }  # fmt: skip
    assert {name: shown.value(f"DCGM_FI_{name}") for name in expected} == expected
    counters = {name for name, kind in shown.types.items() if kind == "counter"}
    assert counters == {
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_VIOLATION", "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
    }  # fmt: skip


def test_every_whole_clock_and_percentage_survives_the_change_of_unit(page, scene):
    for mhz in range(210, 2700, 15):
        shown = page(gpu(scene, sm_clock_hz=mhz * 1_000_000, util_ratio=mhz % 101 / 100))
        assert shown.value("DCGM_FI_DEV_SM_CLOCK") == mhz
        assert shown.value("DCGM_FI_DEV_GPU_UTIL") == mhz % 101
        scene.clock.advance(1)


def test_each_name_has_its_unit_in_its_help(page, scene):
    shown = page(full(GpuSample, at=scene.clock.now(), monotonic_s=scene.clock.monotonic(), gpu=0))
    named = [metric for metric in metrics_of(GpuSample) if metric.dcgm is not None]
    assert len(named) > 45
    units = {metric.dcgm.name: unit_of(metric) for metric in named}
    assert units["DCGM_FI_DEV_FB_USED"] == "MiB"
    assert units["DCGM_FI_DEV_SM_CLOCK"] == "MHz"
    assert units["DCGM_FI_DEV_THERMAL_VIOLATION"] == "ns"
    assert units["DCGM_FI_PROF_NVLINK_TX_BYTES"] == "bytes per second"
    for name, unit in units.items():
        assert shown.value(name) is not None
        assert not unit or shown.help[name].endswith(f"(in {unit}).")


def test_what_is_unknown_or_stale_has_no_line(page, scene):
    text = page(gpu(scene, 0, temp_c=50.0), gpu(scene, 1), text=True)
    assert not any(blank in text for blank in BLANKS)
    assert [of["gpu"] for of in Exposition(text).labels("DCGM_FI_DEV_GPU_TEMP")] == ["0"]
    assert "DCGM_FI_DEV_POWER_USAGE" not in text
    scene.clock.advance(3.5)
    assert page() is None


def test_the_job_that_holds_the_gpu_is_the_label_hpc_job(page, scene):
    job = scene.run()
    shown = page(gpu(scene, 0, temp_c=50.0), gpu(scene, 1, temp_c=51.0))
    jobs = {int(of["gpu"]): of.get("hpc_job") for of in shown.labels("DCGM_FI_DEV_GPU_TEMP")}
    assert jobs == {job.gpus[0]: str(job.id), 1 - job.gpus[0]: None}
    scene.cancel(job)
    scene.advance(1)
    assert all("hpc_job" not in of for of in page().labels("DCGM_FI_DEV_GPU_TEMP"))


def test_the_job_of_an_instance_is_the_label_of_that_instance_alone(page, scene):
    scene.reading = replace(scene.reading, cut=frozenset({0}), migs=(instance(0, "7/0"), instance(0, "9/0")))
    scene.sample()
    job = scene.run(gpu_mem_bytes=1)
    assert (job.gpus, job.gpu_instance) == ((0,), "7/0")
    shown = page(gpu(scene, 0, temp_c=60.0), *(replace(mig, mem_used_bytes=MIB) for mig in scene.reading.migs))
    assert {of.get("GPU_I_ID"): of.get("hpc_job") for of in shown.labels("DCGM_FI_DEV_FB_USED")} == {
        "7": str(job.id), "9": None,
    }  # fmt: skip
    assert [of.get("hpc_job") for of in shown.labels("DCGM_FI_DEV_GPU_TEMP")] == [None]


def test_instances_have_their_own_series_and_sums_count_nothing_twice(page, scene):
    whole = gpu(scene, 0, mem_used_bytes=30 * MIB, mem_free_bytes=50 * MIB, sm_active_ratio=0.5, temp_c=60.0)
    migs = [
        MigSample(
            at=1.0, gpu=0, instance=f"{instance}/0", profile="1g.10gb", mem_used_bytes=instance * MIB,
            mem_total_bytes=10 * MIB, sm_active_ratio=0.25,
        )
        for instance in (7, 9)
    ]  # fmt: skip
    shown = page(whole, *migs, gpu(scene, 1, mem_used_bytes=2 * MIB))
    used = {(of["gpu"], of.get("GPU_I_ID"), of.get("GPU_I_PROFILE")) for of in shown.labels("DCGM_FI_DEV_FB_USED")}
    assert used == {("0", "7", "1g.10gb"), ("0", "9", "1g.10gb"), ("1", None, None)}
    assert shown.value("DCGM_FI_DEV_FB_FREE", GPU_I_ID=7) == 3
    assert shown.value("DCGM_FI_PROF_SM_ACTIVE", GPU_I_ID=9) == 0.25
    assert len(shown.labels("DCGM_FI_PROF_SM_ACTIVE")) == 2
    assert shown.value("DCGM_FI_DEV_GPU_TEMP", gpu=0) == 60


def test_xids_are_the_last_code_in_words_the_count_of_five_minutes_and_a_counter(page, scene):
    for code in (31, 79, 79):
        told = Event(scene.clock.now(), EventKind.XID, "GPU 1", "", {"xid": code}, gpu=1)
        scene.desk.board.events.tell(told)
    shown = page(gpu(scene, 0), gpu(scene, 1, last_xid=79))
    assert shown.value("DCGM_FI_DEV_XID_ERRORS", gpu=1, err_code=79, err_msg="GPU has fallen off the bus") == 79
    assert len(shown.labels("DCGM_FI_DEV_XID_ERRORS")) == 1
    assert shown.value("DCGM_EXP_XID_ERRORS_COUNT", gpu=1, xid=79, window_size_in_ms=300000) == 2
    assert shown.value("DCGM_EXP_XID_ERRORS_COUNT", gpu=0, window_size_in_ms=300000) == 0
    assert shown.value("DCGM_EXP_XID_ERRORS_TOTAL", gpu=1, xid=31) == 1
    scene.clock.advance(301)
    shown = page(gpu(scene, 0, last_xid=0), gpu(scene, 1, last_xid=999))
    assert list(shown.values["DCGM_EXP_XID_ERRORS_COUNT"].values()) == [0, 0]
    assert shown.value("DCGM_EXP_XID_ERRORS_TOTAL", gpu=1, xid=79) == 2
    assert shown.value("DCGM_FI_DEV_XID_ERRORS", err_msg="No Error") == 0
    assert shown.value("DCGM_FI_DEV_XID_ERRORS", err_msg="Unknown Error") == 999


def test_the_page_is_there_only_where_it_is_asked_for(scene):
    assert list(make_pages(scene.desk, lambda: (), dcgm=False)) == ["/metrics"]
    assert list(make_pages(scene.desk, lambda: (), dcgm=True)) == ["/metrics", "/metrics/dcgm"]


def test_a_gpu_instance_is_told_once_however_many_compute_instances_it_has(scene, page):
    """As dcgm-exporter has it: memory and activity are the GPU instance's, and sums must not count them twice."""
    made = tuple(replace(instance(0, f"1/{one}"), profile="1c.3g.40gb", mem_used_bytes=MIB) for one in (0, 1))
    scene.reading = replace(scene.reading, cut=frozenset({0}), migs=made)
    scene.sample()
    jobs = [scene.run(gpu_mem_bytes=1) for _ in made]
    assert [job.gpu_instance for job in jobs] == ["1/0", "1/1"]
    [of] = page(gpu(scene, 0), *made).labels("DCGM_FI_DEV_FB_USED")
    assert (of["GPU_I_PROFILE"], of["GPU_I_ID"]) == ("3g.40gb", "1")
    assert "hpc_job" not in of, "two jobs are there"
    scene.cancel(jobs[0])
    scene.advance(0.0)
    [of] = page(gpu(scene, 0), *made).labels("DCGM_FI_DEV_FB_USED")
    assert of["hpc_job"] == str(jobs[1].id)

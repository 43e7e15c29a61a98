"""GET /metrics: every value under its name, unit and labels; what is unknown or stale has no line."""

import itertools
from dataclasses import fields, replace
from typing import get_args

import pytest
from readings import Exposition, full
from scene import Scene, instance

from dcdaemon.api.metrics.own import OWN
from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.api.metrics.sheet import _MEANING_OF_FAMILY
from dcdaemon.control.board import DutyReport
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import JobState
from dcdaemon.core.metric import Kind, metrics_of
from dcdaemon.core.prediction import PastRun
from dcdaemon.core.samples import (
    KINDS,
    CollectorReport,
    DiskSample,
    DriveSample,
    FilesystemSample,
    GpuSample,
    HostReading,
    HostSample,
    IbSample,
    MigSample,
    NetSample,
    ObjectStoreSample,
)

KEYS = {"gpu": 1, "port": 1, "monotonic_s": 0.0}


def sample_of(kind, **given):
    needed = {name: KEYS.get(name, f"the {name}") for name in kind.KEYS}
    if "monotonic_s" in kind.__dataclass_fields__:
        needed["monotonic_s"] = 0.0
    return full(kind, **(needed | given))


@pytest.fixture
def scene() -> Scene:
    """A node by itself: nothing here goes through the API's server."""
    return Scene(gpus=2)


@pytest.fixture
def page(scene):
    """Take samples and return the page; duties may be given."""
    duties: list[DutyReport] = []
    maker = make_pages(scene.desk, lambda: duties, dcgm=False)["/metrics"]

    def make(*samples, told=(), text=False):
        duties[:] = told
        scene.desk.board.newest.take(samples, scene.clock.monotonic())
        body = maker().decode()
        return body if text else Exposition(body)

    return make


def fresh_gpu(scene, index=0, **values):
    return GpuSample(scene.clock.now(), scene.clock.monotonic(), index, **values)


# ---------------------------------------------------------------- from the table of metrics


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_of_every_kind_has_a_line_with_its_value_in_the_base_unit(page, kind):
    sample = sample_of(kind)
    if "monotonic_s" in kind.__dataclass_fields__:
        sample = replace(sample, monotonic_s=1e9)
    shown = page(sample)
    types = {field.name: get_args(field.type) for field in fields(kind)}
    for metric in metrics_of(kind):
        value = getattr(sample, metric.attribute)
        name = metric.prometheus(kind.KIND)
        if metric.attribute == "error":
            assert shown.value(f"dcd_{kind.KIND}_error") == 0
        elif str in types[metric.attribute]:
            assert shown.value(f"dcd_{kind.KIND}_info", **{metric.attribute: value}) == 1
        elif metric.bits:
            lit = {bit: shown.value(name, reason=word) for bit, word in metric.bits.items()}
            assert lit == {bit: float(bool(value & bit)) for bit in metric.bits}
        else:
            expected = float(value) * metric.scale
            assert shown.value(name, **metric.labels) == pytest.approx(expected, rel=1e-12), name
            assert shown.types[name] == ("counter" if metric.kind is Kind.COUNTER else "gauge")
            assert name.endswith("_total") == (metric.kind is Kind.COUNTER)


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_of_which_nothing_is_known_has_no_line_of_its_own(page, kind):
    needed = {name: KEYS.get(name, f"the {name}") for name in kind.KEYS}
    more = {"monotonic_s": 1e9} if "monotonic_s" in kind.__dataclass_fields__ else {}
    before = set(page(text=True).splitlines())
    after = set(page(kind(at=1.0, **needed, **more), text=True).splitlines())
    about = ("dcd_sample_age", "dcd_gpu_up", "dcd_gpu_sample_age", f"dcd_{kind.KIND}_error", "process_", "#")
    assert [line for line in after - before if not line.startswith(about)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_metrics_of_one_family_agree_and_the_family_says_what_it_is(kind):
    metrics = sorted(metrics_of(kind), key=lambda metric: metric.prometheus(kind.KIND))
    for name, group in itertools.groupby(metrics, key=lambda metric: metric.prometheus(kind.KIND)):
        members = list(group)
        assert len({(metric.kind is Kind.COUNTER, tuple(metric.labels), metric.scale) for metric in members}) == 1, name
        assert len({tuple(metric.labels.items()) for metric in members}) == len(members), name
        if len({metric.meaning for metric in members}) > 1:
            assert members[0].family in _MEANING_OF_FAMILY, f"{name} needs a meaning of its own"


def test_no_two_kinds_share_a_name_and_no_label_stands_twice():
    owner: dict[str, str] = {}
    for kind in KINDS:
        for metric in metrics_of(kind):
            assert owner.setdefault(metric.prometheus(kind.KIND), kind.KIND) == kind.KIND
            assert not set(metric.labels) & set(kind.KEYS)


# ---------------------------------------------------------------- labels and units, one by one


def test_a_gpu_is_named_by_index_and_uuid_and_its_energy_is_in_joules(page, scene):
    text = page(fresh_gpu(scene, 1, power_w=612.5, energy_counter_mj=1_234_567), text=True)
    assert 'dcd_gpu_power_watts{gpu="1",uuid="GPU-0001"} 612.5\n' in text
    assert 'dcd_gpu_energy_joules_total{gpu="1",uuid="GPU-0001"} 1234.567\n' in text


def test_other_devices_are_named_by_their_own_keys(page):
    text = page(
        HostSample(at=1.0, load_1m=0.5, stalled_io_some_s=1.5),
        DiskSample(at=1.0, device="nvme0n1", read_bytes=4096),
        NetSample(at=1.0, interface="eth0", speed_bps=100_000_000_000, up=True),
        IbSample(at=1.0, device="mlx5_0", port=1, state="ACTIVE", link_layer="InfiniBand"),
        MigSample(at=1.0, gpu=0, instance="9/0", mem_used_bytes=5, profile="1g.10gb"),
        text=True,
    )
    for line in (
        "dcd_host_load_1m 0.5",
        'dcd_host_stalled_seconds_total{resource="io",tasks="some"} 1.5',
        'dcd_disk_read_bytes_total{device="nvme0n1"} 4096',
        'dcd_net_speed_bytes_per_second{interface="eth0"} 12500000000.0',
        'dcd_net_up{interface="eth0"} 1',
        'dcd_ib_info{state="ACTIVE",link_layer="InfiniBand",device="mlx5_0",port="1"} 1',
        'dcd_mig_mem_used_bytes{gpu="0",instance="9/0"} 5',
        'dcd_mig_info{profile="1g.10gb",gpu="0",instance="9/0"} 1',
    ):
        assert f"{line}\n" in text


def test_names_that_would_break_the_format_are_escaped(page):
    shown = page(
        FilesystemSample(at=1.0, mount='/mnt/"a\\b\nc', size_bytes=1),
        FilesystemSample(at=1.0, mount="/mnt/\udcff", size_bytes=2),
        FilesystemSample(at=1.0, mount="/mnt/größe", size_bytes=3),
    )
    assert shown.value("dcd_filesystem_size_bytes", mount='/mnt/"a\\b\nc') == 1
    assert shown.value("dcd_filesystem_size_bytes", mount="/mnt/\\udcff") == 2
    assert shown.value("dcd_filesystem_size_bytes", mount="/mnt/größe") == 3


def test_what_does_not_answer_tells_so_by_a_number_not_by_its_sentence(page):
    shown = page(
        FilesystemSample(at=1.0, mount="/data", error="does not answer since 12 s"),
        FilesystemSample(at=1.0, mount="/", size_bytes=9),
        ObjectStoreSample(at=1.0, store="s3", up=False, error="refused"),
    )
    assert shown.value("dcd_filesystem_error", mount="/data") == 1
    assert shown.value("dcd_filesystem_error", mount="/") == 0
    assert (shown.value("dcd_object_store_error"), shown.value("dcd_object_store_up")) == (1, 0)
    assert not any("answer since" in value for of in shown.labels("dcd_filesystem_info") for value in of.values())


# ---------------------------------------------------------------- freshness


def test_stale_values_leave_and_the_age_stays(page, scene):
    page(fresh_gpu(scene, 0, power_w=100.0), fresh_gpu(scene, 1, power_w=200.0), sample_of(DriveSample))
    scene.clock.advance(2.5)
    shown = page(fresh_gpu(scene, 1, power_w=201.0))
    assert (shown.value("dcd_gpu_power_watts", gpu=0), shown.value("dcd_gpu_power_watts", gpu=1)) == (100.0, 201.0)
    scene.clock.advance(1)
    shown = page(fresh_gpu(scene, 1, power_w=202.0))
    assert [of["gpu"] for of in shown.labels("dcd_gpu_power_watts")] == ["1"]
    assert (shown.value("dcd_gpu_up", gpu=0), shown.value("dcd_gpu_up", gpu=1)) == (0, 1)
    assert shown.value("dcd_gpu_sample_age_seconds", gpu=0) == 3.5
    assert shown.value("dcd_gpu_sample_age_seconds", gpu=1) == 0
    assert shown.value("dcd_sample_age_seconds", kind="drive") == 3.5
    assert shown.value("dcd_drive_healthy") is not None


def test_a_lost_gpu_is_not_up_although_its_sample_is_fresh(page, scene):
    scene.sample(lost=[1])
    shown = page(fresh_gpu(scene, 0, error="lost"), fresh_gpu(scene, 1))
    assert list(shown.values["dcd_gpu_up"].values()) == [0, 0]
    assert shown.value("dcd_driver_up") == 1
    scene.sample(driver="no driver")
    assert page().value("dcd_driver_up") == 0


def test_a_gpu_that_was_never_read_has_no_age(page):
    shown = page()
    assert shown.value("dcd_gpu_sample_age_seconds", gpu=0) is None
    assert shown.value("dcd_gpu_up", gpu=0) == 0


# ---------------------------------------------------------------- GPUs, events, jobs, daemon


def test_gpus_tell_what_they_are_who_has_them_and_why_not(page, scene):
    scene.reading = replace(scene.reading, driver_version="580.1")
    scene.desk.board.gpus = scene.reading
    job = scene.run(name='tr"ain')
    scene.sample({1 - job.gpus[0]: [GpuProcess(7, 5, command="python")]})
    held, other = job.gpus[0], 1 - job.gpus[0]
    shown = page()
    assert shown.value("dcd_gpu_info", gpu=0, uuid="GPU-0000", name="H100", driver_version="580.1") == 1
    assert (shown.value("dcd_gpu_allocated", gpu=held), shown.value("dcd_gpu_allocated", gpu=other)) == (1, 0)
    why = ("drained", "health", "foreign")
    assert [shown.value("dcd_gpu_blocked", gpu=other, reason=reason) for reason in why] == [0, 0, 1]
    assert shown.value("dcd_job_gpu_info", gpu=held, job_id=job.id, name='tr"ain', user="ada") == 1


def test_all_kinds_of_events_are_counters_from_the_start(page, scene):
    shown = page()
    assert {of["kind"] for of in shown.labels("dcd_events_total")} == {kind.value for kind in EventKind}
    assert set(shown.values["dcd_events_total"].values()) == {0}
    for _ in range(3):
        scene.desk.board.events.tell(Event(1.0, EventKind.XID, "GPU 1", "XID 79", {"xid": 79}, gpu=1))
    shown = page()
    assert shown.value("dcd_events_total", kind="xid") == 3
    assert shown.value("dcd_gpu_xid_events_total", gpu=1, uuid="GPU-0001", xid=79) == 3
    assert shown.value("dcd_event_rows_dropped_total") == 0


def test_jobs_by_state_and_by_how_they_ended(page, scene):
    ended, running = scene.run(), scene.run()
    scene.cancel(ended)
    scene.advance(60)
    scene.submit(gpus=2)
    scene.submit(held=True)
    shown = page()
    states = ("waiting", "held", "starting", "running", "stopping")
    assert [shown.value("dcd_jobs", state=state) for state in states] == [1, 1, 0, 1, 0]
    assert scene.state(running) == "running"
    assert shown.value("dcd_jobs_ended_total", state="cancelled") == 1
    assert shown.value("dcd_jobs_ended_total", state="succeeded") == 0


def test_the_daemon_tells_of_its_duties_its_collectors_its_ledger_and_itself(page, scene):
    duties = [
        DutyReport("gpus", 1.0, 0.2, 0.004, 12, late=False, error=None),
        DutyReport("host", 5.0, None, None, 0, late=True, error=None),
        DutyReport("watch", 5.0, 1.0, 0.1, 3, late=False, error="the database is away"),
    ]
    now_s = scene.clock.monotonic()
    scene.desk.board.host = HostReading(
        HostSample(at=1.0),
        collectors=(
            CollectorReport("disk", 5.0, last_read_s=now_s - 2, last_duration_s=0.25),
            CollectorReport("nfs", 5.0, error="garbage"),
            CollectorReport("snmp", 60.0, running=False),
        ),
    )
    scene.desk.board.collectors["kernel log"] = CollectorReport("kernel log", None)
    shown = page(told=duties)
    assert shown.value("dcd_ledger_booked_timestamp_seconds") is None
    assert [shown.value("dcd_duty_up", duty=name) for name in ("gpus", "host", "watch")] == [1, 0, 0]
    assert shown.value("dcd_duty_ticks_total", duty="gpus") == 12
    assert shown.value("dcd_duty_last_tick_age_seconds", duty="gpus") == 0.2
    assert shown.value("dcd_duty_last_tick_age_seconds", duty="host") is None
    assert shown.value("dcd_duty_last_duration_seconds", duty="watch") == 0.1
    assert [of["collector"] for of in shown.labels("dcd_collector_up")] == ["disk", "nfs", "kernel log"]
    assert [shown.value("dcd_collector_up", collector=name) for name in ("disk", "nfs")] == [1, 0]
    assert shown.value("dcd_collector_last_read_age_seconds", collector="disk") == 2
    assert shown.value("dcd_collector_last_duration_seconds", collector="disk") == 0.25
    assert shown.value("dcd_build_info", version="0.1.0", node="n1", engine="fake") == 1
    assert shown.value("process_resident_memory_bytes") > 1e6
    assert shown.value("process_cpu_seconds_total") > 0
    assert 0 < shown.value("process_open_fds") <= shown.value("process_max_fds")
    scene.desk.board.booked_until = 1234.5
    assert page().value("dcd_ledger_booked_timestamp_seconds") == 1234.5


def test_a_scrape_asks_nobody_but_the_memory(page, scene):
    class Untouchable:
        def __getattribute__(self, name):
            raise AssertionError(f"a scrape used .{name}")

    scene.run()
    scene.desk.store = scene.desk.engine = Untouchable()
    assert page(fresh_gpu(scene, power_w=1.0)).value("dcd_gpu_power_watts") == 1.0


def test_what_is_no_reading_of_a_device_is_declared_with_its_labels(page, scene):
    scene.reading = replace(scene.reading, cut=frozenset({0}), migs=(instance(0, "9/0"),))
    scene.sample()
    scene.run(gpu_mem_bytes=1)
    scene.desk.predictions.recall([PastRun("ada", ("x",), 1, None, JobState.SUCCEEDED, 5.0, 9.0, "prior")])
    [told] = scene.desk.book.active()
    scene.desk.forecasts.recall([replace(told, forecast_at=1.0, forecast_low_at=1.0, forecast_high_at=2.0)])
    scene.desk.board.booked_until = 1.0
    scene.desk.board.events.tell(Event(1.0, EventKind.XID, "GPU 1", "", {"xid": 79}, gpu=1))
    scene.desk.board.gpus = replace(
        scene.reading,
        driver_version="580.1",
        gpus=tuple(replace(gpu, pci_bus_id="0:1:0") for gpu in scene.reading.gpus),
    )
    collector = CollectorReport("disk", 5.0, last_read_s=0.0, last_duration_s=0.25)
    scene.desk.board.host = HostReading(HostSample(at=1.0), collectors=(collector,))
    shown = page(fresh_gpu(scene), told=[DutyReport("gpus", 1.0, 0.2, 0.004, 12, late=False, error=None)])
    assert set(shown.types) == set(OWN)
    for name, own in OWN.items():
        assert (shown.types[name], shown.help[name]) == (own.kind, own.meaning)
        assert {tuple(sorted(of)) for of in shown.labels(name)} == {tuple(sorted(own.labels))}

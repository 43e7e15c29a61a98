"""A real Prometheus scrapes us: the boards of dcgm-exporter answer, and what is stale leaves."""

import contextlib
import http.client
import subprocess
from dataclasses import replace

import psutil
import pytest
from lack import program
from prometheus import free_port, new_prometheus, promtool_check
from readings import Exposition, full
from scene import Scene
from system.daemon_process import until

from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.api.metrics.server import MetricsServer
from dcdaemon.api.server import tcp_socket
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import KINDS, GpuSample
from dcdaemon.telemetry.node_names.reader import NodeNames

__all__ = ["new_prometheus"]

#: The 8 queries of dcgm-exporter's dashboard (12239) in its three generations: as first published, then by Hostname,
#: then by hostname; each with what it must give for GPU 0 and 1 of the scene below.
BOARDS = {
    "instance": {
        'DCGM_FI_DEV_GPU_TEMP{instance=~"$instance", gpu=~"$gpu"}': [61, 62],
        'avg(DCGM_FI_DEV_GPU_TEMP{instance=~"$instance", gpu=~"$gpu"})': [61.5],
        'DCGM_FI_DEV_POWER_USAGE{instance=~"$instance", gpu=~"$gpu"}': [300.5, 301.5],
        'sum(DCGM_FI_DEV_POWER_USAGE{instance=~"$instance", gpu=~"$gpu"})': [602],
        'DCGM_FI_DEV_SM_CLOCK{instance=~"$instance", gpu=~"$gpu"} * 1000000': [1_980_000_000, 1_965_000_000],
        'DCGM_FI_DEV_GPU_UTIL{instance=~"$instance", gpu=~"$gpu"}': [93, 94],
        'DCGM_FI_DEV_FB_USED{instance=~"$instance", gpu=~"$gpu"}': [1024, 2048],
        'DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{instance=~"$instance", gpu=~"$gpu"}': [0.25, 0.5],
    },
    "Hostname": {
        'max(DCGM_FI_DEV_GPU_TEMP{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, uuid)': [61, 62],
        'avg(DCGM_FI_DEV_GPU_TEMP{Hostname=~"$Hostname", gpu=~"$gpu"})': [61.5],
        'max(DCGM_FI_DEV_POWER_USAGE{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, uuid)': [300.5, 301.5],
        'sum(max(DCGM_FI_DEV_POWER_USAGE{Hostname=~"$Hostname", gpu=~"$gpu"}) by (gpu))': [602],
        'max(DCGM_FI_DEV_SM_CLOCK{Hostname=~"$Hostname", gpu=~"$gpu"} * 1000000) by (Hostname, UUID, gpu)': [
            1_980_000_000, 1_965_000_000,
        ],
        'max(DCGM_FI_PROF_GR_ENGINE_ACTIVE{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, GPU_I_ID, '
        "GPU_I_PROFILE)": [0.75, 0.875],
        'max(DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, GPU_I_ID, '
        "GPU_I_PROFILE)": [0.25, 0.5],
        'max(DCGM_FI_DEV_FB_USED{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, GPU_I_ID, GPU_I_PROFILE)': [
            1024, 2048,
        ],
    },
}  # fmt: skip
BOARDS["hostname"] = {query.replace("Hostname", "hostname"): values for query, values in BOARDS["Hostname"].items()}


class Listener:
    """Our real listener before a node in virtual time with two GPUs of which everything is known."""

    def __init__(self) -> None:
        self.scene = scene = Scene(gpus=2)
        gpus = tuple(replace(gpu, pci_bus_id=f"00000000:{gpu.index:02X}:00.0") for gpu in scene.reading.gpus)
        scene.desk.board.gpus = replace(scene.reading, gpus=gpus, driver_version="580.1")
        self.failures: list[object] = []
        socket = tcp_socket("127.0.0.1:0")
        self.address = f"127.0.0.1:{socket.getsockname()[1]}"
        pages = make_pages(scene.desk, lambda: (), dcgm=True, node=NodeNames())
        self.server = MetricsServer(pages, socket, lambda *told: self.failures.append(told))
        self.server.start()

    def read(self) -> None:
        """Read both GPUs."""
        at, now_s = self.scene.clock.now(), self.scene.clock.monotonic()
        for gpu in (0, 1):
            sample = full(
                GpuSample, at=at, monotonic_s=now_s, gpu=gpu, temp_c=61.0 + gpu, power_w=300.5 + gpu,
                sm_clock_hz=1_980_000_000 - gpu * 15_000_000, util_ratio=(93 + gpu) / 100,
                mem_used_bytes=(1 + gpu) * 2**30, tensor_active_ratio=(1 + gpu) / 4,
                graphics_active_ratio=0.75 + gpu / 8, last_xid=79,
            )  # fmt: skip
            self.scene.desk.board.newest.take([sample], now_s)

    def page(self, path: str) -> str:
        host, _, port = self.address.partition(":")
        with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()


@pytest.fixture
def listener():
    made = Listener()
    made.read()
    yield made
    made.server.stop()
    assert made.failures == []


def test_the_boards_of_dcgm_exporter_answer_and_the_values_agree(listener, new_prometheus):
    prometheus = new_prometheus(dcgm=f"{listener.address}/metrics/dcgm")
    prometheus.awaits('up{job="dcgm"} == 1')
    prometheus.awaits("DCGM_FI_DEV_FB_FREE")
    variables = {
        name: "|".join(prometheus.values(name, "DCGM_FI_DEV_FB_FREE")) for name in ("instance", "gpu", *BOARDS)
    }
    assert (variables["gpu"], variables["Hostname"], variables["hostname"]) == ("0|1", "n1", "n1")
    assert variables["instance"] == listener.address
    for board, queries in BOARDS.items():
        assert len(queries) == 8
        for query, expected in queries.items():
            filled = query.replace(f"${board}", variables[board]).replace("$gpu", variables["gpu"])
            found = sorted(prometheus.query(filled), key=lambda sample: sample[0].get("gpu", ""))
            assert [value for _, value in found] == expected, filled


def test_stale_values_leave_prometheus_too_and_the_rest_stays(listener, new_prometheus):
    prometheus = new_prometheus(dcd=f"{listener.address}/metrics", dcgm=f"{listener.address}/metrics/dcgm")
    prometheus.awaits("DCGM_FI_DEV_GPU_TEMP")
    assert [value for _, value in prometheus.awaits("dcd_gpu_up == 1")] == [1, 1]
    listener.scene.clock.advance(10)
    prometheus.awaits("dcd_gpu_power_watts or DCGM_FI_DEV_GPU_TEMP", absent=True)
    prometheus.awaits("sum(dcd_gpu_up) == 0")
    assert [value for _, value in prometheus.query("dcd_gpu_sample_age_seconds")] == [10, 10]
    listener.read()
    prometheus.awaits("sum(dcd_gpu_up) == 2")
    assert [value for _, value in prometheus.awaits("dcd_gpu_power_watts")] == [300.5, 301.5]


def test_promtool_finds_no_fault_with_our_names_and_reads_those_of_the_other_exporters(listener):
    keys = {"gpu": 0, "port": 1, "monotonic_s": listener.scene.clock.monotonic()}
    samples = [
        full(kind, **{name: keys.get(name, f"/dev/{name}") for name in (*kind.KEYS, "monotonic_s")
                      if name in kind.__dataclass_fields__})
        for kind in KINDS
    ]  # fmt: skip
    listener.scene.desk.board.newest.take(samples, listener.scene.clock.monotonic())
    listener.scene.desk.board.events.tell(Event(1.0, EventKind.XID, "GPU 1", "", {"xid": 79}, gpu=1))
    listener.scene.run()
    assert promtool_check(listener.page("/metrics")) == []
    faults = {line.partition(" ")[2] for line in promtool_check(listener.page("/metrics/dcgm"))}
    # The names are dcgm-exporter's and node_exporter's.
    assert faults == {
        "metric name should not include type 'counter'",
        'counter metrics should have "_total" suffix',
        "label names should be written in 'snake_case' not 'camelCase'",
    }
    faults = {line.partition(" ")[2] for line in promtool_check(listener.page("/metrics/node"))}
    assert faults == {"metric names should be written in 'snake_case' not 'camelCase'"}


#: The rows Quick, Basic, Disk, Filesystem and Network Traffic of Node Exporter Full (1860): an expression on each line;
#: $S stands for instance and job.
NODE_ROWS = """
irate(node_pressure_cpu_waiting_seconds_total{$S}[10s])
irate(node_pressure_memory_waiting_seconds_total{$S}[10s])
irate(node_pressure_io_waiting_seconds_total{$S}[10s])
100 * (1 - avg(rate(node_cpu_seconds_total{mode="idle", $S}[10s])))
scalar(node_load1{$S}) * 100 / count(count(node_cpu_seconds_total{$S}) by (cpu))
clamp_min((1 - (node_memory_MemAvailable_bytes{$S} / node_memory_MemTotal_bytes{$S})) * 100, 0)
node_memory_SwapTotal_bytes{$S} - node_memory_SwapFree_bytes{$S}
node_filesystem_size_bytes{$S, mountpoint="/", fstype!="rootfs"} - node_filesystem_avail_bytes{$S, mountpoint="/"}
count(count(node_cpu_seconds_total{$S}) by (cpu))
node_memory_MemTotal_bytes{$S}
node_memory_SwapTotal_bytes{$S}
node_filesystem_size_bytes{$S, mountpoint="/", fstype!="rootfs"}
node_time_seconds{$S} - node_boot_time_seconds{$S}
sum(irate(node_cpu_seconds_total{$S, mode="system"}[10s])) / scalar(count(count(node_cpu_seconds_total{$S}) by (cpu)))
sum(irate(node_cpu_seconds_total{$S, mode=~".*irq"}[10s])) / scalar(count(count(node_cpu_seconds_total{$S}) by (cpu)))
node_memory_MemFree_bytes{$S}
node_memory_Cached_bytes{$S} + node_memory_Buffers_bytes{$S} + node_memory_SReclaimable_bytes{$S}
rate(node_network_receive_bytes_total{$S}[10s]) * 8
rate(node_network_transmit_bytes_total{$S}[10s]) * 8
irate(node_disk_reads_completed_total{$S}[10s])
irate(node_disk_writes_completed_total{$S}[10s])
irate(node_disk_read_bytes_total{$S}[10s])
irate(node_disk_written_bytes_total{$S}[10s])
irate(node_disk_read_time_seconds_total{$S}[10s])
irate(node_disk_write_time_seconds_total{$S}[10s])
irate(node_disk_io_time_weighted_seconds_total{$S}[10s])
irate(node_disk_reads_merged_total{$S}[10s])
irate(node_disk_writes_merged_total{$S}[10s])
irate(node_disk_io_time_seconds_total{$S}[10s])
irate(node_disk_discard_time_seconds_total{$S}[10s])
node_disk_io_now{$S}
irate(node_disk_discards_completed_total{$S}[10s])
irate(node_disk_discards_merged_total{$S}[10s])
node_filesystem_avail_bytes{$S, device!~"rootfs"}
node_filesystem_free_bytes{$S, device!~"rootfs"}
node_filesystem_size_bytes{$S, device!~"rootfs"}
node_filesystem_files_free{$S, device!~"rootfs"}
node_filefd_maximum{$S}
node_filefd_allocated{$S}
node_filesystem_files{$S, device!~"rootfs"}
node_filesystem_readonly{$S, device!~"rootfs"}
node_filesystem_device_error{$S, device!~"rootfs", fstype!~"tmpfs"}
irate(node_network_receive_packets_total{$S}[10s])
irate(node_network_transmit_packets_total{$S}[10s])
irate(node_network_receive_errs_total{$S}[10s])
irate(node_network_transmit_errs_total{$S}[10s])
irate(node_network_receive_drop_total{$S}[10s])
irate(node_network_transmit_drop_total{$S}[10s])
irate(node_network_receive_compressed_total{$S}[10s])
irate(node_network_transmit_compressed_total{$S}[10s])
irate(node_network_receive_multicast_total{$S}[10s])
irate(node_network_receive_fifo_total{$S}[10s])
irate(node_network_transmit_fifo_total{$S}[10s])
irate(node_network_receive_frame_total{$S}[10s])
irate(node_network_transmit_carrier_total{$S}[10s])
irate(node_network_transmit_colls_total{$S}[10s])
node_nf_conntrack_entries{$S}
node_nf_conntrack_entries_limit{$S}
node_arp_entries{$S}
node_network_mtu_bytes{$S}
node_network_speed_bytes{$S} > 0
node_network_transmit_queue_length{$S}
irate(node_softnet_processed_total{$S}[10s])
irate(node_softnet_dropped_total{$S}[10s])
irate(node_softnet_times_squeezed_total{$S}[10s])
node_network_up{$S}
node_network_carrier{$S}
node_uname_info{$S}
"""
#: What does not change while we look.
STEADY = (
    "count(",
    "node_memory_MemTotal",
    "node_memory_SwapTotal",
    "node_filesystem_size_bytes{$S, device",
    "node_filefd_maximum",
    "node_filesystem_files{",
    "node_filesystem_readonly",
    "node_filesystem_device_error",
    "node_nf_conntrack_entries_l",
    "node_network_mtu",
    "node_network_speed",
    "node_network_transmit_queue",
    "node_network_up",
    "node_network_carrier",
    "node_uname",
)
#: What node_exporter counts and we do not: disks and filesystems that are memory.
NOT_OURS = {"fstype": {"tmpfs", "ramfs", "efivarfs", "erofs"}, "device": {"zram0", "tmpfs"}}


def test_the_boards_made_for_node_exporter_read_the_same_of_us(listener, new_prometheus, new_site):
    theirs, ours = free_port(), free_port()
    site = new_site(DCD_METRICS__LISTEN=f"127.0.0.1:{ours}", DCD_METRICS__NODE="true")
    site.start()
    command = [program("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{theirs}", "--log.level=error"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as node_exporter:
        try:
            prometheus = new_prometheus(ours=f"127.0.0.1:{ours}/metrics/node", theirs=f"127.0.0.1:{theirs}/metrics")
            for job in ("ours", "theirs"):
                prometheus.awaits(f'node_filesystem_size_bytes{{job="{job}"}} and on () (count_over_time('
                                  f'node_load1{{job="{job}"}}[10s]) > 2)')  # fmt: skip
            differences = [line for query in NODE_ROWS.split("\n")[1:-1] for line in _untold(prometheus, query)]
            differences += _off_scale(prometheus)
        finally:
            node_exporter.terminate()
    assert differences == []


def _untold(prometheus, query: str) -> list[str]:
    """Name what node_exporter tells and we do not, and what never changes but differs."""
    theirs, ours = (_answers(prometheus, query.replace("$S", f'job="{job}"')) for job in ("theirs", "ours"))
    # A filesystem that is mounted at several places is told once.
    shown = {dict(of)["device"] for of in ours if "mountpoint" in dict(of)}
    missing = [of for of in theirs.keys() - ours.keys() if not _not_ours(dict(of), shown)]
    odd = [of for of in theirs.keys() & ours.keys() if query.startswith(STEADY) and ours[of] != theirs[of]]
    return [f"{query}: {dict(of)}: {ours.get(of)}, theirs {theirs[of]}" for of in missing + odd]


def _off_scale(prometheus) -> list[str]:
    """Name what differs so much that the unit must be another one: all of it moves between two readings."""
    theirs, ours = (_answers(prometheus, f'{{__name__=~"node_.*", job="{job}"}}') for job in ("theirs", "ours"))
    both = [(dict(of), ours[of], theirs[of]) for of in theirs.keys() & ours.keys()]
    assert len(both) > 200
    return [f"{of}: {our}, theirs {their}" for of, our, their in both if their > 1000 and not 0.25 < our / their < 4]


def _answers(prometheus, query: str) -> dict[frozenset[tuple[str, str]], float]:
    return {frozenset(_bare(of).items()): value for of, value in prometheus.query(query)}


def _bare(of: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in of.items() if name not in {"instance", "job"}}


def _not_ours(of: dict[str, str], shown: set[str]) -> bool:
    elsewhere = "mountpoint" in of and of["device"] in shown
    return elsewhere or any(of.get(name) in values for name, values in NOT_OURS.items())


def test_a_real_daemon_is_scraped_and_its_jobs_can_be_joined_to_their_gpus(new_site, new_prometheus):
    port = free_port()
    site = new_site(DCD_METRICS__LISTEN=f"127.0.0.1:{port}", DCD_METRICS__DCGM="true")
    site.start()
    job = site.submit(sleep_s=60, name="train", gpus=2)
    site.await_state(job, "running")
    prometheus = new_prometheus(dcd=f"127.0.0.1:{port}/metrics", dcgm=f"127.0.0.1:{port}/metrics/dcgm")
    joined = "dcd_gpu_power_watts * on (gpu) group_left (job_id, name) dcd_job_gpu_info"
    held = {int(of["gpu"]): (of["job_id"], of["name"]) for of, _ in prometheus.awaits(joined)}
    assert held == dict.fromkeys(site.job(job)["gpus"], (str(job), "train"))
    [(_, all_up)] = prometheus.awaits("min(dcd_gpu_up)")
    assert all_up == 1
    known = {gpu["index"]: gpu["name"] for gpu in site.client.get("/v1/gpus")["gpus"]}
    named = {int(of["gpu"]): of["modelName"] for of, _ in prometheus.awaits("DCGM_FI_DEV_GPU_TEMP")}
    assert named == known
    labelled = prometheus.query(f'DCGM_FI_DEV_GPU_TEMP{{hpc_job="{job}"}}')
    assert len(labelled) == 2
    prometheus.awaits('dcd_duty_up{duty="gpus"} == 1')
    [(_, memory)] = prometheus.query("process_resident_memory_bytes")
    assert memory > 10e6
    site.client.post("/v1/jobs/cancel", {"select": [str(job)], "signal": "KILL"})
    prometheus.awaits("dcd_job_gpu_info", absent=True)
    assert prometheus.awaits('dcd_jobs_ended_total{state="cancelled"} == 1')


def test_without_the_settings_nobody_listens_and_what_is_not_asked_for_is_not_there(new_site):
    port = free_port()
    site = new_site(DCD_METRICS__LISTEN=f"127.0.0.1:{port}")
    site.start()

    def page(path: str) -> tuple[int, str]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    assert page("/metrics/dcgm")[0] == page("/metrics/node")[0] == page("/v1/status")[0] == 404
    shown = until(lambda: (text := page("/metrics")[1]) and "dcd_host_load_1m" in text and Exposition(text))
    assert shown.value("dcd_build_info", engine="local") == 1
    site.end()
    quiet = new_site()
    quiet.start()
    assert psutil.Process(quiet.pid).net_connections("inet") == []

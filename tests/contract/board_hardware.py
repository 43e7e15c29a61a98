"""A minute of every kind of hardware, and what the panels of it show, worked out by hand.

Counters grow evenly: what is read at NOW - 10 and at NOW differs by ten times what grows in a second.
"""

from collections.abc import Iterator
from typing import Any

from dcdaemon.core.samples import (
    AnySample,
    BmcSample,
    DiskSample,
    DriveSample,
    FilesystemSample,
    HostSample,
    IbSample,
    MigSample,
    NetSample,
    NfsSample,
    ObjectStoreSample,
    RaplSample,
    SensorSample,
    SwitchPortSample,
    SwitchSample,
)

GIB = 1024**3
MINUTE = 60
NOW = 20_400 * 86400 + 13 * 3600
Row = dict[str, object]


def hardware() -> Iterator[AnySample]:
    """Return two readings of every kind of device but the GPUs, ten seconds apart."""
    for n, at in enumerate((NOW - 10.0, float(NOW))):
        yield HostSample(
            at, 0.25 + n / 2, 4.0 + n, 64 * GIB, (48 - 16 * n) * GIB, GIB, stalled_cpu_some_s=100 + n,
            stalled_mem_some_s=5.0, stalled_mem_full_s=None, stalled_io_some_s=10.0 + 2 * n, stalled_io_full_s=1.0,
            tcp_retransmits=7 + 3 * n, tcp_timeouts=1, tcp_listen_drops=0, edac_corrected=4 * n, edac_uncorrected=0,
        )  # fmt: skip
        yield SensorSample(at, "coretemp-isa-0000", "Package id 0", temp_c=50.0 + 5 * n)
        yield SensorSample(at, "it87-isa-0a40", "fan1", fan_rpm=3000.0)
        yield RaplSample(at, "package-0", 500_000 + 1_000_000 * n)
        yield BmcSample(at, 2400.0 + 100 * n, 22.5)
        yield DiskSample(
            at, "nvme0n1", 1000 * n, 10**6 + 20_000 * n, queued_s=1.5 * n, read_latency_s=0.001,
            write_latency_s=0.002 * (1 + n), busy_ratio=0.5 * n,
        )  # fmt: skip
        yield FilesystemSample(
            at, "/scratch", "xfs", 1000, 400 - 200 * n, 9, read_only=False, full_in_s=86400.0, device="/dev/md0"
        )
        yield FilesystemSample(at, "/nfs", "nfs4", None, None, None, read_only=True, error="no answer")
        yield DriveSample(
            at, "nvme0", "PM9A3", healthy=bool(n), wear_ratio=0.03, spare_ratio=1.0, media_errors=2, unsafe_shutdowns=9,
            temp_c=41.0 + n, power_on_s=3600.0,
        )  # fmt: skip
        yield NfsSample(at, "/nfs", "filer:/x", 4000 * n, 10 * n, retransmits=5 + n, timeouts=2, errors=None)
        yield ObjectStoreSample(at, "s3", up=not n, latency_s=0.25, used_bytes=5 * GIB, objects=12, error="slow")
        yield NetSample(
            at, "eth0", 100_000 * n, 5000 * n, 3, 0, 8 + 2 * n, 0, up=True, speed_bps=10**10, carrier_changes=1 + n
        )
        yield IbSample(
            at, "mlx5_0", 1, "ACTIVE", "LinkUp", "InfiniBand", up=True, speed_bps=400 * 10**9,
            received_bytes=10**7 * n, sent_bytes=10**6 * n, link_downed=1, link_error_recovery=0, symbol_errors=10 + n,
            errors_in=0, discards_out=0, wait_ticks=70 * n, cnp_sent=6 * n, cnp_handled=0, ecn_marked=20 * n,
            out_of_sequence=0, adaptive_retransmits=None,
        )  # fmt: skip
        yield SwitchPortSample(
            at, "leaf1", "Ethernet1", up=True, enabled=True, speed_bps=10**11, received_bytes=2000 * n,
            sent_bytes=3000 * n, errors_in=1, errors_out=0, drops_in=4, drops_out=0,
        )  # fmt: skip
        yield SwitchSample(at, "leaf1", up=True, latency_s=0.01, uptime_s=1e6)
        yield MigSample(at, 0, "9/0", "MIG-1", "1g.10gb", (2 + n) * GIB, 10 * GIB, sm_active_ratio=0.5, simulated=False)


def gpu_signals(since: float, util: float | None) -> dict[str, Any]:
    """Return the further signals of a GPU `since` seconds after its first reading."""
    if util is None:
        return {}
    return {
        "sm_active_ratio": util / 2, "tensor_active_ratio": util / 4, "dram_active_ratio": 0.5,
        "sm_occupancy_ratio": 0.125, "sm_clock_hz": 1_500_000_000, "hbm_temp_c": 60.0 + since,
        "throttled_power_s": 7 + since / 2, "throttled_thermal_s": 0.0, "pcie_tx_bytes": int(1000 * since),
        "pcie_rx_bytes": int(500 * since), "nvlink_tx_bytes": int(10**9 * since), "ecc_corrected_volatile": int(since),
        "ecc_uncorrected_volatile": 1, "pcie_replays": 4, "nvlink_replay_errors": int(since // 10), "last_xid": 94,
        "recovery_action": 1, "rows_remapped_correctable": 2, "rows_remapped_uncorrectable": 0, "row_remap_pending": 1,
        "row_remap_failed": 0, "temp_margin_c": 20.0, "pcie_link_gen": 5, "pcie_link_gen_max": 5, "pcie_link_width": 8,
        "pcie_link_width_max": 16, "nvlink_links_up": 17, "nvlink_links": 18,
    }  # fmt: skip


def drawn(**values: list[tuple[int, float]]) -> list[Row]:
    """Return the rows of a graph: for each line its points, as (seconds before NOW, value)."""
    rows = [(NOW - ago, name, value) for name, points in values.items() for ago, value in points]
    return [{"time": time, "metric": name, "value": value} for time, name, value in sorted(rows)]


def at_end(**values: float) -> list[Row]:
    """Return the rows of a graph that has points at NOW alone: growth has no beginning."""
    return drawn(**{name: [(0, value)] for name, value in values.items()})


def steady(name: str, value: float) -> dict[str, list[tuple[int, float]]]:
    return {name: [(10, value), (0, value)]}


_GPU_0 = "GPU 0"

EXPECTED: dict[str, list[Row]] = {
    "SM active": drawn(**{_GPU_0: [(20, 0.15), (10, 0.35), (0, 0.5)]}),
    "Tensor cores active": drawn(**{_GPU_0: [(20, 0.075), (10, 0.175), (0, 0.25)]}),
    "GPU memory active": drawn(**{_GPU_0: [(20, 0.5), (10, 0.5), (0, 0.5)]}),
    "SM occupancy": drawn(**{_GPU_0: [(20, 0.125), (10, 0.125), (0, 0.125)]}),
    "MIG instances active": drawn(**steady("GPU 0 9/0", 0.5)),
    "MIG memory": drawn(**{"GPU 0 9/0": [(10, 2 * GIB), (0, 3 * GIB)]}),
    "Throttled": drawn(power=[(20, 0.5), (10, 0.5), (0, 0.5)], thermal=[(20, 0.0), (10, 0.0), (0, 0.0)]),
    "SM clock": drawn(**{_GPU_0: [(20, 1.5e9), (10, 1.5e9), (0, 1.5e9)]}),
    # Growth of each point: of two readings after the first, of two, and of one, five seconds apart.
    "ECC errors": drawn(corrected=[(20, 5.0), (10, 10.0), (0, 5.0)], uncorrected=[(20, 0.0), (10, 0.0), (0, 0.0)]),
    "HBM temperature": drawn(**{_GPU_0: [(20, 65.0), (10, 75.0), (0, 80.0)]}),
    "GPU health now": [
        {
            "gpu": 0, "last_xid": 94, "recovery_action": 1, "ecc_corrected_volatile": 20, "ecc_uncorrected_volatile": 1,
            "rows_remapped_correctable": 2, "rows_remapped_uncorrectable": 0, "row_remap_pending": 1,
            "row_remap_failed": 0, "retired_pages": None, "temp_margin_c": 20.0,
        },
        {
            "gpu": 1, "last_xid": None, "recovery_action": None, "ecc_corrected_volatile": None,
            "ecc_uncorrected_volatile": None, "rows_remapped_correctable": None, "rows_remapped_uncorrectable": None,
            "row_remap_pending": None, "row_remap_failed": None, "retired_pages": None, "temp_margin_c": None,
        },
    ],
    "PCIe traffic": drawn(**{
        "GPU 0 sent": [(20, 1000.0), (10, 1000.0), (0, 1000.0)],
        "GPU 0 received": [(20, 500.0), (10, 500.0), (0, 500.0)],
    }),
    "NVLink traffic": drawn(**{"GPU 0 sent": [(20, 1e9), (10, 1e9), (0, 1e9)]}),
    "PCIe errors": drawn(replays=[(20, 0.0), (10, 0.0), (0, 0.0)]),
    "NVLink errors": drawn(replay=[(20, 0.0), (10, 1.0), (0, 1.0)]),
    "GPU links now": [
        {
            "gpu": 0, "pcie_link_gen": 5, "pcie_link_gen_max": 5, "pcie_link_width": 8, "pcie_link_width_max": 16,
            "nvlink_links_up": 17, "nvlink_links": 18,
        },
        {
            "gpu": 1, "pcie_link_gen": None, "pcie_link_gen_max": None, "pcie_link_width": None,
            "pcie_link_width_max": None, "nvlink_links_up": None, "nvlink_links": None,
        },
    ],
    "Disk throughput": at_end(**{"nvme0n1 read": 100.0, "nvme0n1 written": 2000.0}),
    "Disk latency": drawn(**steady("nvme0n1 read", 0.001), **{"nvme0n1 written": [(10, 0.002), (0, 0.004)]}),
    "Disk busy": drawn(nvme0n1=[(10, 0.0), (0, 0.5)]),
    "Disk queue": at_end(nvme0n1=0.15),
    "Filesystems used": drawn(**{"/scratch": [(10, 0.6), (0, 0.8)]}),
    "NFS traffic": at_end(**{"/nfs read": 400.0, "/nfs written": 1.0}),
    "NFS trouble": at_end(**{"sent again": 1.0, "timed out": 0.0}),
    "Object store": drawn(**steady("s3", 0.25)),
    "Filesystems now": [
        {
            "mount": "/nfs", "device": None, "fstype": "nfs4", "size_bytes": None, "available_bytes": None,
            "used_ratio": None, "full_in_s": None, "files_free": None, "read_only": "read-only", "error": "no answer",
        },
        {
            "mount": "/scratch", "device": "/dev/md0", "fstype": "xfs", "size_bytes": 1000, "available_bytes": 200,
            "used_ratio": 0.8, "full_in_s": 86400.0, "files_free": 9, "read_only": "", "error": "",
        },
    ],
    "Object stores now": [
        {"store": "s3", "up": "down", "latency_s": 0.25, "used_bytes": 5 * GIB, "objects": 12, "error": "slow"}
    ],
    "Drive wear": drawn(**steady("nvme0", 0.03)),
    "Drive temperature": drawn(nvme0=[(10, 41.0), (0, 42.0)]),
    "Drives now": [
        {
            "device": "nvme0", "model": "PM9A3", "healthy": "well", "wear_ratio": 0.03, "spare_ratio": 1.0,
            "media_errors": 2, "reallocated_sectors": None, "pending_sectors": None, "unsafe_shutdowns": 9,
            "temp_c": 42.0, "power_on_s": 3600.0,
        }
    ],
    "Network traffic": at_end(**{"eth0 received": 10_000.0, "eth0 sent": 500.0}),
    "Network trouble": at_end(
        **{"errors in": 0.0, "errors out": 0.0, "drops in": 2.0, "drops out": 0.0, "link changes": 1.0}
    ),
    "TCP trouble": at_end(**{"sent again": 3.0, "timed out": 0.0, "refused for a full queue": 0.0}),
    "Switch traffic": at_end(**{"leaf1 Ethernet1 received": 200.0, "leaf1 Ethernet1 sent": 300.0}),
    "Switch ports now": [
        {
            "switch": "leaf1", "port": "Ethernet1", "up": "up", "enabled": "up", "speed_bps": 10**11, "errors_in": 1,
            "errors_out": 0, "drops_in": 4, "drops_out": 0,
        }
    ],
    "Switches now": [{"switch": "leaf1", "up": "up", "latency_s": 0.01, "uptime_s": 1e6, "error": ""}],
    "InfiniBand traffic": at_end(**{"mlx5_0/1 received": 1e6, "mlx5_0/1 sent": 1e5}),
    "InfiniBand errors": at_end(
        **{"symbols": 1.0, "recoveries": 0.0, "link downs": 0.0, "errors in": 0.0, "discards out": 0.0}
    ),
    "InfiniBand congestion": at_end(
        **{"notices sent": 6.0, "notices obeyed": 0.0, "packets marked": 20.0, "out of order": 0.0}
    ),
    "InfiniBand waiting": at_end(**{"mlx5_0/1": 7.0}),
    "InfiniBand ports now": [
        {
            "device": "mlx5_0", "port": 1, "state": "ACTIVE", "physical_state": "LinkUp", "link_layer": "InfiniBand",
            "speed_bps": 400 * 10**9, "link_downed": 1, "symbol_errors": 11,
        }
    ],
    "CPU": drawn(CPU=[(10, 0.25), (0, 0.75)]),
    "Memory": drawn(used=[(10, 16.0 * GIB), (0, 32.0 * GIB)], **steady("all", 64.0 * GIB), **steady("swap", 1.0 * GIB)),
    "Pressure": at_end(**{"CPU, some": 0.1, "memory, some": 0.0, "I/O, some": 0.2, "I/O, all": 0.0}),
    "Load": drawn(load=[(10, 4.0), (0, 5.0)]),
    "Temperatures": drawn(**{"coretemp-isa-0000 Package id 0": [(10, 50.0), (0, 55.0)]}),
    "Fans": drawn(**steady("it87-isa-0a40 fan1", 3000.0)),
    "CPU power": at_end(**{"package-0": 100_000.0}),
    "Node power": drawn(node=[(10, 2400.0), (0, 2500.0)]),
    "Inlet temperature": drawn(**steady("inlet", 22.5)),
    "Memory errors": at_end(corrected=4.0, uncorrected=0.0),
}  # fmt: skip

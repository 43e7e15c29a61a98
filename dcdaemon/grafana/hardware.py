"""The panels of the node's hardware, an area each: closed until somebody opens it."""

from dcdaemon.grafana.latest import latest
from dcdaemon.grafana.over_time import Line, growth, mean, over_time, peak, rate
from dcdaemon.grafana.panels import Heading, Lines, Panel, Rows

#: A table of columns; the first ones name the device.
_Columns = tuple[str, ...]
_HOUR_S = 3600


def lines(
    title: str, says: str, kind: str, *drawn: Line, unit: str = "short", highest: float | None = None,
    together: bool = False,
) -> Lines:  # fmt: skip
    """Return a graph of half the board's width."""
    return Lines(title, says, over_time(kind, *drawn, together=together), 12, 8, unit=unit, highest=highest)


def table(title: str, says: str, kind: str, keys: _Columns, columns: _Columns, within_s: int = 60) -> Rows:
    """Return a table of the newest readings across the board; a column may be an expression named by AS."""
    named = tuple(column.rpartition(" AS ")[2] for column in columns)
    return Rows(title, says, latest(kind, *columns, within_s=within_s), 24, 8, (*keys, *named))


_THROTTLED = ("power", "thermal", "sw_thermal", "hw_thermal", "power_brake", "sync_boost", "board_limit", "reliability")

HARDWARE_PANELS: tuple[Panel | Heading, ...] = (
    Heading("GPU activity", closed=True),
    lines("SM active", "Share of cycles in which an SM had a warp.", "gpu", mean("sm_active_ratio"),
          unit="percentunit", highest=1),
    lines("Tensor cores active", "Share of cycles in which a tensor core worked.", "gpu", mean("tensor_active_ratio"),
          unit="percentunit", highest=1),
    lines("GPU memory active", "Share of cycles in which memory was read or written.", "gpu",
          mean("dram_active_ratio"), unit="percentunit", highest=1),
    lines("SM occupancy", "Warps resident, of those an SM can hold.", "gpu", mean("sm_occupancy_ratio"),
          unit="percentunit", highest=1),
    lines("MIG instances active", "Share of cycles in which an SM of the instance had a warp.", "mig",
          mean("sm_active_ratio"), unit="percentunit", highest=1),
    lines("MIG memory", "Memory that processes hold.", "mig", peak("mem_used_bytes"), unit="bytes"),

    Heading("GPU health", closed=True),
    lines("Throttled", "Share of time in which the clocks were held down, of the GPU that is worst off.", "gpu",
          *(rate(f"throttled_{reason}_s", reason.replace("_", " ")) for reason in _THROTTLED),
          unit="percentunit", together=True),
    lines("SM clock", "Average of a point.", "gpu", mean("sm_clock_hz"), unit="hertz"),
    lines("ECC errors", "Of all GPUs, by point.", "gpu", growth("ecc_corrected_volatile", "corrected"),
          growth("ecc_uncorrected_volatile", "uncorrected"), together=True),
    lines("HBM temperature", "Peak of a point.", "gpu", peak("hbm_temp_c"), unit="celsius"),
    table("GPU health now", "Counts since the driver was loaded; rows and pages in the life of the board.", "gpu",
          ("gpu",),
          ("last_xid", "recovery_action", "ecc_corrected_volatile", "ecc_uncorrected_volatile",
           "rows_remapped_correctable", "rows_remapped_uncorrectable", "row_remap_pending", "row_remap_failed",
           "retired_pages", "temp_margin_c")),

    Heading("GPU links", closed=True),
    lines("PCIe traffic", "Bytes by second.", "gpu", rate("pcie_tx_bytes", "sent"), rate("pcie_rx_bytes", "received"),
          unit="Bps"),
    lines("NVLink traffic", "Bytes by second, all links.", "gpu", rate("nvlink_tx_bytes", "sent"),
          rate("nvlink_rx_bytes", "received"), unit="Bps"),
    lines("PCIe errors", "Of all GPUs, by point.", "gpu", growth("pcie_replays", "replays"),
          growth("pcie_correctable_errors", "correctable"), growth("pcie_nonfatal_errors", "nonfatal"),
          growth("pcie_fatal_errors", "fatal"), together=True),
    lines("NVLink errors", "Of all GPUs and links, by point.", "gpu", growth("nvlink_crc_flit_errors", "CRC flit"),
          growth("nvlink_crc_data_errors", "CRC data"), growth("nvlink_replay_errors", "replay"),
          growth("nvlink_recovery_errors", "recovery"), growth("nvlink_ecc_errors", "ECC"),
          growth("nvlink_link_recoveries", "link recovery"), together=True),
    table("GPU links now", "A link narrower or slower than it can be costs speed.", "gpu", ("gpu",),
          ("pcie_link_gen", "pcie_link_gen_max", "pcie_link_width", "pcie_link_width_max", "nvlink_links_up",
           "nvlink_links")),

    Heading("Disks", closed=True),
    lines("Disk throughput", "Bytes by second.", "disk", rate("read_bytes", "read"), rate("written_bytes", "written"),
          unit="Bps"),
    lines("Disk latency", "Mean time of a request.", "disk", mean("read_latency_s", "read"),
          mean("write_latency_s", "written"), unit="s"),
    lines("Disk busy", "Share of time with a request under way.", "disk", mean("busy_ratio"), unit="percentunit",
          highest=1),
    lines("Disk queue", "Requests under way, on average.", "disk", rate("queued_s")),

    Heading("Filesystems", closed=True),
    lines("Filesystems used", "Share in use, as an unprivileged user meets it.", "filesystem",
          mean("1 - 1.0 * {available_bytes} / NULLIF({size_bytes}, 0)"), unit="percentunit", highest=1),
    lines("NFS traffic", "Bytes by second.", "nfs", rate("read_bytes", "read"), rate("written_bytes", "written"),
          unit="Bps"),
    lines("NFS trouble", "Of all mounts, by point.", "nfs", growth("retransmits", "sent again"),
          growth("timeouts", "timed out"), growth("errors", "errors"), together=True),
    lines("Object store", "Time of a listing of one key.", "object_store", mean("latency_s"), unit="s"),
    table("Filesystems now", "Time to full is the trend's; empty while it does not fill.", "filesystem", ("mount",),
          ("device", "fstype", "size_bytes", "available_bytes",
           "1 - 1.0 * sample.available_bytes / NULLIF(sample.size_bytes, 0) AS used_ratio", "full_in_s",
           "files_free", "CASE WHEN sample.read_only THEN 'read-only' ELSE '' END AS read_only",
           "COALESCE(sample.error, '') AS error"), within_s=120),
    table("Object stores now", "The newest probe.", "object_store", ("store",),
          ("CASE WHEN sample.up THEN 'up' ELSE 'down' END AS up", "latency_s", "used_bytes", "objects",
           "COALESCE(sample.error, '') AS error"), within_s=600),

    Heading("Drives", closed=True),
    lines("Drive wear", "Share of the rated writes used up.", "drive", mean("wear_ratio"), unit="percentunit"),
    lines("Drive temperature", "Peak of a point.", "drive", peak("temp_c"), unit="celsius"),
    table("Drives now", "As their own firmware tells it.", "drive", ("device",),
          ("model", "CASE WHEN sample.healthy THEN 'well' ELSE 'failing' END AS healthy", "wear_ratio", "spare_ratio",
           "media_errors", "reallocated_sectors", "pending_sectors", "unsafe_shutdowns", "temp_c", "power_on_s"),
          within_s=2 * _HOUR_S),

    Heading("Network", closed=True),
    lines("Network traffic", "Bytes by second.", "net", rate("received_bytes", "received"), rate("sent_bytes", "sent"),
          unit="Bps"),
    lines("Network trouble", "Of all interfaces, by point.", "net", growth("errors_in", "errors in"),
          growth("errors_out", "errors out"), growth("drops_in", "drops in"), growth("drops_out", "drops out"),
          growth("carrier_changes", "link changes"), together=True),
    lines("TCP trouble", "By point.", "host", growth("tcp_retransmits", "sent again"),
          growth("tcp_timeouts", "timed out"), growth("tcp_listen_drops", "refused for a full queue")),
    lines("Switch traffic", "Bytes by second.", "switch_port",
          rate("received_bytes", "received"), rate("sent_bytes", "sent"), unit="Bps"),
    table("Switch ports now", "By SNMP.", "switch_port", ("switch", "port"),
          ("CASE WHEN sample.up THEN 'up' ELSE 'down' END AS up",
           "CASE WHEN sample.enabled THEN 'up' ELSE 'down' END AS enabled", "speed_bps", "errors_in", "errors_out",
           "drops_in", "drops_out"), within_s=300),

    table("Switches now", "By SNMP.", "switch", ("switch",),
          ("CASE WHEN sample.up THEN 'up' ELSE 'down' END AS up", "latency_s", "uptime_s",
           "COALESCE(sample.error, '') AS error"), within_s=300),

    Heading("InfiniBand and RoCE", closed=True),
    lines("InfiniBand traffic", "Bytes by second.", "ib", rate("received_bytes", "received"),
          rate("sent_bytes", "sent"), unit="Bps"),
    lines("InfiniBand errors", "Of all ports, by point.", "ib", growth("symbol_errors", "symbols"),
          growth("link_error_recovery", "recoveries"), growth("link_downed", "link downs"),
          growth("errors_in", "errors in"), growth("discards_out", "discards out"), together=True),
    lines("InfiniBand congestion", "Of all ports, by point.", "ib", growth("cnp_sent", "notices sent"),
          growth("cnp_handled", "notices obeyed"), growth("ecn_marked", "packets marked"),
          growth("out_of_sequence", "out of order"), growth("adaptive_retransmits", "sent again"), together=True),
    lines("InfiniBand waiting", "Ticks by second with data and no credit to send it.", "ib", rate("wait_ticks")),
    table("InfiniBand ports now", "As the adapter tells it.", "ib", ("device", "port"),
          ("state", "physical_state", "link_layer", "speed_bps", "link_downed", "symbol_errors")),

    Heading("Node", closed=True),
    lines("CPU", "Share of CPU time in use.", "host", mean("cpu_util_ratio", "CPU"), unit="percentunit", highest=1),
    lines("Memory", "In use means: not to be had without swapping.", "host",
          mean("{mem_total_bytes} - {mem_available_bytes}", "used"), mean("mem_total_bytes", "all"),
          mean("swap_used_bytes", "swap"), unit="bytes"),
    lines("Pressure", "Share of time in which tasks waited.", "host", rate("stalled_cpu_some_s", "CPU, some"),
          rate("stalled_mem_some_s", "memory, some"), rate("stalled_mem_full_s", "memory, all"),
          rate("stalled_io_some_s", "I/O, some"), rate("stalled_io_full_s", "I/O, all"), unit="percentunit"),
    lines("Load", "Running and waiting tasks.", "host", mean("load_1m", "load")),
    lines("Temperatures", "Peak of a point.", "sensor", peak("temp_c"), unit="celsius"),
    lines("Fans", "Average of a point.", "sensor", mean("fan_rpm"), unit="rotrpm"),
    lines("CPU power", "Of each RAPL domain.", "rapl", rate("energy_mj"), unit="mwatt"),
    lines("Node power", "Of the whole node, by its management controller.", "bmc", mean("node_power_w", "node"),
          unit="watt"),
    lines("Inlet temperature", "Air that comes in.", "bmc", mean("inlet_temp_c", "inlet"), unit="celsius"),
    lines("Memory errors", "Of the node's memory, by point.", "host", growth("edac_corrected", "corrected"),
          growth("edac_uncorrected", "uncorrected")),
)  # fmt: skip

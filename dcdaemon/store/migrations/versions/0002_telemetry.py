"""Every signal of GPUs, disks, networks and the node as columns; events.

Revision 0002. A released migration is never edited; the columns stand here as they were, on purpose.
"""

from collections.abc import Iterator
from typing import Any

from alembic import op
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from dcdaemon.core.errors import Refused

revision = "0002"
down_revision = "0001"

metadata = MetaData()

RowId = BigInteger().with_variant(Integer(), "sqlite")
Gauge: TypeEngine[Any] = Double().with_variant(REAL(), "postgresql")

Table(
    "event",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("gpu", Integer),
    Column("job_id", BigInteger),
    Column("count", BigInteger, nullable=False),
    Index("event_node_id", "node", "id"),
    Index("event_node_at", "node", "at"),
    sqlite_autoincrement=True,
)

Columns = dict[str, Any]

#: Gauges of the first schema that had twice the digits any sensor has.
NARROWED = {
    "gpu_sample": ("util_ratio", "mem_bw_busy_ratio", "power_w", "temp_c"),
    "host_sample": ("cpu_util_ratio", "load_1m", "psi_cpu_some_ratio", "psi_mem_some_ratio", "psi_io_some_ratio"),
}
#: Whole numbers whose averages had, too.
NARROWED_AVERAGES = {
    "gpu_sample": ("mem_used_bytes", "sm_clock_hz", "mem_clock_hz"),
    "host_sample": ("mem_total_bytes", "mem_available_bytes", "swap_used_bytes"),
    "filesystem_sample": ("size_bytes", "available_bytes", "files_free"),
}

#: Averages of GPUs that the board of all nodes shows.
FLEET = ("util_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w", "mem_used_bytes")

#: What the tables of the first schema gain: gauges, counters, facts.
ADDED: dict[str, tuple[Columns, Columns, Columns]] = {
    "gpu_sample": (
        {
            "sm_active_ratio": Gauge,
            "sm_occupancy_ratio": Gauge,
            "tensor_active_ratio": Gauge,
            "dram_active_ratio": Gauge,
            "fp16_active_ratio": Gauge,
            "fp32_active_ratio": Gauge,
            "fp64_active_ratio": Gauge,
            "graphics_active_ratio": Gauge,
            "mem_reserved_bytes": BigInteger,
            "mem_free_bytes": BigInteger,
            "power_instant_w": Gauge,
            "hbm_temp_c": Gauge,
            "temp_margin_c": Gauge,
            "rows_remapped_correctable": BigInteger,
            "rows_remapped_uncorrectable": BigInteger,
            "row_remap_pending": BigInteger,
            "row_remap_failed": BigInteger,
            "remap_banks_spent": BigInteger,
            "retired_pages": BigInteger,
            "recovery_action": BigInteger,
            "pcie_tx_bytes_per_s": Gauge,
            "pcie_rx_bytes_per_s": Gauge,
            "pcie_link_gen": BigInteger,
            "pcie_link_width": BigInteger,
            "nvlink_tx_bytes_per_s": Gauge,
            "nvlink_rx_bytes_per_s": Gauge,
            "nvlink_links_up": BigInteger,
        },
        {
            "throttled_power_s": Double,
            "throttled_thermal_s": Double,
            "throttled_sync_boost_s": Double,
            "throttled_board_limit_s": Double,
            "throttled_reliability_s": Double,
            "throttled_sw_thermal_s": Double,
            "throttled_hw_thermal_s": Double,
            "throttled_power_brake_s": Double,
            "ecc_corrected_volatile": BigInteger,
            "ecc_uncorrected_volatile": BigInteger,
            "ecc_corrected_aggregate": BigInteger,
            "ecc_uncorrected_aggregate": BigInteger,
            "sram_ecc_uncorrected": BigInteger,
            "pcie_tx_bytes": BigInteger,
            "pcie_rx_bytes": BigInteger,
            "pcie_replays": BigInteger,
            "pcie_correctable_errors": BigInteger,
            "pcie_nonfatal_errors": BigInteger,
            "pcie_fatal_errors": BigInteger,
            "nvlink_tx_bytes": BigInteger,
            "nvlink_rx_bytes": BigInteger,
            "nvlink_crc_flit_errors": BigInteger,
            "nvlink_crc_data_errors": BigInteger,
            "nvlink_replay_errors": BigInteger,
            "nvlink_recovery_errors": BigInteger,
            "nvlink_ecc_errors": BigInteger,
            "nvlink_link_recoveries": BigInteger,
            "nvlink_link_recoveries_failed": BigInteger,
        },
        {
            "power_limit_default_w": Double,
            "sm_clock_max_hz": BigInteger,
            "mem_clock_max_hz": BigInteger,
            "clock_event_reasons": BigInteger,
            "sram_ecc_threshold_exceeded": BigInteger,
            "last_xid": BigInteger,
            "pcie_link_gen_max": BigInteger,
            "pcie_link_width_max": BigInteger,
            "nvlink_links": BigInteger,
        },
    ),
    "host_sample": (
        {},
        {
            "stalled_cpu_some_s": Double,
            "stalled_mem_some_s": Double,
            "stalled_mem_full_s": Double,
            "stalled_io_some_s": Double,
            "stalled_io_full_s": Double,
            "tcp_segments_out": BigInteger,
            "tcp_retransmits": BigInteger,
            "tcp_timeouts": BigInteger,
            "tcp_listen_drops": BigInteger,
            "edac_corrected": BigInteger,
            "edac_uncorrected": BigInteger,
        },
        {},
    ),
    "disk_sample": (
        {
            "in_flight": BigInteger,
            "read_latency_s": Gauge,
            "write_latency_s": Gauge,
            "busy_ratio": Gauge,
        },
        {
            "read_s": Double,
            "write_s": Double,
            "queued_s": Double,
        },
        {},
    ),
    "filesystem_sample": (
        {
            "files": BigInteger,
            "full_in_s": Gauge,
        },
        {},
        {"device": Text},
    ),
    "net_sample": (
        {},
        {
            "packets_in": BigInteger,
            "packets_out": BigInteger,
            "carrier_changes": BigInteger,
        },
        {},
    ),
}

#: New tables: device, gauges, counters, facts.
NEW: dict[str, tuple[Columns, Columns, Columns, Columns]] = {
    "mig_sample": (
        {
            "gpu": Integer,
            "instance": Text,
        },
        {
            "mem_used_bytes": BigInteger,
            "sm_active_ratio": Gauge,
            "tensor_active_ratio": Gauge,
            "dram_active_ratio": Gauge,
        },
        {},
        {
            "uuid": Text,
            "profile": Text,
            "mem_total_bytes": BigInteger,
            "simulated": Boolean,
        },
    ),
    "sensor_sample": (
        {
            "chip": Text,
            "sensor": Text,
        },
        {
            "temp_c": Gauge,
            "fan_rpm": Gauge,
        },
        {},
        {"temp_critical_c": Double},
    ),
    "rapl_sample": (
        {"domain": Text},
        {},
        {"energy_mj": BigInteger},
        {},
    ),
    "bmc_sample": (
        {},
        {
            "node_power_w": Gauge,
            "inlet_temp_c": Gauge,
        },
        {},
        {},
    ),
    "drive_sample": (
        {"device": Text},
        {
            "wear_ratio": Gauge,
            "spare_ratio": Gauge,
            "critical_warning": BigInteger,
            "temp_c": Gauge,
            "pending_sectors": BigInteger,
        },
        {
            "media_errors": BigInteger,
            "error_log_entries": BigInteger,
            "unsafe_shutdowns": BigInteger,
            "written_bytes": BigInteger,
            "power_on_s": Double,
            "reallocated_sectors": BigInteger,
        },
        {
            "model": Text,
            "healthy": Boolean,
            "spare_threshold_ratio": Double,
            "serial": Text,
            "error": Text,
        },
    ),
    "nfs_sample": (
        {"mount": Text},
        {},
        {
            "read_bytes": BigInteger,
            "written_bytes": BigInteger,
            "operations": BigInteger,
            "retransmits": BigInteger,
            "timeouts": BigInteger,
            "errors": BigInteger,
            "response_s": Double,
            "queue_s": Double,
        },
        {"server": Text},
    ),
    "object_store_sample": (
        {"store": Text},
        {
            "latency_s": Gauge,
            "used_bytes": BigInteger,
            "objects": BigInteger,
        },
        {
            "probes": BigInteger,
            "errors": BigInteger,
        },
        {
            "up": Boolean,
            "error": Text,
        },
    ),
    "ib_sample": (
        {
            "device": Text,
            "port": Integer,
        },
        {},
        {
            "received_bytes": BigInteger,
            "sent_bytes": BigInteger,
            "packets_in": BigInteger,
            "packets_out": BigInteger,
            "link_downed": BigInteger,
            "link_error_recovery": BigInteger,
            "symbol_errors": BigInteger,
            "integrity_errors": BigInteger,
            "errors_in": BigInteger,
            "discards_out": BigInteger,
            "wait_ticks": BigInteger,
            "vl15_dropped": BigInteger,
            "out_of_sequence": BigInteger,
            "packet_seq_errors": BigInteger,
            "ack_timeouts": BigInteger,
            "rnr_naks": BigInteger,
            "out_of_buffer": BigInteger,
            "adaptive_retransmits": BigInteger,
            "cnp_sent": BigInteger,
            "ecn_marked": BigInteger,
            "cnp_handled": BigInteger,
        },
        {
            "state": Text,
            "physical_state": Text,
            "link_layer": Text,
            "up": Boolean,
            "speed_bps": BigInteger,
        },
    ),
    "switch_port_sample": (
        {
            "switch": Text,
            "port": Text,
        },
        {},
        {
            "received_bytes": BigInteger,
            "sent_bytes": BigInteger,
            "errors_in": BigInteger,
            "errors_out": BigInteger,
            "drops_in": BigInteger,
            "drops_out": BigInteger,
        },
        {
            "up": Boolean,
            "enabled": Boolean,
            "speed_bps": BigInteger,
        },
    ),
    "switch_sample": (
        {"switch": Text},
        {
            "latency_s": Gauge,
            "uptime_s": Gauge,
        },
        {},
        {
            "up": Boolean,
            "error": Text,
        },
    ),
}


def define(name: str, device: Columns, gauges: Columns, counters: Columns, facts: Columns) -> None:
    """Define the table of one kind of sample and its twins by minute and by hour."""
    Table(name, metadata, *key(device), *columns(gauges | counters | facts), sqlite_with_rowid=False)
    for suffix in ("1m", "1h"):
        count = Column("n", Integer, nullable=False)
        more = columns({"simulated": Boolean} if "simulated" in facts else {})
        folded = (*key(device), count, *columns(twins(gauges, counters)), *more)
        Table(f"{name}_{suffix}", metadata, *folded, sqlite_with_rowid=False)


def key(device: Columns) -> list[Column[Any]]:
    """Return the columns of the primary key."""
    return [
        Column("node", Text, primary_key=True),
        Column("ts", BigInteger, primary_key=True, autoincrement=False),
        *(Column(field, kind, primary_key=True, autoincrement=False) for field, kind in device.items()),
    ]


def twins(gauges: Columns, counters: Columns) -> Columns:
    """Return the columns of the rows by minute and hour."""
    found: Columns = {}
    for field, kind in gauges.items():
        found |= {f"{field}_avg": Gauge, f"{field}_min": kind, f"{field}_max": kind}
    return found | {f"{field}_delta": kind for field, kind in counters.items()}


def columns(named: Columns) -> Iterator[Column[Any]]:
    """Return columns that may be empty."""
    return (Column(name, kind) for name, kind in named.items())


def narrow(table: str, gauges: list[str]) -> None:
    """Halve numbers with decimals on PostgreSQL, all columns in one rewrite; SQLite has no shorter ones."""
    changes = ", ".join(f"ALTER {name} TYPE real" for name in gauges)
    op.execute(f"ALTER TABLE {table} {changes}")


def narrow_all() -> None:
    """Do so with every table of the first schema that has such columns."""
    for table, gauges in NARROWED.items():
        narrow(table, list(gauges))
    for table, averaged in NARROWED_AVERAGES.items():
        for suffix in ("1m", "1h"):
            ranges = [f"{name}_{fold}" for name in NARROWED.get(table, ()) for fold in ("avg", "min", "max")]
            narrow(f"{table}_{suffix}", ranges + [f"{name}_avg" for name in averaged])


def index_fleet() -> None:
    """Let PostgreSQL answer for all nodes from an index, and keep the newest hours answerable so.

    An index alone answers only for pages that were vacuumed; without this a fifth of the table would have to be new.
    """
    included = ("node", *(f"{name}_avg" for name in FLEET))
    op.create_index("gpu_sample_1h_fleet", "gpu_sample_1h", ["ts"], postgresql_include=included)
    op.execute(
        "ALTER TABLE gpu_sample_1h SET (autovacuum_vacuum_insert_scale_factor = 0, "
        "autovacuum_vacuum_insert_threshold = 10000)"
    )


def upgrade() -> None:
    """Add columns, which costs nothing, and tables."""
    for name, (gauges, counters, facts) in ADDED.items():
        for column in columns(gauges | counters | facts):
            op.add_column(name, column)
        for suffix in ("1m", "1h"):
            for column in columns(twins(gauges, counters)):
                op.add_column(f"{name}_{suffix}", column)
    if op.get_bind().dialect.name == "postgresql":
        narrow_all()
        index_fleet()
    for name, parts in NEW.items():
        define(name, *parts)
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Refuse: a program of before would not know what the columns are."""
    raise Refused("there is no way back to schema 0001", "restore a backup of the database instead")

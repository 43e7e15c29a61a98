"""The first schema: jobs, ledger, samples, anomalies, reports and tokens, every key with its node.

Revision 0001. A released migration is never edited; this is a copy of the schema as it was, on purpose.
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

from dcdaemon.core.errors import Refused

revision = "0001"
down_revision = None

metadata = MetaData()

RowId = BigInteger().with_variant(Integer(), "sqlite")

Table(
    "job",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    Column("argv", Text, nullable=False),
    Column("cwd", Text, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("gid", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("env_ref", Text, nullable=False),
    Column("asked_gpus", Integer, nullable=False),
    Column("asked_cpus", Integer, nullable=False),
    Column("asked_mem_bytes", BigInteger, nullable=False),
    Column("asked_priority", Integer, nullable=False),
    Column("asked_hold", Boolean, nullable=False),
    Column("limit_s", Double),
    Column("grace_s", Double, nullable=False),
    Column("after", Text, nullable=False),
    Column("log_path", Text),
    Column("requeue", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("gpus", Text, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("run_s", Double),
    Column("pid", BigInteger),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("cause", Text),
    Column("simulated", Boolean, nullable=False),
    Column("reported", Text, nullable=False),
    Index("job_state", "state", "id"),
    Index("job_user_name", "user_name", "id"),
    Index("job_ended_at", "ended_at"),
    sqlite_autoincrement=True,
)

Table(
    "allocation",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("job_id", BigInteger, ForeignKey("job.id"), nullable=False),
    sqlite_with_rowid=False,
)

Table(
    "audit",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("job_id", BigInteger),
    Column("detail", Text, nullable=False),
    Index("audit_job_id", "job_id"),
    Index("audit_at", "at"),
    sqlite_autoincrement=True,
)

Table(
    "gpu",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("pci_bus_id", Text),
    Column("minor", Integer),
    Column("numa_node", Integer),
    Column("mem_total_bytes", BigInteger),
    Column("power_limit_w", Double),
    Column("simulated", Boolean, nullable=False),
    Column("first_seen_at", Double, nullable=False),
    Column("last_seen_at", Double, nullable=False),
)

Table(
    "gpu_mark",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("drained", Text),
    Column("drained_by", Text),
    Column("drained_at", Double),
)

Table(
    "meter",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("counter_mj", BigInteger),
    Column("measured_mj", BigInteger, nullable=False),
)

Table(
    "energy",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("energy_mj", BigInteger, nullable=False),
    Column("held_s", Double, nullable=False),
    sqlite_with_rowid=False,
)

Table(
    "usage",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("node", Text, nullable=False),
    Column("energy_mj", BigInteger, nullable=False),
    Column("gpu_s", Double, nullable=False),
    Column("util_s", Double, nullable=False),
    Column("sampled_s", Double, nullable=False),
    Column("mem_peak_bytes", BigInteger),
    Column("method", Text),
)

Table(
    "anomaly",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("job_id", BigInteger),
    Column("gpu", Integer),
    Column("raised_at", Double, nullable=False),
    Column("cleared_at", Double),
    Column("acked_by", Text),
    Column("acked_at", Double),
    Index(
        "anomaly_open",
        "node",
        "rule",
        "subject",
        unique=True,
        sqlite_where=text("cleared_at IS NULL"),
        postgresql_where=text("cleared_at IS NULL"),
    ),
    Index("anomaly_raised_at", "raised_at"),
    Index("anomaly_job_id", "job_id"),
    sqlite_autoincrement=True,
)

Table(
    "report",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("step", BigInteger),
    Column("reported", Text, nullable=False),
    Index("report_job_id", "job_id", "id"),
    Index("report_at", "at"),
)

Table(
    "token",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("gid", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("operator", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
)

Table(
    "rolled_up",
    metadata,
    Column("node", Text, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("bucket_s", SmallInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
)

Columns = dict[str, Any]

SAMPLES: dict[str, tuple[Columns, Columns, Columns, Columns]] = {
    "gpu_sample": (
        {"gpu": Integer},
        {
            "util_ratio": Double,
            "mem_bw_busy_ratio": Double,
            "mem_used_bytes": BigInteger,
            "power_w": Double,
            "temp_c": Double,
            "sm_clock_hz": BigInteger,
            "mem_clock_hz": BigInteger,
        },
        {"energy_counter_mj": BigInteger},
        {"mem_total_bytes": BigInteger, "power_limit_w": Double, "simulated": Boolean, "error": Text},
    ),
    "host_sample": (
        {},
        {
            "cpu_util_ratio": Double,
            "load_1m": Double,
            "mem_total_bytes": BigInteger,
            "mem_available_bytes": BigInteger,
            "swap_used_bytes": BigInteger,
            "psi_cpu_some_ratio": Double,
            "psi_mem_some_ratio": Double,
            "psi_io_some_ratio": Double,
        },
        {},
        {},
    ),
    "disk_sample": (
        {"device": Text},
        {},
        {
            "read_bytes": BigInteger,
            "written_bytes": BigInteger,
            "reads": BigInteger,
            "writes": BigInteger,
            "busy_s": Double,
        },
        {},
    ),
    "filesystem_sample": (
        {"mount": Text},
        {"size_bytes": BigInteger, "available_bytes": BigInteger, "files_free": BigInteger},
        {},
        {"fstype": Text, "read_only": Boolean, "error": Text},
    ),
    "net_sample": (
        {"interface": Text},
        {},
        {
            "received_bytes": BigInteger,
            "sent_bytes": BigInteger,
            "errors_in": BigInteger,
            "errors_out": BigInteger,
            "drops_in": BigInteger,
            "drops_out": BigInteger,
        },
        {"up": Boolean, "speed_bps": BigInteger},
    ),
}


def add_sample_tables(name: str, device: Columns, gauges: Columns, counters: Columns, more: Columns) -> None:
    """Define the table of one kind of sample and its twins by minute and by hour."""
    raw = [Column(field, kind) for field, kind in (gauges | counters | more).items()]
    Table(name, metadata, *key(device), *raw, sqlite_with_rowid=False)
    for suffix in ("1m", "1h"):
        folded: list[Column[Any]] = [Column("n", Integer, nullable=False)]
        for field, kind in gauges.items():
            folded += [
                Column(f"{field}_avg", Double),
                Column(f"{field}_min", kind),
                Column(f"{field}_max", kind),
            ]
        folded += [Column(f"{field}_delta", kind) for field, kind in counters.items()]
        folded += [Column("simulated", Boolean)] if "simulated" in more else []
        Table(f"{name}_{suffix}", metadata, *key(device), *folded, sqlite_with_rowid=False)


def key(device: Columns) -> list[Column[Any]]:
    """Return the columns of the primary key."""
    return [
        Column("node", Text, primary_key=True),
        Column("ts", BigInteger, primary_key=True, autoincrement=False),
        *(Column(field, kind, primary_key=True, autoincrement=False) for field, kind in device.items()),
    ]


def upgrade() -> None:
    """Create everything."""
    for name, columns in SAMPLES.items():
        add_sample_tables(name, *columns)
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Refuse: there is nothing before the first schema."""
    raise Refused("there is no schema before the first one", "restore a backup of the database instead")

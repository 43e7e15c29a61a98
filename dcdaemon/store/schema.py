"""The tables, as SQLAlchemy Core sees them; docs/database.md tells what each one is for."""

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
    false,
    text,
)

from dcdaemon.store.append_only import guard

metadata = MetaData()

#: SQLite numbers rows by itself only in a column whose type is exactly INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")

job = Table(
    "job",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    # What was asked for. `user` alone would mean the database role in PostgreSQL, hence `user_name`.
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
    # Where it stands.
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
    # Since schema 0003; a job of before has the defaults.
    Column("queue", Text, nullable=False, server_default=""),
    Column("account", Text, nullable=False, server_default=""),
    Column("begin_at", Double),
    Column("array_id", BigInteger),
    Column("array_index", Integer),
    Column("array_limit", Integer),
    Column("after_any", Text, nullable=False, server_default="[]"),
    Column("after_not_ok", Text, nullable=False, server_default="[]"),
    Column("gpu_mem_bytes", BigInteger),
    Column("preemptible", Boolean, nullable=False, server_default=false()),
    Column("predicted_s", Double),
    Column("predicted_by", Text),
    Column("forecast_at", Double),
    Column("forecast_low_at", Double),
    Column("forecast_high_at", Double),
    Column("preempted", Integer, nullable=False, server_default="0"),
    Column("lost_s", Double, nullable=False, server_default="0"),
    # Since schema 0004.
    Column("checkpoint_signal", Text),
    Column("checkpoint_s", Double),
    Column("launcher", Text),
    Column("ranks", Integer),
    Column("hang_after_s", Double),
    Column("deadline_at", Double),
    Column("gpu_mem_runs", Integer),
    # Since schema 0005.
    Column("gpu_instance", Text),
    # The few unfinished jobs are found without touching the many ended ones.
    Index("job_state", "state", "id"),
    Index("job_user_name", "user_name", "id"),
    Index("job_ended_at", "ended_at"),
    # Most jobs are in no array, and not in this index.
    Index(
        "job_array_id",
        "array_id",
        "array_index",
        sqlite_where=text("array_id IS NOT NULL"),
        postgresql_where=text("array_id IS NOT NULL"),
    ),
    # An id that a user has seen never comes back for another job.
    sqlite_autoincrement=True,
)

#: Which job holds which GPU now; its key is the last guard against giving one GPU to two jobs.
allocation = Table(
    "allocation",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("job_id", BigInteger, ForeignKey("job.id"), nullable=False),
    sqlite_with_rowid=False,
)

#: Jobs that share a GPU, each a part of its memory or a MIG instance. The one in `allocation` is then one of them.
gpu_share = Table(
    "gpu_share",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("job_id", BigInteger, ForeignKey("job.id"), primary_key=True, autoincrement=False),
    # Since schema 0005.
    Column("gpu_instance", Text),
    # The last guard against giving one instance to two jobs; shares of memory have none.
    Index("gpu_share_instance", "node", "gpu", "gpu_instance", unique=True),
    sqlite_with_rowid=False,
)

audit = Table(
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
    # Since schema 0004: from where it was asked, with which token, what was changed, and how it was before and after.
    Column("peer", Text),
    Column("token", Text),
    Column("subject", Text),
    Column("before", Text),
    Column("after", Text),
    Index("audit_job_id", "job_id"),
    Index("audit_at", "at"),
    sqlite_autoincrement=True,
)
guard(audit)

gpu = Table(
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

gpu_mark = Table(
    "gpu_mark",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("drained", Text),
    Column("drained_by", Text),
    Column("drained_at", Double),
)

#: GPUs that an operator set aside for users and accounts; those that are over stay for the record.
booking = Table(
    "booking",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("node", Text, nullable=False),
    Column("gpus", Text, nullable=False),
    Column("from_at", Double, nullable=False),
    Column("until_at", Double, nullable=False),
    Column("users", Text, nullable=False),
    Column("accounts", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("booked_by", Text, nullable=False),
    Column("booked_at", Double, nullable=False),
    Column("unbooked_at", Double),
    Index("booking_node_until_at", "node", "until_at"),
    sqlite_autoincrement=True,
)

#: Where each GPU's energy meter stands; measured_mj is the sum of all that was ever booked for the GPU.
meter = Table(
    "meter",
    metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Integer, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("counter_mj", BigInteger),
    Column("measured_mj", BigInteger, nullable=False),
)

#: The ledger: sum(energy_mj) of a GPU equals its meter.measured_mj, always; job 0 is idle.
energy = Table(
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

usage = Table(
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

#: What the attempts that ended used of GPUs in each hour: what fair-share is reckoned from.
gpu_time = Table(
    "gpu_time",
    metadata,
    Column("node", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("user_name", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("gpu_s", Double, nullable=False),
    sqlite_with_rowid=False,
)

anomaly = Table(
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
    # The same finding is open once, even when the answer to its first raising was lost.
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

#: What happened to the hardware and to its telemetry; `count` grows while the same thing goes on.
event = Table(
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

report = Table(
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

token = Table(
    "token",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("gid", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("revoked_by", Text),
    Column("last_used_at", Double),
    Column("last_used_from", Text),
    # A name is free again once its token is revoked.
    Index(
        "token_name",
        "node",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

#: How far each series of samples is folded: everything before `until` is done.
rolled_up = Table(
    "rolled_up",
    metadata,
    Column("node", Text, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("bucket_s", SmallInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
)

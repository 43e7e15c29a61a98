"""What the scheduler is asked for and what it foretold: queues, arrays, dependencies, begin times, predictions.

Revision 0003. A released migration is never edited; the columns stand here as they were, on purpose.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Integer, Text, false, text

from dcdaemon.core.errors import Refused

revision = "0003"
down_revision = "0002"

#: Every one may be empty or has a default: jobs of before keep their rows as they are.
ADDED: tuple[Column[object], ...] = (
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
)


def upgrade() -> None:
    """Add columns, which costs nothing, the index that finds the jobs of an array, and the table of fair-share."""
    for column in ADDED:
        op.add_column("job", column)
    in_an_array = text("array_id IS NOT NULL")
    op.create_index(
        "job_array_id", "job", ["array_id", "array_index"], sqlite_where=in_an_array, postgresql_where=in_an_array
    )
    op.create_table(
        "gpu_time",
        Column("node", Text, primary_key=True),
        Column("account", Text, primary_key=True),
        Column("user_name", Text, primary_key=True),
        Column("hour", BigInteger, primary_key=True, autoincrement=False),
        Column("gpu_s", Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gpu_share",
        Column("node", Text, primary_key=True),
        Column("gpu", Integer, primary_key=True, autoincrement=False),
        Column("job_id", BigInteger, ForeignKey("job.id"), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "booking",
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
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
        sqlite_autoincrement=True,
    )
    op.create_index("booking_node_until_at", "booking", ["node", "until_at"])


def downgrade() -> None:
    """Refuse: a program of before would not know what the columns are."""
    raise Refused("there is no way back to schema 0002", "restore a backup of the database instead")

"""Who may do what: tokens with a role and an end, an audit that tells before and after, and cannot be rewritten.

Revision 0004. A released migration is never edited; columns and triggers stand here as they were, on purpose.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text, select, text

from dcdaemon.core.errors import Refused

revision = "0004"
down_revision = "0003"

#: Every one may be empty: audit rows of before keep all they have.
AUDIT: tuple[Column[object], ...] = (
    Column("peer", Text),
    Column("token", Text),
    Column("subject", Text),
    Column("before", Text),
    Column("after", Text),
)

#: How a job is asked to save its work, how its ranks are started, by when it is to be done, of how many runs its share
#: was learned: of a job of before nothing is known.
JOB: tuple[Column[object], ...] = (
    Column("checkpoint_signal", Text),
    Column("checkpoint_s", Double),
    Column("launcher", Text),
    Column("ranks", Integer),
    Column("hang_after_s", Double),
    Column("deadline_at", Double),
    Column("gpu_mem_runs", Integer),
)

SQLITE = (
    (
        "CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"
    ),
    (
        "CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"
    ),
    (
        "CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit "
        "WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"
    ),
)

POSTGRESQL = (
    (
        "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit table is append-only'; END $$"
    ),
    (
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
    ),
    (
        "CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    ),
)


def upgrade() -> None:
    """Add columns, rewrite the few tokens, guard the audit."""
    for column in AUDIT:
        op.add_column("audit", column)
    for column in JOB:
        op.add_column("job", column)
    renew_tokens()
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def renew_tokens() -> None:
    """Give each token a role, and a name of its own: those made at a start were all called the same."""
    bind = op.get_bind()
    old = Table("token", MetaData(), autoload_with=bind)
    kept = [dict(row._mapping) for row in bind.execute(select(old))]  # noqa: SLF001  SQLAlchemy's public name for it
    op.drop_table("token")
    new = op.create_table(
        "token",
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
    )
    # A name is free again once its token is revoked.
    valid = text("revoked_at IS NULL")
    op.create_index("token_name", "token", ["node", "name"], unique=True, sqlite_where=valid, postgresql_where=valid)
    for row in kept:
        role = "operator" if row.pop("operator") else "submitter"
        row |= {"name": f"{row['name']} {row['hash'][:12]}", "role": role, "created_by": row["user_name"]}
        bind.execute(new.insert(), row)


def downgrade() -> None:
    """Refuse: a program of before would not know what the columns are."""
    raise Refused("there is no way back to schema 0003", "restore a backup of the database instead")

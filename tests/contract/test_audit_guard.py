"""The audit table takes new rows and nothing else, on both databases, whoever asks."""

import pytest
import sqlalchemy as sa

from dcdaemon.core.ports import Actor, GpuMark
from dcdaemon.store.sql_store import open_store

ADA = Actor(uid=1001, gid=100, user="ada", operator=True)
REWRITES = (
    "UPDATE audit SET user_name = 'eve'",
    "UPDATE audit SET detail = detail WHERE id = 1",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE id = (SELECT MAX(id) FROM audit)",
)
OF_ONE_DIALECT = {
    "sqlite": ("INSERT OR REPLACE INTO audit SELECT * FROM audit", "REPLACE INTO audit SELECT * FROM audit"),
    "postgresql": ("TRUNCATE audit", "TRUNCATE audit CASCADE",
                   "WITH gone AS (DELETE FROM audit RETURNING *) SELECT * FROM gone"),
}  # fmt: skip


@pytest.fixture
def told(url: str) -> str:
    store = open_store(url, "n1")
    store.mark(GpuMark(3, drained="fan"), 100.0, ADA)
    store.mark(GpuMark(3), 200.0, ADA)
    store.close()
    return url


def test_no_statement_rewrites_the_audit(told: str) -> None:
    engine = sa.create_engine(told, poolclass=sa.NullPool)
    with engine.connect() as connection:
        before = connection.execute(sa.text("SELECT * FROM audit ORDER BY id")).fetchall()
    assert len(before) == 2
    for statement in (*REWRITES, *OF_ONE_DIALECT[engine.dialect.name]):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT * FROM audit ORDER BY id")).fetchall() == before


def test_retention_leaves_the_audit_alone(told: str) -> None:
    store = open_store(told, "n1")
    store.prune(1e10)
    assert [row.action for row in store.audit()] == ["drain", "restore"]
    store.close()

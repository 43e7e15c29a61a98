"""What the migrations make equals schema.py, on both databases; databases of released versions open."""

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import dcdaemon.store
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, EnergyRow, GpuMark, JobQuery
from dcdaemon.core.samples import GpuSample, SensorSample
from dcdaemon.core.token import Token, TokenRole
from dcdaemon.store import revision
from dcdaemon.store.revision import HEAD, REVISIONS
from dcdaemon.store.schema import metadata
from dcdaemon.store.sql_store import open_store

MIGRATIONS = Path(dcdaemon.store.__file__).parent / "migrations"
DATABASES = Path(__file__).parents[1] / "fixtures" / "databases"
ADA = Actor(uid=1001, gid=100, user="ada")


@pytest.fixture
def migrated_sqlite(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/dcdaemon.db"
    open_store(url, "n1").close()
    return url


def structure(connection: sa.Connection) -> dict[str, Any]:
    """Tell everything a database knows of its tables but the numbers it gave to them."""
    found = sa.inspect(connection)
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"], column.get("default"))
                for column in sorted(found.get_columns(table), key=lambda column: column["name"])
            ],
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "foreign": [key["constrained_columns"] for key in found.get_foreign_keys(table)],
            "indexes": sorted(
                (index["name"], index["column_names"], index["unique"]) for index in found.get_indexes(table)
            ),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }  # fmt: skip


def differences(connection: sa.Connection) -> list[Any]:
    def is_for_it(item: Any, _name: Any, kind: str, *_: Any) -> bool:
        return not (kind == "index" and item._ddl_if and item._ddl_if.dialect != connection.dialect.name)

    options = {"compare_type": True, "include_object": is_for_it}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def test_migrated_sqlite_is_the_schema_to_the_letter(migrated_sqlite: str, tmp_path: Path) -> None:
    fresh = f"sqlite:///{tmp_path}/fresh.db"
    metadata.create_all(sa.create_engine(fresh, poolclass=sa.NullPool))

    def statements(url: str) -> set[tuple[str, ...]]:
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            rows = raw.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {words(sql) for (sql,) in rows if "alembic_version" not in sql}

    def words(sql: str) -> tuple[str, ...]:
        """Columns that were added stand last: their order is left out, and nothing else."""
        head, _, rest = " ".join(sql.split()).partition("(")
        body, _, tail = rest.rpartition(")")
        return head, tail, *sorted(re.split(r"\s*,\s*(?![^(]*\))", body.strip()))

    assert statements(migrated_sqlite) == statements(fresh)
    with sa.create_engine(migrated_sqlite, poolclass=sa.NullPool).connect() as connection:
        assert differences(connection) == []


@pytest.fixture
def _two_schemas(postgres_url: str) -> Iterator[None]:
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA dcd_fresh"))
    yield
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA dcd_fresh CASCADE"))


@pytest.mark.usefixtures("_two_schemas")
def test_migrated_postgresql_is_the_schema(postgres_url: str) -> None:
    open_store(postgres_url, "n1").close()
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert differences(connection) == []
        migrated = structure(connection)
    with engine.connect() as connection, connection.begin():
        connection.execute(sa.text("SET LOCAL search_path TO dcd_fresh"))
        metadata.create_all(connection)
        assert structure(connection) == migrated
        connection.rollback()


def test_the_program_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(REVISIONS))


def test_an_up_to_date_database_starts_no_child(migrated_sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a child was started")

    monkeypatch.setattr(revision.subprocess, "run", refuse)
    open_store(migrated_sqlite, "n1").close()


def test_a_database_of_a_newer_version_is_left_alone(migrated_sqlite: str) -> None:
    path = migrated_sqlite.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(StoreUnavailable, match=f"has schema 0099, this program knows {HEAD}") as caught:
        open_store(migrated_sqlite, "n1")
    assert caught.value.hint == "it was written by a newer version: install that one"


def test_a_failed_migration_changes_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "dcdaemon.db"
    with contextlib.closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE token (somebody TEXT)")
    with pytest.raises(StoreUnavailable, match=rf"cannot be brought to schema {HEAD}: .*token already exists"):
        open_store(f"sqlite:///{path}", "n1")
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("token",)]


def emptied(url: str) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    return engine


def test_what_the_first_schema_held_is_there_after_the_migration(postgres_url: str) -> None:
    engine = emptied(postgres_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = postgres_url
    command.upgrade(config, "0001")
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO gpu_sample (node, ts, gpu, power_w, energy_counter_mj) VALUES ('n1', 60, 0, 310.5, 7)")
        )
        connection.execute(
            sa.text("INSERT INTO gpu_sample_1h (node, ts, gpu, n, power_w_avg) VALUES ('n1', 0, 0, 720, 0.1)")
        )
    store = open_store(postgres_url, "n1")
    [sample] = store.gpu_samples(0, 0, 100)
    store.close()
    assert (sample.power_w, sample.energy_counter_mj, sample.sm_active_ratio) == (310.5, 7, None)
    with engine.connect() as connection:
        hour = connection.execute(sa.text("SELECT n, power_w_avg FROM gpu_sample_1h")).one()
    assert tuple(hour) == (720, 0.1)


OLD_JOB = sa.text(
    "INSERT INTO job (node, argv, cwd, uid, gid, user_name, name, env_ref, asked_gpus, asked_cpus, asked_mem_bytes,"
    " asked_priority, asked_hold, grace_s, after, requeue, state, version, held, priority, attempt, gpus,"
    " submitted_at, queued_at, simulated, reported) VALUES ('n1', '[\"train.py\"]', '/', 1001, 100, 'ada', 'train',"
    " 'e1', 2, 1, 0, 50, false, 30, '[7]', false, 'waiting', 1, false, 50, 0, '[]', 1.5, 1.5, false, '{}')"
)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_jobs_of_the_second_schema_are_there_after_the_migration(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sqlite = f"sqlite:///{tmp_path}/dcdaemon.db"
    url = sqlite if database == "sqlite" else request.getfixturevalue("postgres_url")
    engine = emptied(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "0002")
    with engine.begin() as connection:
        connection.execute(OLD_JOB)
    store = open_store(url, "n1")
    [job] = store.jobs(JobQuery())
    spec = JobSpec(("train.py",), "/", 1001, 100, "ada", "train", "e1", gpus=2, after=(7,))
    assert job == Job(job.id, "n1", spec, JobState.WAITING, submitted_at=1.5, queued_at=1.5)
    [newer] = store.submit([replace(spec, queue="main", array_id=-1, array_index=0)], 2.0, ADA)
    assert store.jobs(JobQuery(array_id=newer.id)) == [newer]
    store.close()


def test_many_nodes_may_start_on_one_empty_server(postgres_url: str) -> None:
    emptied(postgres_url)

    def start(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dcdaemon.store.migrate", "-"]
        return subprocess.run(command, input=postgres_url, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(start, range(3)))
    assert [child.returncode for child in done] == [0, 0, 0], [child.stderr for child in done]
    open_store(postgres_url, "n1").close()


def test_the_daemon_never_loads_alembic() -> None:
    program = "import sys, dcdaemon.store.sql_store; print([name for name in sys.modules if 'alembic' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_new_file_is_not_for_everybody(migrated_sqlite: str) -> None:
    assert Path(migrated_sqlite.removeprefix("sqlite:///")).stat().st_mode & 0o7 == 0


@pytest.mark.parametrize("version", ["0.1.0"])
def test_a_database_of_a_released_version_opens(version: str, tmp_path: Path) -> None:
    path = tmp_path / "dcdaemon.db"
    shutil.copy(DATABASES / f"dcdaemon-{version}.db", path)
    store = open_store(f"sqlite:///{path}", "n1")
    waiting, running, ended = store.jobs(JobQuery())
    assert (waiting.state, waiting.held, waiting.spec.after) == (JobState.WAITING, True, (1,))
    assert (running.state, running.gpus, running.pid) == (JobState.RUNNING, (0, 1), 4242)
    assert (ended.state, ended.exit_code, ended.reported) == (
        JobState.SUCCEEDED,
        0,
        {"accuracy": 0.97, "epoch": 3},
    )
    assert ended.spec.argv == ("python", "train.py", "--näme", "x y")
    assert store.energy("user", None) == [EnergyRow("ada", 1_200_000, 60.0), EnergyRow("idle", 300_000, 30.0)]
    assert store.usage([1])[1].gpu_util_ratio == 0.75
    assert store.marks() == [GpuMark(3, "fan", "ada", 1_760_000_000.0)]
    assert [sample.power_w for sample in store.gpu_samples(0, 0, 2e9)] == [310.5]
    assert [anomaly.finding.evidence for anomaly in store.anomalies()] == [{"mean_ratio": 0.01}]
    assert [line.values for line in store.reports(1)] == [{"accuracy": 0.97, "epoch": 3}]
    at = 1_760_000_000.0
    token = Token("ab" * 32, "laptop abababababab", 1001, 100, "ada", TokenRole.SUBMITTER, at, "ada")
    assert store.tokens() == [token]
    (job,) = store.submit([JobSpec(("x",), "/", 1, 1, "u", "x", "e")], 1.0, ADA)
    assert job.id == 4
    store.close()


@pytest.mark.parametrize("version", ["0.1.0"])
def test_the_history_of_a_released_version_goes_on(version: str, tmp_path: Path) -> None:
    path = tmp_path / "dcdaemon.db"
    shutil.copy(DATABASES / f"dcdaemon-{version}.db", path)
    now = 1_760_000_000.0
    store = open_store(f"sqlite:///{path}", "n1")
    store.record(
        [GpuSample(now + 7200, 0.0, 0, power_w=300.0, sm_active_ratio=0.5), SensorSample(now, "k10temp", "Tctl")]
    )
    store.flush_samples()
    assert store.roll_up(now + 3 * 3600) > 0
    assert [sample.sm_active_ratio for sample in store.gpu_samples(0, 0, 2e9)] == [None, 0.5]
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as raw:
        hours = raw.execute("SELECT power_w_avg, sm_active_ratio_avg FROM gpu_sample_1h ORDER BY ts").fetchall()
    assert hours == [(310.5, None), (300.0, 0.5)]

"""A restored PostgreSQL database: the backup's rows in tables of ours, the present ones aside, or nothing at all."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from dcdaemon.admin.db_backup import back_up
from dcdaemon.admin.db_place import ServerPlace, place_of
from dcdaemon.admin.db_restore import restore
from dcdaemon.admin.db_since import Restored
from dcdaemon.config.model import Config, Daemon, Storage
from dcdaemon.core.backup import BackupWish, Progress, untold
from dcdaemon.core.errors import Refused, StoreUnavailable
from dcdaemon.core.job import JobSpec, JobState
from dcdaemon.core.ports import Actor, GpuMark, JobQuery
from dcdaemon.store import postgresql
from dcdaemon.store.check import check_server
from dcdaemon.store.migrate import build_within
from dcdaemon.store.own_tables import OWN_TABLES
from dcdaemon.store.postgresql import PostgresqlDatabase
from dcdaemon.store.revision import HEAD
from dcdaemon.store.seal import make_key
from dcdaemon.store.sql_store import open_store
from tests.contract.cut_line import CutLine
from tests.contract.restoring import Row, ServerLife, ask, put_away, run, server_life
from tests.contract.test_store_check import live
from tests.migration.test_migrations import OLD_JOB

__all__ = ["server_life"]
ADA = Actor(uid=1001, gid=100, user="ada")
ROOT = Actor(0, 0, "root", operator=True, via="command")
REF = "ab" * 20
SPEC = JobSpec(("x\ty\\.\n", "é"), "/", 1, 1, "u", "x", REF)
DASHBOARDS = Path(__file__).parents[2] / "dashboards"


class Node:
    """A node whose database is on the server, and what its command line does."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url, self.state_dir, self.file = url, directory / "state", directory / "day.tar"
        (self.state_dir / "env").mkdir(parents=True)

    @property
    def place(self) -> ServerPlace:
        return ServerPlace(self.url, "the database", self.state_dir, "n1")

    def back_up(self, key: Path | None = None) -> None:
        store = open_store(self.url, "n1")
        store.backup(self.file, BackupWish(self.state_dir / "env", key))
        store.close()

    def restore(self, key: Path | None = None, progress: Progress = untold) -> Restored:
        return restore(self.place, self.file, key, ROOT, progress)

    def jobs(self) -> dict[int, tuple[str, bool]]:
        store = open_store(self.url, "n1")
        found = {job.id: (job.state.value, job.held) for job in store.jobs(JobQuery(oldest_first=True))}
        store.close()
        return found


@pytest.fixture
def node(server_life: ServerLife, tmp_path: Path) -> Node:
    """A node whose database has something in every corner."""
    made = Node(server_life.url, tmp_path)
    (made.state_dir / "env" / REF).write_text("SECRET=1")
    store = open_store(made.url, "n1")
    live(store)
    store.submit([SPEC] * 2, 1.0, ADA)
    store.mark(GpuMark(1, "fan"), 5.0, ADA)
    store.close()
    return made


def rows(url: str, schema: str) -> dict[str, list[Row]]:
    """Return all rows of all our tables in a schema."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {schema}.{name}")), key=repr)  # noqa: S608
            for name in OWN_TABLES
        }


def untouched(node: Node) -> bool:
    """Tell whether nothing was kept aside, and all holds in the database."""
    aside = ask(node.url, "SELECT 1 FROM pg_namespace WHERE nspname LIKE 'before_restore%%'")
    return not aside and check_server(node.url)[1].ok


def home(url: str) -> str:
    return str(ask(url, "SELECT current_schema()")[0][0])


def structure(url: str, schema: str) -> list[Row]:
    """Tell all that a schema has beside its columns: indexes and keys, triggers."""
    indexes = "SELECT tablename, indexname, replace(indexdef, %s || '.', '') FROM pg_indexes WHERE schemaname = %s"
    triggers = (
        "SELECT event_object_table, trigger_name, event_manipulation FROM information_schema.triggers "
        "WHERE trigger_schema = %s"
    )
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        found = connection.exec_driver_sql(indexes, (schema, schema)).all()
        return sorted(map(tuple, [*found, *connection.exec_driver_sql(triggers, (schema,)).all()]))


def test_all_is_there_again_to_the_last_index_and_the_database_of_before_is_aside(node: Node) -> None:
    before, made_of = rows(node.url, home(node.url)), structure(node.url, home(node.url))
    node.back_up()
    done = node.restore()
    assert structure(node.url, home(node.url)) == made_of
    assert done.kept_aside is not None
    assert (done.jobs, done.environments, done.warnings) == (6, 0, ())
    assert rows(node.url, done.kept_aside) == before
    after = rows(node.url, home(node.url))
    [noted] = [row for row in after["audit"] if row not in before["audit"]]
    assert "restore" in noted
    assert {name: found for name, found in after.items() if name != "audit"} == {
        name: found for name, found in before.items() if name != "audit"
    }
    assert check_server(node.url)[1].violations == ()
    assert (node.state_dir / "env" / REF).read_text() == "SECRET=1"
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        run(node.url, "DELETE FROM audit")


def test_an_encrypted_one_is_opened_by_its_key_and_environments_come_back(node: Node, tmp_path: Path) -> None:
    key, other = tmp_path / "key", tmp_path / "other"
    make_key(key)
    make_key(other)
    node.back_up(key)
    assert not {path.name for path in node.state_dir.iterdir()} - {"env"}, "no readable copy is left"
    assert b"PGDMP" not in node.file.read_bytes()
    for wrong in (None, other):
        with pytest.raises(Refused):
            node.restore(wrong)
    assert untouched(node)
    (node.state_dir / "env" / REF).unlink()
    assert node.restore(key).environments == 1
    assert (node.state_dir / "env" / REF).read_text() == "SECRET=1"
    assert (node.state_dir / "env" / REF).stat().st_mode & 0o777 == 0o600


def test_a_backup_of_an_older_schema_is_migrated_and_fills_an_empty_server(
    server_life: ServerLife, tmp_path: Path
) -> None:
    node = Node(server_life.url, tmp_path)
    drop(node.url)
    with sa.create_engine(node.url, poolclass=sa.NullPool).begin() as connection:
        build_within(connection, "0002")
        connection.execute(OLD_JOB)
    back_up_as_it_is(node)
    drop(node.url)
    done = node.restore()
    assert (done.schema, done.jobs, done.kept_aside) == ("0002", 1, None)
    assert ask(node.url, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    store = open_store(node.url, "n1")
    [job] = store.jobs(JobQuery())
    store.close()
    assert (job.spec.argv, job.spec.after, job.state) == (("train.py",), (7,), JobState.WAITING)


def drop(url: str) -> None:
    names = ", ".join([*OWN_TABLES, "alembic_version"])
    run(url, f"DROP TABLE IF EXISTS {names} CASCADE")


def test_a_backup_of_a_newer_schema_is_refused(node: Node) -> None:
    run(node.url, "UPDATE alembic_version SET version_num = '9999'")
    back_up_as_it_is(node)
    run(node.url, f"UPDATE alembic_version SET version_num = '{HEAD}'")  # noqa: S608  a word of ours
    with pytest.raises(Refused, match=f"it has schema 9999, this program knows {HEAD} and older"):
        node.restore()
    assert untouched(node)


def back_up_as_it_is(node: Node) -> None:
    """Back up without the store, which would migrate the database, or refuse it."""
    database = PostgresqlDatabase(node.url, 5.0)
    try:
        database.backup(node.file, BackupWish(node="n1"))
    finally:
        database.close()


def test_a_damaged_or_foreign_file_is_refused_and_nothing_has_changed(node: Node, tmp_path: Path) -> None:
    node.back_up()
    content = node.file.read_bytes()
    place = content.index(b"PGDMP") + 40_000
    for damaged in (content[:50_000], content[:place] + b"X" + content[place + 1 :], b"precious" * 1000, b""):
        node.file.write_bytes(damaged)
        with pytest.raises(Refused, match=re.escape(f"{node.file} is not restored: it is")):
            node.restore()
    assert untouched(node)
    assert list(tmp_path.glob("state/*")) == [node.state_dir / "env"]


def test_rows_that_do_not_fit_are_refused_and_nothing_has_changed(node: Node) -> None:
    run(node.url, "ALTER TABLE booking ADD COLUMN planted text DEFAULT 'x'")
    run(node.url, "INSERT INTO booking SELECT 1, 'n', '[]', 1, 2, '[]', '[]', '', '', 'ada', 1")
    node.back_up()
    run(node.url, "DELETE FROM booking", "ALTER TABLE booking DROP COLUMN planted")
    with pytest.raises(Refused, match="planted"):
        node.restore()
    assert untouched(node)


def test_a_daemon_of_any_node_that_is_connected_keeps_it_from_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.back_up()
    monkeypatch.setattr("dcdaemon.store.postgresql_restore._GOING_S", 0.1)
    daemon = sa.create_engine(node.url, poolclass=sa.NullPool, connect_args={"application_name": "dcdaemon"})
    with daemon.connect() as connection:
        [(pid,)] = connection.exec_driver_sql("SELECT pg_backend_pid()").all()
        with pytest.raises(Refused, match=rf"in use by daemons .*: process {pid} of the server") as caught:
            node.restore()
    assert "systemctl stop dcdaemon" in (caught.value.hint or "")
    assert untouched(node)
    node.restore()


def test_a_daemon_that_comes_in_between_undoes_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.back_up()
    engine = sa.create_engine(node.url, poolclass=sa.NullPool, connect_args={"application_name": "dcdaemon"})
    came: list[sa.Connection] = []

    def come(step: str, *_: int) -> None:
        if step == "restoring" and not came:
            came.append(engine.connect())

    try:
        with pytest.raises(Refused, match="in use by daemons"):
            node.restore(progress=come)
    finally:
        for connection in came:
            connection.close()
    assert untouched(node)


def test_whoever_reads_meanwhile_waits_and_sees_the_restored_one(node: Node) -> None:
    node.back_up()
    engine = sa.create_engine(node.url, poolclass=sa.NullPool)
    refused: list[str] = []

    def look(step: str, *_: int) -> None:
        if step == "restoring" and not refused:
            with engine.connect() as connection:
                connection.exec_driver_sql("SET lock_timeout = 20")
                with pytest.raises(sa.exc.DBAPIError) as caught:
                    connection.exec_driver_sql("SELECT count(*) FROM job")
                refused.append(str(caught.value.orig))

    node.restore(progress=look)
    assert "lock timeout" in refused[0]
    assert ask(node.url, "SELECT count(*) FROM job") == [(6,)]


# ---------------------------------------------------------------- it is killed, the server goes away


def test_a_killed_restore_leaves_the_database_as_it_was(node: Node) -> None:
    node.back_up()
    before = rows(node.url, home(node.url))
    program = (
        "import os\n"
        "from dcdaemon.cli.main import run\n"
        "from dcdaemon.cli.verbs import db\n"
        "def end(step, done, all_):\n"
        f"    if step == 'restoring' and done == all_: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "db.untold = end\n"
        f"run(['db', 'restore', '-y', {str(node.file)!r}])\n"
    )
    settings = {"DCD_STORAGE__URL": node.url, "DCD_DAEMON__STATE_DIR": str(node.state_dir), "DCD_NODE__NAME": "n1"}
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, **settings}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert rows(node.url, home(node.url)) == before
    assert untouched(node)
    assert node.restore().jobs == 6, "and what it left is in nobody's way"


def test_a_server_that_goes_away_leaves_the_database_as_it_was(node: Node) -> None:
    node.back_up()
    gone: list[int] = []

    def end(step: str, done: int, all_: int) -> None:
        if step == "restoring" and done == all_ // 2 and not gone:
            [(pid,)] = ask(node.url, "SELECT pid FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted LIMIT 1")
            gone.append(int(str(pid)))
            run(node.url, f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(StoreUnavailable):
        node.restore(progress=end)
    assert gone
    assert untouched(node)


@pytest.mark.parametrize("moment", ["before", "after", "after, and it stays away"])
def test_a_line_that_is_cut_at_the_commit_leaves_all_or_nothing_and_tells_which(
    node: Node, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_RESOLVE_S", 0.3)
    node.back_up()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        line = CutLine(node.url, Path(folder))
        place = replace(node.place, url=line.client_url)

        def cut_the_next(step: str, *_: int) -> None:
            if step == "restoring":
                line.cut, line.stays_away = moment.partition(",")[0], "away" in moment

        if moment == "after":
            assert restore(place, node.file, None, ROOT, cut_the_next).kept_aside
        else:
            words = "whether .* is unknown" if "away" in moment else "is not restored"
            with pytest.raises(StoreUnavailable, match=words):
                restore(place, node.file, None, ROOT, cut_the_next)
        assert line.cut is None, "the line was never cut"
        line.close()
    assert untouched(node) == (moment == "before")
    assert check_server(node.url)[1].ok


# ---------------------------------------------------------------- who may read, who may not restore


def test_grafanas_role_reads_as_before_and_sees_no_token(node: Node) -> None:
    (grants,) = re.findall(r"```sql\n(.*?)```", (DASHBOARDS / "README.md").read_text(), re.DOTALL)
    role = "dcd_test_reader"
    run(
        node.url,
        grants.replace("dcdaemon_grafana", role),
        f"GRANT SELECT (name) ON booking TO {role}; GRANT USAGE ON SCHEMA {home(node.url)} TO {role}",
    )
    try:
        node.back_up()
        done = node.restore()
        reading = sa.create_engine(node.url, poolclass=sa.NullPool)
        with reading.connect() as connection:
            connection.exec_driver_sql(f"SET ROLE {role}")
            assert connection.exec_driver_sql("SELECT count(*) FROM job").scalar() == 6
            connection.exec_driver_sql("SELECT count(*) FROM switch_sample_1h")
            connection.exec_driver_sql("SELECT name FROM booking")
        for forbidden in ("token", "audit", f"{done.kept_aside}.job"):
            with reading.connect() as connection:
                connection.exec_driver_sql(f"SET ROLE {role}")
                with pytest.raises(sa.exc.DBAPIError, match="permission denied"):
                    connection.exec_driver_sql(f"SELECT count(*) FROM {forbidden}")  # noqa: S608  words of ours
    finally:
        run(node.url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_view_that_goes_on_reading_the_old_tables_is_told(node: Node) -> None:
    run(node.url, "CREATE VIEW our_jobs AS SELECT id FROM job", "CREATE TABLE their_own (x int)")
    try:
        node.back_up()
        done = node.restore()
        [warning] = done.warnings
        assert "our_jobs goes on reading the database of before" in warning
        assert ask(node.url, f"SELECT count(*) FROM {home(node.url)}.their_own") == [(0,)], "not ours to move"  # noqa: S608
    finally:
        run(node.url, "DROP VIEW our_jobs", "DROP TABLE their_own")


@pytest.fixture
def plain_user(server_life: ServerLife) -> Iterator[Callable[[str], str]]:
    """A user with a schema of his own and no other right, and what an administrator does for him."""
    run(server_life.url, "CREATE ROLE dcd_plain LOGIN", "CREATE SCHEMA dcd_plain AUTHORIZATION dcd_plain")
    url = (
        sa.make_url(server_life.url).set(username="dcd_plain").update_query_dict({"options": "-csearch_path=dcd_plain"})
    )
    yield lambda statement: run(server_life.url, statement) or url.render_as_string(hide_password=False)  # type: ignore[func-returns-value]
    put_away(server_life.url)
    run(server_life.url, "DROP OWNED BY dcd_plain CASCADE", "DROP ROLE dcd_plain")


def test_no_more_is_needed_than_to_make_a_schema(plain_user: Callable[[str], str], tmp_path: Path) -> None:
    node = Node(plain_user("SELECT 1"), tmp_path)
    with sa.create_engine(node.url, poolclass=sa.NullPool).begin() as connection:
        build_within(connection, HEAD)
    store = open_store(node.url, "n1")
    store.submit([SPEC], 1.0, ADA)
    store.close()
    node.back_up()
    with pytest.raises(Refused, match="may not make the schema") as caught:
        node.restore()
    assert (caught.value.hint or "").startswith("GRANT CREATE ON DATABASE")
    assert node.jobs() == {1: ("waiting", False)}
    plain_user(str(caught.value.hint))
    assert node.restore().jobs == 1
    assert node.jobs() == {1: ("waiting", False)}


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_what_root_does_for_the_daemon_of_another_user_is_done_as_that_user(server_life: ServerLife) -> None:
    # Not below pytest's own folder, which nobody but root may pass.
    top = Path(tempfile.mkdtemp(prefix="dcd-owner-", dir="/tmp"))
    top.chmod(0o755)
    (top / "root").mkdir(mode=0o700)
    node = Node(server_life.url, top)
    node.file = top / "root" / "day.tar"
    store = open_store(node.url, "n1")
    store.submit([SPEC], 1.0, ADA)
    store.close()
    (node.state_dir / "env" / REF).write_text("SECRET=1")
    for path in (node.state_dir, *node.state_dir.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    config = replace(Config(), storage=Storage(url=node.url), daemon=Daemon(state_dir=str(node.state_dir)))
    config = replace(config, node=replace(config.node, name="n1"))
    try:
        made = back_up(config, node.file, BackupWish())
        assert (made.environments, node.file.stat().st_uid) == (1, 0)
        (node.state_dir / "env" / REF).unlink()
        done = restore(place_of(config), node.file, None, ROOT, untold)
        assert (done.jobs, done.environments) == (1, 1)
        assert (node.state_dir / "env" / REF).stat().st_uid == NOBODY
        (node.state_dir / "env").rename(node.state_dir / "env-of-before")
        (node.state_dir / "env").symlink_to(top / "root")
        with pytest.raises(StoreUnavailable, match="is not restored"):
            restore(place_of(config), node.file, None, ROOT, untold)
        assert [path.name for path in (top / "root").iterdir()] == ["day.tar"], "links lead root nowhere"
        assert os.geteuid() == 0
    finally:
        shutil.rmtree(top)


# ---------------------------------------------------------------- where the present one cannot be read


def test_what_others_nodes_have_waiting_is_held_where_nothing_tells_what_went_on(node: Node) -> None:
    other = open_store(node.url, "n2")
    [theirs] = other.submit([SPEC], 1.0, ADA)
    other.close()
    node.back_up()
    run(node.url, "UPDATE alembic_version SET version_num = '9999'", "CREATE TABLE of_a_newer_version (x int)")
    done = node.restore()
    assert done.carried.newer == ()
    assert ask(node.url, "SELECT to_regclass('of_a_newer_version')") == [(None,)], "or the next migration met it"
    [warning] = [text for text in done.warnings if "held" in text]
    assert str(theirs.id) in warning
    assert node.jobs()[theirs.id] == ("waiting", True)
    assert node.jobs()[5] == ("waiting", False), "what began here is told by its directory"

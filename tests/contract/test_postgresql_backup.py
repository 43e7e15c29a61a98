"""A backup of a PostgreSQL database: all of it, of one moment, in a file that tells when it is not whole."""

import io
import os
import re
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from dcdaemon.config.model import Storage
from dcdaemon.core.backup import BackupWish, untold
from dcdaemon.core.errors import BadConfig, NotFound, Refused, StoreUnavailable
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor
from dcdaemon.daemon.backups import DailyBackup
from dcdaemon.store import postgresql_backup, postgresql_tools
from dcdaemon.store.check import Verdict
from dcdaemon.store.postgresql_check import check_postgresql_file
from dcdaemon.store.postgresql_file import unpack
from dcdaemon.store.postgresql_tools import find_tool, said_by, target_of
from dcdaemon.store.seal import make_key
from dcdaemon.store.sql_store import SqlStore, open_store
from tests.contract.restoring import ServerLife, ask, run, server_life
from tests.contract.test_store_check import live

__all__ = ["server_life"]
ADA = Actor(uid=1001, gid=100, user="ada")
REF, OTHER_REF = "ab" * 20, "cd" * 20


def spec(ref: str = REF) -> JobSpec:
    return JobSpec(("x",), "/", 1, 1, "u", "x", ref)


@pytest.fixture
def store(server_life: ServerLife):
    opened = open_store(server_life.url, "n1")
    yield opened
    opened.close()


@pytest.fixture
def envs(tmp_path: Path) -> Path:
    directory = tmp_path / "state" / "env"
    directory.mkdir(parents=True)
    (directory / REF).write_text("SECRET=1")
    return directory


def check(path: Path, tmp_path: Path) -> Verdict:
    private = tmp_path / f"private-{len(list(tmp_path.iterdir()))}"
    private.mkdir()
    return check_postgresql_file(path, private, untold)


def rules(verdict: Verdict) -> set[str]:
    return {violation.rule for violation in verdict.violations}


def test_it_is_a_tar_for_its_owner_which_the_servers_own_tools_can_read(
    store: SqlStore, envs: Path, tmp_path: Path
) -> None:
    store.submit([spec()] * 3, 1.0, ADA)
    target = tmp_path / "day.tar"
    told: list[tuple[str, int, int]] = []
    made = store.backup(target, BackupWish(envs, progress=lambda *step: told.append(step)))
    assert (made.jobs, made.environments, made.missing, made.encrypted) == (3, 1, (), False)
    assert (target.stat().st_mode & 0o777, target.stat().st_size) == (0o600, made.size_bytes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day.tar", "state"], "nothing else is left"
    with tarfile.open(target) as tar:
        assert [name.removeprefix("dcdaemon-backup/") for name in tar.getnames()] == [
            "README", "database.dump", f"env/{REF}", "manifest.json",
        ]  # fmt: skip
        tar.extract("dcdaemon-backup/database.dump", tmp_path, filter="data")
    dump = tmp_path / "dcdaemon-backup" / "database.dump"
    listed = subprocess.run([find_tool("pg_restore", 1, "it").path, "--list", dump], capture_output=True, check=True)
    assert b"TABLE DATA public job " in listed.stdout or b" job " in listed.stdout
    assert b"FUNCTION" in listed.stdout, "the triggers' function is in it, too"
    copying = [done for step, done, _ in told if step == "copying"]
    assert copying == sorted(copying)
    assert len(copying) > 10


def test_a_backup_while_many_write_is_of_one_moment(store: SqlStore, tmp_path: Path) -> None:
    stop = threading.Event()

    def keep_submitting() -> None:
        while not stop.is_set():
            store.submit([spec(), spec()], 1.0, ADA)

    writers = [threading.Thread(target=keep_submitting) for _ in range(3)]
    for writer in writers:
        writer.start()
    made = store.backup(tmp_path / "day.tar")
    stop.set()
    for writer in writers:
        writer.join()
    assert made.jobs % 2 == 0
    verdict = check(tmp_path / "day.tar", tmp_path)
    assert (verdict.violations, verdict.complete) == ((), True)


def test_environments_are_those_of_the_nodes_own_jobs_and_what_is_missing_is_named(
    store: SqlStore, server_life: ServerLife, envs: Path, tmp_path: Path
) -> None:
    store.submit([spec(), spec(OTHER_REF)], 1.0, ADA)
    other = open_store(server_life.url, "n2")
    other.submit([spec("ef" * 20)], 1.0, ADA)
    other.close()
    made = store.backup(tmp_path / "day.tar", BackupWish(envs))
    assert (made.jobs, made.environments, made.missing) == (3, 1, (OTHER_REF,)), "what n2 needs is on n2"
    [violation] = check(tmp_path / "day.tar", tmp_path).violations
    assert (violation.rule, OTHER_REF in violation.message) == ("environments", True)


def test_tables_of_other_programs_are_not_in_it(store: SqlStore, server_life: ServerLife, tmp_path: Path) -> None:
    run(server_life.url, 'CREATE TABLE "Their.own" (secret text)', "INSERT INTO \"Their.own\" VALUES ('hush-hush')")
    try:
        store.backup(tmp_path / "day.tar")
    finally:
        run(server_life.url, 'DROP TABLE "Their.own"')
    assert b"Their.own" not in (tmp_path / "day.tar").read_bytes()


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE meter SET measured_mj = measured_mj + 1", "ledger"),
        ("UPDATE host_sample_1m SET ts = ts + 1", "samples"),
        ("ALTER SEQUENCE job_id_seq RESTART WITH 2", "ids"),
    ],
)
def test_what_does_not_hold_in_the_database_is_found_in_its_backup(
    store: SqlStore, server_life: ServerLife, tmp_path: Path, statement: str, rule: str
) -> None:
    live(store)
    run(server_life.url, statement)
    store.backup(tmp_path / "day.tar")
    assert rules(check(tmp_path / "day.tar", tmp_path)) == {rule}


def test_values_come_through_as_they_are(store: SqlStore, tmp_path: Path) -> None:
    odd = "tab\tline\nback\\slash \\. \\N é 🦆 \r '\""
    store.submit([JobSpec(("x", odd), "/" + odd, 1, 1, "u", odd, REF, log_path="\\N")], 1.0, ADA)
    store.backup(tmp_path / "day.tar")
    private = tmp_path / "private"
    private.mkdir()
    assert check_postgresql_file(tmp_path / "day.tar", private, untold).ok
    with sa.create_engine(f"sqlite:///{private}/rows.db", poolclass=sa.NullPool).connect() as connection:
        row = connection.execute(sa.text("SELECT argv, cwd, name, log_path, limit_s, held FROM job")).one()
    assert (row.cwd, row.name, row.log_path, row.limit_s, row.held) == ("/" + odd, odd, "\\N", None, 0)


@pytest.fixture(scope="module")
def whole(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup with one job and its environment."""
    directory = tmp_path_factory.mktemp("whole")
    (directory / REF).write_text("SECRET=1")
    store = open_store(postgres_url, "n1")
    store.submit([spec()], 1.0, ADA)
    store.backup(directory / "day.tar", BackupWish(directory))
    store.close()
    return (directory / "day.tar").read_bytes()


@pytest.mark.parametrize("length", [400, 3000, 60_000, -1100, -9000])
def test_a_file_that_is_cut_short_is_told(whole: bytes, tmp_path: Path, length: int) -> None:
    (tmp_path / "day.tar").write_bytes(whole.rstrip(b"\0")[:length])
    assert rules(check(tmp_path / "day.tar", tmp_path)) == {"integrity"}


def test_a_file_that_was_changed_is_told(whole: bytes, tmp_path: Path) -> None:
    changed = tmp_path / "changed.tar"
    for place in (whole.index(b"PGDMP") + 40_000, whole.index(b"SECRET=1")):
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        [violation] = check(changed, tmp_path).violations
        assert violation.rule == "integrity"
        assert "is not what was put in" in violation.message


@pytest.mark.parametrize("name", ["dcdaemon-backup/../../escaped", "/escaped", "dcdaemon-backup/env/x", "extra"])
def test_names_in_a_backup_lead_nowhere_else(whole: bytes, tmp_path: Path, name: str) -> None:
    target = tmp_path / "day.tar"
    target.write_bytes(whole)
    with tarfile.open(target, "a") as tar:
        info = tarfile.TarInfo(name)
        info.size = 7
        tar.addfile(info, io.BytesIO(b"planted"))
    with target.open("rb") as file, pytest.raises(Refused, match="does not belong there"):
        unpack(file, tmp_path / "dump")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day.tar", "dump"]
    assert not Path("/escaped").exists()


def test_an_interrupted_backup_leaves_nothing_and_no_program_behind(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def leave(step: str, done: int, all_: int) -> None:
        if 0 < done < all_ and step == "copying":
            raise SystemExit(143)

    kept = postgresql_tools.subprocess.Popen

    def noted(*arguments: object, **options: object) -> object:
        child = kept(*arguments, **options)
        started.append(child.pid)
        return child

    monkeypatch.setattr(postgresql_tools.subprocess, "Popen", noted)
    live(store)
    with pytest.raises(SystemExit):
        store.backup(tmp_path / "day.tar", BackupWish(progress=leave))
    assert list(tmp_path.iterdir()) == []
    assert started
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


def test_a_table_that_cannot_be_read_is_one_error_with_what_the_tool_said(
    store: SqlStore, server_life: ServerLife, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_backup, "_LOCKED_MS", 50)
    with sa.create_engine(server_life.url, poolclass=sa.NullPool).begin() as other:
        other.exec_driver_sql("LOCK TABLE usage IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="another program holds its lock") as caught:
            store.backup(tmp_path / "day.tar")
    assert "\n" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_nothing_of_ours_there_is_nothing_to_back_up(server_life: ServerLife, tmp_path: Path) -> None:
    run(server_life.url, "CREATE SCHEMA dcd_nothing")
    try:
        nothing = sa.make_url(server_life.url).update_query_dict({"options": "-csearch_path=dcd_nothing"})
        database = postgresql_backup.back_up
        url = nothing.render_as_string(hide_password=False)
        with pytest.raises(NotFound, match="nothing of this program"):
            database(sa.create_engine(url, poolclass=sa.NullPool), url, tmp_path / "day.tar", BackupWish())
    finally:
        run(server_life.url, "DROP SCHEMA dcd_nothing")


def test_the_daemon_makes_one_each_day(store: SqlStore, server_life: ServerLife, envs: Path, tmp_path: Path) -> None:
    store.submit([spec()], 1.0, ADA)
    key, place = tmp_path / "key", tmp_path / "backup"
    make_key(key)
    place.mkdir()
    for suffix, key_file in ((".tar", ""), (".tar.age", str(key))):
        storage = Storage(url=server_life.url, backup_dir=str(place), backup_key_file=key_file, backup_keep=1)
        made = DailyBackup(store, storage, "n1", envs, [].append).make(1_760_000_000.0)
        assert made.name.startswith("dcdaemon-n1-2025-10-0")
        assert made.name.endswith(suffix)
        assert [path.name for path in place.iterdir()] == [made.name], "the one of before is the oldest"
    assert sorted(path.name for path in envs.parent.iterdir()) == ["env"]


# ---------------------------------------------------------------- how the tools are told of the database


def test_all_options_of_the_url_are_handed_over_and_the_password_is_not_for_all_to_see() -> None:
    url = (
        "postgresql+psycopg://ada:s%20e%27cret@/jobs?host=/run/pg&port=5433&sslmode=verify-full"
        "&sslrootcert=/etc/ca.pem&options=-csearch_path%3Dours&service=main"
    )
    words, environment = target_of(url)
    for option in ("host=/run/pg", "port=5433", "sslmode=verify-full", "sslrootcert=/etc/ca.pem", "service=main"):
        assert option in words
    for option in ("user=ada", "dbname=jobs", "options=-csearch_path=ours", "connect_timeout="):
        assert option in words
    assert "cret" not in words
    assert environment["PGPASSWORD"] == "s e'cret"
    words, environment = target_of("postgresql://ada@one/jobs?host=a:1&host=b:2&password=hidden")
    assert "host=a,b" in words
    assert "port=1,2" in words
    assert "hidden" not in words
    assert environment["PGPASSWORD"] == "hidden"


@pytest.mark.parametrize("query", ["sslpassword=hidden", "no_such_option=hidden"])
def test_what_cannot_be_handed_over_unseen_is_refused_and_not_shown(query: str) -> None:
    with pytest.raises(BadConfig) as caught:
        target_of(f"postgresql://ada@db/jobs?{query}")
    assert "hidden" not in f"{caught.value.message} {caught.value.hint}"


def test_what_a_tool_says_is_told_without_secrets() -> None:
    said = said_by(
        ["pg_dump: reading", "pg_dump: error: connection to x failed: password=hush for hushhush7"], "hushhush7"
    )
    assert said == "pg_dump: error: connection to x failed: password=*** for ***"


def tool(directory: Path, version: str) -> None:
    directory.mkdir(parents=True)
    path = directory / "pg_dump"
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    path.chmod(0o755)


def test_the_newest_tool_is_taken_and_one_that_is_too_old_or_missing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path).lstrip("/")
    monkeypatch.setattr(postgresql_tools, "_PLACES", (f"{place}/*/bin",))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(Refused, match="pg_dump is not installed, and the server is PostgreSQL 16") as caught:
        find_tool("pg_dump", 16, "the server")
    assert "postgresql-client-16" in (caught.value.hint or "")
    tool(tmp_path / "9" / "bin", "9.6.24")
    tool(tmp_path / "path", "15.18 (Debian 15.18-0+deb12u1)")
    with pytest.raises(Refused, match=re.escape("of version 15.18, too old: the server is PostgreSQL 16")):
        find_tool("pg_dump", 16, "the server")
    tool(tmp_path / "17" / "bin", "17beta1")
    assert find_tool("pg_dump", 16, "the server").path == tmp_path / "17" / "bin" / "pg_dump"


def test_a_missing_tool_leaves_nothing_behind(store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_tools, "_PLACES", ())
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(Refused, match="pg_dump is not installed"):
        store.backup(tmp_path / "day.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_password_is_told_and_not_shown(server_life: ServerLife, tmp_path: Path) -> None:
    [(hba,)] = ask(server_life.url, "SHOW hba_file")
    rules_of_access = Path(str(hba))
    if not os.access(rules_of_access, os.W_OK):
        pytest.skip("the server's rules of access are not ours to change")
    before = rules_of_access.read_text()
    run(server_life.url, "CREATE ROLE dcd_secret LOGIN SUPERUSER PASSWORD 'right-one'")
    try:
        rules_of_access.write_text("local all dcd_secret scram-sha-256\n" + before)
        run(server_life.url, "SELECT pg_reload_conf()")
        url = sa.make_url(server_life.url).set(username="dcd_secret", password="right-one")  # noqa: S106  made up
        right = open_store(url.render_as_string(hide_password=False), "n1")
        assert right.backup(tmp_path / "right.tar").jobs == 0
        right.close()
        wrong = url.set(password="wrong-one").render_as_string(hide_password=False)  # noqa: S106  made up
        with pytest.raises(StoreUnavailable) as caught:
            postgresql_backup.back_up(
                sa.create_engine(wrong, poolclass=sa.NullPool), wrong, tmp_path / "wrong.tar", BackupWish()
            )
    finally:
        rules_of_access.write_text(before)
        run(server_life.url, "SELECT pg_reload_conf()", "DROP ROLE dcd_secret")
    assert "refuses the login" in caught.value.message
    assert "wrong-one" not in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "wrong.tar").exists()

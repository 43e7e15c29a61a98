"""A backup of a SQLite database: complete or not there, readable to its owner alone, encrypted where a key is named."""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from dcdaemon.core.backup import BackupWish
from dcdaemon.core.errors import DcdError, Refused, StoreUnavailable
from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor
from dcdaemon.store import backup, seal
from dcdaemon.store.check import check_file
from dcdaemon.store.kept_envs import take_out
from dcdaemon.store.sql_store import SqlStore, open_store

ADA = Actor(uid=1001, gid=100, user="ada")
REF = "ab" * 20
SPEC = JobSpec(("x",), "/", 1, 1, "u", "x", REF)


@pytest.fixture
def lived(sqlite_url: str):
    store = open_store(sqlite_url, "n1")
    store.submit([SPEC] * 2000, 1.0, ADA)
    yield store
    store.close()


@pytest.fixture
def envs(tmp_path: Path) -> Path:
    directory = tmp_path / "env"
    directory.mkdir()
    (directory / REF).write_text("SECRET=1")
    (directory / ("cd" * 20)).write_text("of no job")
    return directory


def test_writers_go_on_during_a_copy_and_do_not_make_it_begin_anew(
    lived: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES_AT_ONCE", 5)
    done: list[int] = []

    def write(step: str, pages: int, _: int) -> None:
        if step == "copying":
            done.append(pages)
            lived.submit([SPEC], 2.0, ADA)

    made = lived.backup(tmp_path / "copy.db", BackupWish(progress=write))
    assert len(done) > 20
    assert done == sorted(done), "the copy went on where it was"
    assert made.jobs == 2000, "it is the picture of when it began"
    assert check_file(tmp_path / "copy.db").ok


def test_it_holds_the_environments_of_its_jobs_and_gives_them_back_once(
    lived: SqlStore, envs: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    made = lived.backup(target, BackupWish(envs))
    assert (made.environments, made.missing) == (1, ())
    (envs / REF).unlink()
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as raw:
        assert take_out(raw, envs) == 1
        assert take_out(raw, envs) == 0
    assert (envs / REF).read_text() == "SECRET=1"
    assert (envs / REF).stat().st_mode & 0o777 == 0o600
    assert b"SECRET=1" not in target.read_bytes(), "no secret stays in free pages"


def test_an_environment_that_is_gone_is_named(lived: SqlStore, tmp_path: Path) -> None:
    made = lived.backup(tmp_path / "copy.db", BackupWish(tmp_path))
    assert made.missing == (REF,)
    assert [violation.rule for violation in check_file(tmp_path / "copy.db").violations] == ["environments"]


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", ".hidden", "x" * 40])
def test_names_in_a_backup_lead_nowhere_else(lived: SqlStore, tmp_path: Path, name: str) -> None:
    target, directory = tmp_path / "copy.db", tmp_path / "a" / "env"
    lived.backup(target, BackupWish(tmp_path))
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as raw:
        raw.execute("INSERT INTO backup_environment VALUES (?, ?)", (name, b"planted"))
        assert take_out(raw, directory) == 0
    assert list(directory.iterdir()) == []


def test_two_backups_to_one_name_do_not_mix(lived: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_PAGES_AT_ONCE", 5)
    target = tmp_path / "copy.db"
    refused: list[BaseException] = []

    def another(*_: object) -> None:
        if not refused:
            with pytest.raises(Refused, match="another program is writing") as caught:
                lived.backup(target)
            refused.append(caught.value)

    lived.backup(target, BackupWish(progress=another))
    assert len(refused) == 1
    assert check_file(target).ok


@pytest.mark.parametrize("trap", ["link", "hard link", "directory"])
def test_nothing_is_written_into_what_somebody_else_has_put_there(lived: SqlStore, tmp_path: Path, trap: str) -> None:
    part, other = tmp_path / "copy.db.part", tmp_path / "other"
    other.write_text("theirs")
    if trap == "link":
        part.symlink_to(other)
    elif trap == "hard link":
        os.link(other, part)
    else:
        part.mkdir()
    with pytest.raises(DcdError):
        lived.backup(tmp_path / "copy.db")
    assert other.read_text() == "theirs"
    assert not (tmp_path / "copy.db").exists()


def test_a_damaged_database_is_told_and_replaces_no_good_backup(lived: SqlStore, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    lived.backup(target)
    good = target.read_bytes()
    path = Path(lived.facts().url)
    lived.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 40960] = b"\xff" * 40960
    path.write_bytes(content)
    store = open_store(f"sqlite:///{path}", "n1")
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.backup(target, BackupWish(force=True))
    store.close()
    assert target.read_bytes() == good
    assert list(tmp_path.glob("*.part*")) == []


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("", 0o600, "no age key"), ("AGE-SECRET-KEY-1XX", 0o600, "no age key"), (None, 0o644, "may be read by others")],
)
def test_a_key_that_is_none_or_open_to_others_is_told_before_anything_is_written(
    lived: SqlStore, tmp_path: Path, text: str | None, mode: int, words: str
) -> None:
    key = tmp_path / "key"
    if text is None:
        seal.make_key(key)
    else:
        key.write_text(text)
    key.chmod(mode)
    with pytest.raises(DcdError, match=words):
        lived.backup(tmp_path / "copy.age", BackupWish(key_file=key))
    with pytest.raises(DcdError, match="cannot be read"):
        lived.backup(tmp_path / "copy.age", BackupWish(key_file=tmp_path / "none"))
    assert list(tmp_path.glob("copy*")) == []


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    public = seal.make_key(tmp_path / "key")
    text = (tmp_path / "key").read_text()
    assert public in text
    with pytest.raises(Refused):
        seal.make_key(tmp_path / "key")
    assert (tmp_path / "key").read_text() == text


def test_a_backup_while_many_write_is_whole(lived: SqlStore, tmp_path: Path) -> None:
    stop = threading.Event()

    def keep_submitting() -> None:
        while not stop.is_set():
            lived.submit([SPEC, SPEC], 1.0, ADA)

    writers = [threading.Thread(target=keep_submitting) for _ in range(3)]
    for writer in writers:
        writer.start()
    made = [lived.backup(tmp_path / f"copy-{number}.db") for number in range(3)]
    stop.set()
    for writer in writers:
        writer.join()
    assert [one.jobs % 2 for one in made] == [0, 0, 0]
    assert all(check_file(tmp_path / f"copy-{number}.db").ok for number in range(3))

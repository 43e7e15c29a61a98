"""Root at the database of another user's daemon: that user gets what is his, and nothing that a link leads to."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcdaemon.admin.db_backup import back_up, make_key
from dcdaemon.admin.db_check import check_present
from dcdaemon.admin.db_migrate import migrate
from dcdaemon.admin.db_restore import place_of, restore
from dcdaemon.admin.owner import owner_of
from dcdaemon.cli.main import run
from dcdaemon.config.load import load
from dcdaemon.config.model import Config
from dcdaemon.core.backup import BackupWish, untold
from dcdaemon.core.errors import DcdError, StoreUnavailable
from dcdaemon.core.ports import Actor
from dcdaemon.store.kept_envs import TABLE
from dcdaemon.store.sql_store import open_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
NOBODY = 65534
ROOT = Actor(0, 0, "root", operator=True, via="command")
REF = "ab" * 20


@dataclass
class Node:
    """A user's state directory with a database, beside what is root's alone."""

    home: Path
    secret: Path

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def config(self) -> Config:
        file = self.secret / "config.toml"
        file.write_text(f'[daemon]\nstate_dir = "{self.state}"\n[node]\nname = "n"\n')
        return load([file]).config

    def put_back(self, backup: Path) -> None:
        restore(place_of(self.config), backup, None, ROOT, untold)

    def owners(self) -> set[int]:
        return {path.lstat().st_uid for path in self.state.rglob("*")}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.db"
    open_store(f"sqlite:///{path}", "n").close()
    return path


@pytest.fixture
def node(empty: Path) -> Iterator[Node]:
    # Not below pytest's own folder, which nobody but root may pass.
    top = Path(tempfile.mkdtemp(prefix="dcd-owner-", dir="/tmp"))
    top.chmod(0o755)
    made = Node(top / "home", top / "root")
    made.secret.mkdir(mode=0o700)
    (made.secret / "precious").mkdir(mode=0o700)
    made.home.mkdir()
    made.state.mkdir()
    shutil.copyfile(empty, made.state / "dcdaemon.db")
    for path in (made.home, *made.home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    yield made
    shutil.rmtree(top)


@pytest.fixture
def backup(node: Node) -> Path:
    """A backup of root's, with one environment in it."""
    target = node.secret / "copy.db"
    back_up(node.config, target, BackupWish())
    with contextlib.closing(sqlite3.connect(target)) as raw, raw:
        raw.execute(f"INSERT INTO {TABLE} VALUES (?, ?)", (REF, b"KEY=hush"))  # noqa: S608  a name of ours
    return target


def untouched(directory: Path) -> bool:
    status = directory.stat()
    return (status.st_uid, status.st_mode & 0o777, list(directory.iterdir())) == (0, 0o700, [])


def test_a_restore_gives_the_user_what_is_his(node, backup):
    node.put_back(backup)
    assert node.owners() == {NOBODY}
    assert (node.state / "env" / REF).read_bytes() == b"KEY=hush"
    assert (os.geteuid(), os.getegid()) == (0, 0), "and root is root again"


def test_the_command_leaves_its_lock_to_the_user_and_not_to_what_a_link_leads_to(node, backup):
    config = str(node.secret / "config.toml")
    assert run(["db", "restore", "-y", "--config", config, str(backup)]) == 0
    assert (node.state / "lock").stat().st_uid == NOBODY
    (node.state / "lock").unlink()
    (node.state / "lock").symlink_to(node.secret / "precious" / "lock")
    assert run(["db", "restore", "-y", "--config", config, str(backup)]) == 2
    assert untouched(node.secret / "precious")


def test_a_directory_of_roots_behind_a_link_is_neither_given_away_nor_written_to(node, backup):
    (node.state / "env").symlink_to(node.secret / "precious")
    with pytest.raises(DcdError, match="is not restored"):
        node.put_back(backup)
    assert untouched(node.secret / "precious")
    assert os.geteuid() == 0


def test_a_state_directory_that_leads_to_roots_own_is_not_written_to(node, backup):
    shutil.rmtree(node.state)
    node.state.symlink_to(node.secret / "precious")
    os.chown(node.state, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(DcdError, match="is not restored"):
        node.put_back(backup)
    assert untouched(node.secret / "precious")


def test_a_database_that_is_a_link_to_roots_own_is_not_backed_up(node, backup):
    (node.state / "dcdaemon.db").unlink()
    (node.state / "dcdaemon.db").symlink_to(backup)
    with pytest.raises(DcdError, match="is not yours to read"):
        back_up(node.config, node.secret / "second.db", BackupWish())
    with pytest.raises(DcdError, match="is not yours to read"):
        migrate(node.config, untold)
    with pytest.raises(DcdError, match="is not yours to read"):
        check_present(node.config)
    assert [path.name for path in node.secret.glob("second*")] == []


@pytest.mark.parametrize("sealed", [False, True])
def test_a_backup_for_root_is_roots_and_complete(node, sealed):
    key, target = node.secret / "key", node.secret / "day.db"
    make_key(key)
    made = back_up(node.config, target, BackupWish(key_file=key if sealed else None))
    assert (made.encrypted, made.size_bytes) == (sealed, target.stat().st_size)
    assert (target.stat().st_uid, target.stat().st_mode & 0o777) == (0, 0o600)
    restore(place_of(node.config), target, key, ROOT, untold)
    assert node.owners() == {NOBODY}
    assert check_present(node.config)[1].ok


def test_a_migration_leaves_all_its_files_to_the_user(node):
    fixture = Path(__file__).parents[2] / "fixtures" / "databases" / "dcdaemon-0003.db"
    shutil.copyfile(fixture, node.state / "dcdaemon.db")
    os.chown(node.state / "dcdaemon.db", NOBODY, NOBODY)
    try:
        migrate(node.config, untold)
    except StoreUnavailable as error:  # where the interpreter of these tests is root's alone
        assert "where its user can run it" in (error.hint or "")  # noqa: PT017  one of two right ends
    [copy] = node.state.glob("dcdaemon.db.schema-0003-*")
    assert copy.is_file()
    assert node.owners() == {NOBODY}


def test_the_owner_is_whoever_can_change_where_a_path_leads(node):
    link = node.secret / "link"
    link.symlink_to(node.state)
    (node.state / "to-root").symlink_to(node.secret)
    assert owner_of(node.secret / "config.toml") is None
    for path in (node.state, node.state / "not" / "there", link / "db", node.state / "to-root" / "precious"):
        found = owner_of(path)
        assert found is not None, path
        assert found.uid == NOBODY
    (node.secret / "circle").symlink_to(node.secret / "circle")
    with pytest.raises(DcdError, match="too many links"):
        owner_of(node.secret / "circle")

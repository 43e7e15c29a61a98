"""Backups of a database in use, and what a restored picture of the past makes of jobs that went on."""

import contextlib
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.daemon_process import Site, until
from system.server_site import database, server_for_sites

from dcdaemon.cli.main import run

__all__ = ["database", "server_for_sites"]
ROOT = os.geteuid() == 0


def db(site: Site, *arguments: object, code: int = 0) -> str:
    """Run `dcd db` with the site's settings and return what it said; its exit code is as expected."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), settings_of(site):
        ended = run(["db", *map(str, arguments)])
    assert ended == code, (ended, out.getvalue(), err.getvalue())
    return out.getvalue() if code in (0, 1) and out.getvalue() else err.getvalue()


@contextlib.contextmanager
def settings_of(site: Site) -> Iterator[None]:
    """Have this process see what the site's daemon sees."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DCD_")]:
            patch.delenv(name)
        for name, value in site.env.items():
            patch.setenv(name, value)
        yield


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
        return raw.execute(query).fetchall()


def checked(site: Site) -> None:
    assert db(site, "check").startswith("ok "), "the database is consistent"


# ---------------------------------------------------------------- backup


def test_a_backup_of_a_running_daemon_is_one_file_for_its_owner(database):
    site = database.site
    site.submit(held=True)
    site.await_state(site.submit(), "succeeded")
    target = site.path / database.backup
    said = db(site, "backup", target)
    assert "2 jobs, 1 environment, not encrypted" in said
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in site.path.glob("copy*")] == [database.backup]
    assert "exists already" in db(site, "backup", target, code=5)
    db(site, "backup", "--force", target)
    assert db(site, "check", target).startswith("ok ")
    checked(site)


def test_a_backup_has_all_its_jobs_need(site):
    held = site.submit(held=True)
    site.await_state(site.submit(), "succeeded")
    target = site.path / "copy.db"
    db(site, "backup", target)
    assert rows(target, "SELECT count(*) FROM job") == [(2,)]
    assert rows(target, "SELECT ref FROM backup_environment") == rows(
        target,
        f"SELECT env_ref FROM job WHERE id = {held}",  # noqa: S608  an id
    )
    assert db(site, "check", target).startswith("ok ")
    checked(site)


def test_a_backup_replaces_nothing_unless_it_is_told_to(site):
    target = site.path / "copy.db"
    target.write_text("precious")
    assert "exists already" in db(site, "backup", target, code=5)
    assert target.read_text() == "precious"
    db(site, "backup", "--force", target)
    assert db(site, "check", target).startswith("ok ")
    assert "is the database itself" in db(site, "backup", "--force", site.state_dir / "dcdaemon.db", code=5)
    assert "is no file" in db(site, "backup", "--force", site.path, code=5)


def test_a_backup_is_refused_where_there_is_no_database(new_site):
    site = new_site(DCD_STORAGE__URL="sqlite:////nowhere/at/all.db")
    assert "there is no database /nowhere/at/all.db" in db(site, "backup", site.path / "copy.db", code=4)
    assert not Path("/nowhere").exists()


def test_an_interrupted_backup_leaves_nothing_half(site):
    site.submit_many([site.wish(held=True)] * 100)
    target = site.path / "copy.db"
    # It stops where it would copy the second page: a pipe in the place of the progress is not read.
    program = (
        "import os, signal, sys\n"
        "from dcdaemon.store import backup\n"
        "backup._PAGES_AT_ONCE = 1\n"
        "from dcdaemon.cli.main import run\n"
        "from dcdaemon.cli.verbs import db\n"
        "told = db.untold\n"
        f"db.untold = lambda *_: os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
        f"sys.exit(run(['db', 'backup', {str(target)!r}]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=site.env, check=False, capture_output=True, text=True)
    assert ended.returncode != 0, ended
    assert list(site.path.glob("copy.db*")) == []
    assert list(site.state_dir.glob("*.copying")) == []


def test_what_a_killed_backup_left_is_in_nobodys_way(site):
    target = site.path / "copy.db"
    (site.path / "copy.db.part").write_text("half of it")
    (site.path / "copy.db.part").chmod(0o600)
    db(site, "backup", target)
    assert [path.name for path in site.path.glob("copy.db*")] == ["copy.db"]


@pytest.mark.skipif(not ROOT, reason="mounting needs root")
@pytest.mark.parametrize("sealed", [False, True])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(database, sealed):
    site = database.site
    small = site.path / "small"
    small.mkdir()
    key = site.path / "key"
    db(site, "key", key)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
    try:
        said = db(site, "backup", *(("--key-file", key) if sealed else ()), small / database.backup, code=1)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert said.startswith("error: no backup in ")
    assert len(said.splitlines()) == 2


@pytest.mark.skipif(not ROOT, reason="becoming another user needs root")
def test_another_user_gets_no_backup_and_reads_none(site):
    target = site.path / "copy.db"
    db(site, "backup", target)
    never = str(site.path / "never.db")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    program = [sys.executable, "-m", "dcdaemon", "db"]
    for arguments, word in (
        (["backup", never], "is not yours to read"),
        (["check", str(target)], "is not yours to read"),
        (["check"], "is not yours to read"),
        (["restore", "-y", str(target)], "error: "),
    ):
        ended = subprocess.run(
            [*become, *program, *arguments], env=site.env, check=False, capture_output=True, text=True, cwd="/"
        )
        assert (ended.returncode != 0, word in ended.stderr) == (True, True), ended
    assert not Path(never).exists()


# ---------------------------------------------------------------- encrypted


def test_an_encrypted_backup_is_opened_by_its_key_alone(site):
    key, other, target = site.path / "key", site.path / "other", site.path / "copy.age"
    assert "public key: age1" in db(site, "key", key)
    db(site, "key", other)
    assert key.stat().st_mode & 0o777 == 0o600
    assert "is already there" in db(site, "key", key, code=5)
    site.submit(held=True)
    assert ", encrypted" in db(site, "backup", "--key-file", key, target)
    assert target.read_bytes().startswith(b"age-encryption.org/v1")
    assert b"SQLite format" not in target.read_bytes()
    assert list(site.state_dir.glob("*copying*")) == []
    assert "is encrypted" in db(site, "check", target, code=5)
    assert "does not open" in db(site, "check", "--key-file", other, target, code=5)
    assert db(site, "check", "--key-file", key, target).startswith("ok ")
    damaged = bytearray(target.read_bytes())
    damaged[-2000] ^= 1
    target.write_bytes(damaged)
    assert "cut short or damaged" in db(site, "check", "--key-file", key, target, code=5)
    target.write_bytes(damaged[:9000])
    assert "cut short or damaged" in db(site, "check", "--key-file", key, target, code=5)


def test_the_public_half_of_a_key_is_enough_to_encrypt_and_no_use_to_open(site):
    key, public, target = site.path / "key", site.path / "public", site.path / "copy.age"
    public.write_text(db(site, "key", key).split("public key: ")[1])
    db(site, "backup", "--key-file", public, target)
    assert "holds no secret key" in db(site, "check", "--key-file", public, target, code=2)
    assert db(site, "check", "--key-file", key, target).startswith("ok ")


# ---------------------------------------------------------------- restore


def test_a_restore_is_refused_while_the_daemon_runs(database):
    site = database.site
    target = site.path / database.backup
    db(site, "backup", target)
    assert "the daemon runs" in db(site, "restore", "-y", target, code=5)
    site.judge({site.submit(): 0})


def test_a_backup_that_is_none_is_refused_and_the_database_stays(site):
    site.await_state(site.submit(code=3))
    good, target = site.path / "good.db", site.path / "copy.db"
    db(site, "backup", good)
    site.end(signal.SIGTERM)
    before = (site.state_dir / "dcdaemon.db").read_bytes()
    target.write_text("precious" * 100)
    assert "is not restored" in db(site, "restore", "-y", target, code=5)
    target.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    assert "is not restored" in db(site, "restore", "-y", target, code=5)
    for statement, words in (
        ("UPDATE alembic_version SET version_num = '9999'", "it has schema 9999"),
        ("DROP TABLE alembic_version", "no tables of this program"),
    ):
        shutil.copy(good, target)
        with contextlib.closing(sqlite3.connect(target)) as raw, raw:
            raw.execute(statement)
        assert words in db(site, "restore", "-y", target, code=5)
    assert (site.state_dir / "dcdaemon.db").read_bytes() == before
    assert list(site.state_dir.glob("*restor*")) == []


def gated(site: Site, name: str) -> str:
    """Return a script that waits for a file."""
    return f"while ! test -e {site.path / name}; do sleep 0.01; done"


def end_without_daemon(site: Site, jobs: dict[str, int], number: signal.Signals) -> None:
    """Stop the daemon, and let one job end while nobody looks."""
    site.end(number)
    (site.path / "ends-alone").touch()
    until(site.attempt(jobs["ends alone"]).exit_record, "its end")


def live_on(site: Site, name_of_backup: str) -> tuple[dict[str, int], Path]:
    """Make a backup in the middle of things, let things go on, and name the jobs by what became of them."""
    wait = gated(site, "gate")
    jobs = {"ended": site.submit(code=3), "runs": site.submit(wait, code=3)}
    for name in ("ends", "ends alone"):
        jobs[name] = site.submit(gated(site, name.replace(" ", "-")), code=3)
    jobs["held"] = site.submit(held=True, code=3)
    jobs["begins"] = site.submit(wait, held=True, code=3)
    site.await_state(jobs["ended"])
    for name in ("runs", "ends", "ends alone"):
        site.await_state(jobs[name], "running")
    target = site.path / name_of_backup
    db(site, "backup", target)
    (site.path / "ends").touch()
    site.client.post("/v1/jobs/release", {"select": [str(jobs["begins"])]})
    jobs |= {
        "newer": site.submit(code=3),
        "newer runs": site.submit(wait, code=3),
        "newer held": site.submit(held=True),
    }
    site.client.post("/v1/jobs/requeue", {"select": [str(jobs["ended"])]})
    site.client.post("/v1/jobs/cancel", {"select": [str(jobs["held"])]})
    until(lambda: site.job(jobs["ended"])["attempt"] == 2 and site.job(jobs["ended"])["ended_at"], "its second attempt")
    for name in ("begins", "newer runs"):
        site.await_state(jobs[name], "running")
    for name in ("ends", "newer"):
        site.await_state(jobs[name])
    return jobs, target


def judged(site: Site, jobs: dict[str, int]) -> dict[int, dict[str, object]]:
    """Release what waits, let all end, and check that nothing ran twice and every end is the true one."""
    (site.path / "gate").touch()
    site.client.post("/v1/jobs/release", {"select": ["all"]})
    ended, runs = site.await_all(), site.runs()
    assert max(runs.values()) == 1, f"an attempt ran twice: {runs}"
    for name in set(jobs) - {"newer held", "held"}:
        job = ended[jobs[name]]
        assert (job["state"], job["exit_code"]) == ("failed", 3), f"{name}: {job}"
    fresh = site.submit()
    assert fresh > max(jobs.values()), "an id was given out again"
    assert site.await_state(fresh)["state"] == "succeeded"
    assert site.runs()[f"{fresh}.1"] == 1
    site.judge_resources()
    checked(site)
    return ended


def test_after_a_restore_jobs_that_went_on_are_known_and_nothing_runs_twice(database):
    site = database.site
    jobs, target = live_on(site, database.backup)
    end_without_daemon(site, jobs, signal.SIGTERM)
    said = db(site, "restore", "-y", target)
    assert "3 jobs submitted since the backup" in said
    [kept] = database.kept_aside()
    assert kept in said
    assert database.kept_states(kept).count("cancelled") == 1
    checked(site)
    site.start()
    assert site.job(jobs["held"])["state"] == "waiting", (
        "what was cancelled while it waited is what a restore brings back"
    )
    assert site.job(jobs["newer held"])["state"] == "waiting", "what was accepted since is not lost"
    assert site.job(jobs["begins"])["state"] == "running"
    ended = judged(site, jobs)
    assert ended[jobs["ended"]]["attempt"] == 2
    assert [ended[jobs[name]]["attempt"] for name in ("held", "newer held")] == [1, 1]


def test_a_restore_over_a_damaged_database_learns_from_the_directories_of_jobs(database):
    site = database.site
    jobs, target = live_on(site, database.backup)
    gpus = {name: site.job(jobs[name])["gpus"] for name in ("runs", "begins", "newer runs")}
    end_without_daemon(site, jobs, signal.SIGKILL)
    database.damage()
    said = db(site, "restore", "-y", target)
    assert "known from their directories alone" in said
    assert len(database.kept_aside()) == 1
    checked(site)
    site.start()
    for name, held in gpus.items():
        assert (site.job(jobs[name])["state"], site.job(jobs[name])["gpus"]) == ("running", held), name
    del jobs["newer held"]  # it waited, and only the lost database knew of it
    ended = judged(site, jobs)
    assert ended[jobs["ended"]]["attempt"] == 2
    assert ended[jobs["held"]]["attempt"] == 1


def test_a_machine_that_lost_its_disk_runs_what_waited_with_nothing_but_the_backup(database):
    site = database.site
    wish = site.wish('test "$WORD" = here || exit 9', held=True, code=3)
    env = {"PATH": os.environ["PATH"], "WORD": "here"}
    held = site.client.post("/v1/jobs", {"jobs": [wish], "env": env})["jobs"][0]["id"]
    target = site.path / database.backup
    db(site, "backup", target)
    site.end(signal.SIGTERM)
    shutil.rmtree(site.state_dir)
    said = db(site, "restore", "-y", target)
    assert "1 environment of jobs put back" in said
    envs = [path for path in (site.state_dir / "env").iterdir() if path.name != "key"]
    assert [path.stat().st_mode & 0o777 for path in envs] == [0o600]
    if database.name == "sqlite":
        assert b"backup_environment" not in (site.state_dir / "dcdaemon.db").read_bytes()
    site.start()
    site.client.post("/v1/jobs/release", {"select": [str(held)]})
    assert site.await_state(held)["exit_code"] == 3
    checked(site)


def test_a_restore_is_written_down_and_brings_marks_back_as_they_were(site):
    target = site.path / "copy.db"
    db(site, "backup", target)
    drained = site.client.post("/v1/gpus/3/drain", {"reason": "fan"})
    assert drained
    site.end(signal.SIGTERM)
    db(site, "restore", "-y", target)
    actions = [action for (action,) in site.query("SELECT action FROM audit ORDER BY id")]
    assert "drain" in actions
    assert actions[-1] == "restore"
    site.start()
    assert site.client.get("/v1/gpus")["gpus"][3]["state"] == "free"


# ---------------------------------------------------------------- ids, whoever put the database there


def test_ids_whose_directories_exist_are_not_given_out_by_a_database_copied_in_by_hand(site):
    site.end(signal.SIGTERM)
    copy = site.path / "by-hand.db"
    shutil.copy(site.state_dir / "dcdaemon.db", copy)
    site.start()
    first = site.submit(code=3)
    site.await_state(first)
    site.end(signal.SIGTERM)
    shutil.copy(copy, site.state_dir / "dcdaemon.db")
    site.start()
    second = site.submit()
    assert second > first
    assert site.await_state(second)["state"] == "succeeded"
    assert site.runs()[f"{second}.1"] == 1


# ---------------------------------------------------------------- check


def test_what_lies_beside_the_database_is_checked_too(site):
    job_id = site.submit(held=True)
    site.await_state(site.submit(), "succeeded")
    checked(site)
    [(ref,)] = site.query(f"SELECT env_ref FROM job WHERE id = {job_id}")  # noqa: S608  an id
    (site.state_dir / "env" / ref).unlink()
    (site.state_dir / "jobs" / "99").mkdir()
    lines = db(site, "check", code=1).splitlines()
    assert [line.split()[0] for line in lines] == ["environments", "ids"]
    assert ref in lines[0]
    assert '"rule":"ids"' in db(site, "check", "--json", code=1)


# ---------------------------------------------------------------- migrate


def test_a_migration_says_what_it_would_do_and_keeps_a_copy(new_site):
    site = new_site()
    fixture = Path(__file__).parents[1] / "fixtures" / "databases" / "dcdaemon-0003.db"
    shutil.copy(fixture, site.state_dir / "dcdaemon.db")
    assert db(site, "migrate", "--dry-run").startswith("schema 0003 would be brought to ")
    assert list(site.state_dir.glob("*.schema-*")) == []
    assert db(site, "migrate").startswith("schema 0003 was brought to ")
    [copy] = site.state_dir.glob("dcdaemon.db.schema-0003-*")
    assert rows(copy, "SELECT version_num FROM alembic_version") == [("0003",)]
    assert "there is nothing to do" in db(site, "migrate")
    checked(site)


# ---------------------------------------------------------------- either kind has its own backups


def test_a_backup_of_the_other_kind_of_database_is_told(database, new_site):
    target = database.site.path / database.backup
    db(database.site, "backup", target)
    other = {"sqlite": {"DCD_STORAGE__URL": "postgresql://ada:secret@localhost/none"}, "postgresql": {}}[database.name]
    said = db(new_site(**other), "restore", "-y", target, code=5)
    assert "PostgreSQL database" in said
    assert "secret" not in said


def test_a_server_that_is_away_is_told_without_its_password(new_site):
    site = new_site(DCD_STORAGE__URL="postgresql://ada:secret@localhost:1/none")
    (site.path / "copy.tar").write_bytes(b"dcdaemon-backup/README")
    for command in (["backup", site.path / "new.tar"], ["check"]):
        said = db(site, *command, code=1)
        assert "the connection failed" in said
        assert "secret" not in said
    assert not (site.path / "new.tar").exists()

"""Trouble from outside: a locked, full or lost disk, a database server that goes away, a wrong configuration."""

import contextlib
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from postgres import postgres_url
from system.daemon_process import Site, command_line, until

from dcdaemon.core.errors import DcdError, StoreUnavailable

__all__ = ["postgres_url"]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a SQLite file, as a forgotten shell of an administrator does."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.contextmanager
def full_disk(site: Site) -> Iterator[None]:
    """Let no write of the daemon succeed; its shims and jobs are processes of their own and have room."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(site.pid or 0, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(site.pid or 0, resource.RLIMIT_FSIZE, unlimited)


def duty_error(site: Site, name: str) -> str | None:
    """Return what keeps a duty from its work."""
    [error] = [duty["error"] for duty in site.client.get("/v1/status")["duties"] if duty["name"] == name]
    return error


def outlive(site: Site, trouble: contextlib.AbstractContextManager[None]) -> None:
    """Have a job end while the database takes no writes; a submit is refused, and all is well again afterwards."""
    gate = site.path / "gate"
    before = site.submit(f"while ! test -e {gate}; do sleep 0.01; done", code=3)
    site.await_state(before, "running")
    with trouble:
        gate.touch()
        exit_record = until(site.attempt(before).exit_record, "the end of the job")
        with pytest.raises(StoreUnavailable) as refusal:
            site.submit()
        assert refusal.value.hint
        until(lambda: duty_error(site, "storing"), "the trouble of the duty that writes samples")
        assert site.alive()
        assert site.job(before)["state"] == "running", "what is not written down must not be told"
    after = site.submit()
    ended = site.await_state(before)
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    assert site.query(f"SELECT ended_at FROM job WHERE id = {before}") == [(exit_record.ended_at,)]  # noqa: S608
    site.judge({before: 3, after: 0})


def test_a_locked_database_refuses_submits_and_loses_no_end(site):
    outlive(site, locked(site.state_dir / "dcdaemon.db"))


def test_a_full_disk_refuses_submits_and_loses_no_end(site):
    outlive(site, full_disk(site))


def test_a_start_that_finds_no_room_is_made_up_for(site):
    held = site.submit(code=3, held=True)
    with full_disk(site):
        with contextlib.suppress(StoreUnavailable):
            site.client.post("/v1/jobs/release", {"select": [str(held)]})
        assert site.alive()
    site.client.post("/v1/jobs/release", {"select": [str(held)]})
    site.judge({held: 3})


def test_a_short_lock_is_waited_for(site):
    with locked(site.state_dir / "dcdaemon.db"):
        pass
    site.judge({site.submit(): 0})


def test_a_daemon_that_died_while_the_database_was_locked_left_no_half_truth(site):
    job_id = site.submit(sleep_s=1, code=3)
    site.await_state(job_id, "running")
    with locked(site.state_dir / "dcdaemon.db"):
        until(site.attempt(job_id).exit_record, "the end of the job")
        site.end()
    site.start()
    site.judge({job_id: 3})


def test_a_log_directory_that_is_gone_fails_the_job_with_the_reason(site):
    place = site.path / "logs"
    place.mkdir()
    job_id = site.submit(held=True, log_path=str(place / "job.log"))
    place.rmdir()
    site.client.post("/v1/jobs/release", {"select": [str(job_id)]})
    ended = site.await_state(job_id)
    assert (ended["state"], ended["exit_code"]) == ("failed", 125)
    assert str(place / "job.log") in ended["cause"]
    assert site.runs() == {}
    site.judge_resources()


def test_jobs_start_again_after_their_directory_was_removed(site):
    site.await_state(site.submit(), "succeeded")
    shutil.rmtree(site.state_dir / "jobs")
    site.await_state(site.submit(), "succeeded")


def test_an_environment_that_is_gone_fails_the_job_with_the_reason(site):
    job_id = site.submit(held=True)
    for path in (site.state_dir / "env").iterdir():
        if path.name != "key":
            path.unlink()
    site.client.post("/v1/jobs/release", {"select": [str(job_id)]})
    ended = site.await_state(job_id)
    assert ended["state"] == "failed"
    assert "environment" in ended["cause"]
    site.judge_resources()


def test_a_database_server_that_restarts_costs_no_job(new_site, postgres_url):
    site = new_site(DCD_STORAGE__URL=postgres_url)
    site.start()
    server = sa.create_engine(sa.make_url(postgres_url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    expected: dict[int, int] = {}
    for _ in range(5):
        expected[site.submit(sleep_s=0.2, code=3)] = 3
        cut_off_daemon(server)
        with contextlib.suppress(DcdError):
            expected[site.submit()] = 0
    jobs = site.await_all()
    assert {job_id: jobs[job_id]["exit_code"] for job_id in expected} == expected
    assert site.runs() == {f"{job_id}.1": 1 for job_id in jobs}
    with server.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM allocation")).scalar_one() == 0


def cut_off_daemon(server: sa.Engine) -> None:
    """End every connection of the daemon, as a restart of the server does."""
    with server.connect() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'dcdaemon' AND pid <> pg_backend_pid()"
            )
        )


# ---------------------------------------------------------------- at the start


def refusal(site, exit_code, *arguments, **settings):
    """Start a daemon that must not come up, and return its error line; nothing but that and a hint is printed."""
    site.env |= settings
    ended = command_line(site, "daemon", "run", "--simulate-gpus", "8", *arguments)
    lines = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout, len(lines)) == (exit_code, "", 2), ended
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    assert "bug" not in lines[1]
    return lines[0]


def test_a_second_daemon_is_refused_and_the_first_one_stays_reachable(site):
    assert "already serves" in refusal(site, 5)
    other = {"DCD_DAEMON__STATE_DIR": str(site.path / "other")}
    assert "already answers" in refusal(site, 5, **other)
    site.judge({site.submit(): 0})


@pytest.mark.parametrize("text", ["daemon = [", "[gpus]\npoll_interval = 'often'", "\0"])
def test_a_broken_configuration_is_one_line_and_exit_code_2(new_site, text):
    site = new_site()
    path = site.path / "broken.toml"
    path.write_text(text)
    assert "broken.toml" in refusal(site, 2, "--config", str(path))


def test_a_state_directory_that_cannot_be_used_is_told(new_site):
    site = new_site()
    blocked = site.path / "file"
    blocked.touch()
    assert str(blocked) in refusal(site, 2, DCD_DAEMON__STATE_DIR=str(blocked / "state"))


def test_a_file_in_the_place_of_the_socket_is_left_alone(new_site):
    site = new_site()
    site.socket.write_text("precious")
    assert str(site.socket) in refusal(site, 2)
    assert site.socket.read_text() == "precious"


def test_a_socket_in_no_directory_is_told(new_site):
    site = new_site()
    assert "/proc/none" in refusal(site, 2, DCD_DAEMON__SOCKET="/proc/none/dcd.sock")


def test_a_database_that_is_none_is_told_and_left_alone(new_site):
    site = new_site()
    database = site.state_dir / "dcdaemon.db"
    database.write_text("precious" * 100)
    assert "not a database" in refusal(site, 1)
    assert database.read_text() == "precious" * 100


def test_a_job_directory_that_cannot_be_written_fails_the_job_and_not_the_daemon(site):
    shutil.rmtree(site.state_dir / "jobs", ignore_errors=True)
    (site.state_dir / "jobs").write_text("in the way")
    ended = site.await_state(site.submit())
    assert ended["state"] == "failed"
    assert str(site.state_dir / "jobs") in ended["cause"]
    (site.state_dir / "jobs").unlink()
    assert site.await_state(site.submit())["state"] == "succeeded"

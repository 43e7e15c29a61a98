"""The database in trouble under a running daemon: jobs go on, nothing accepted is lost, and work goes on by itself."""

import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.cut_line import CutLine
from contract.emptying import empty
from system import database_trouble as trouble
from system.daemon_process import command_line, until

from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.store.sql_store import open_store


@pytest.fixture(scope="module")
def one_server() -> Iterator[trouble.Server]:
    server = trouble.Server()
    yield server
    server.close()


@pytest.fixture
def server(one_server: trouble.Server) -> trouble.Server:
    """The server with nothing in its tables."""
    open_store(one_server.url, "n1").close()
    empty(one_server.url)
    return one_server


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (trouble.read_only, "takes no writes now: it is read-only"),
        (trouble.replaced, "was removed or replaced while in use; all that it held is in"),
    ],
    ids=["read-only", "replaced"],  # locked: test_trouble.py
)
def test_sqlite_in_trouble_loses_nothing_that_was_accepted(site, kind, words):
    story = trouble.live_through(site, kind, seed=1)
    assert all(words in told for told in story.told), story.told
    assert "duty in trouble" in site.log.read_text()
    trouble.judge(site, story)
    site.judge_resources()
    assert list(site.state_dir.glob("*.rescued-*")) == [], "what was saved is not left beside the file that is back"


def test_a_full_disk_loses_nothing_that_was_accepted(new_site):
    site = new_site()
    with trouble.on_small_disk(site):
        site.start()
        story = trouble.live_through(site, trouble.full, seed=1)
        assert all("full" in told or "disk" in told for told in story.told), story.told
        trouble.judge(site, story)
        site.judge_resources()


def test_a_deleted_database_is_saved_and_put_back_by_a_restore(site):
    gate = site.path / "gate"
    runs = site.submit(f"while ! test -e {gate}; do sleep 0.01; done", code=3)
    held = site.submit(held=True, code=3)
    site.await_state(runs, "running")
    for path in site.state_dir.glob("dcdaemon.db*"):
        path.unlink()
    saved = until(lambda: next(site.state_dir.glob("dcdaemon.db.rescued-*[0-9]"), None), "what it held being saved")
    with pytest.raises(StoreUnavailable, match="was removed or replaced") as refusal:
        site.submit()
    assert f"dcd db restore {saved}" in (refusal.value.hint or "")
    gate.touch()
    until(site.attempt(runs).exit_record, "the end of the job that ran")
    site.end(signal.SIGTERM)
    assert not (site.state_dir / "dcdaemon.db").exists(), "an empty one would hide what is lost"
    refused = command_line(site, "daemon", "run", "--simulate-gpus", "8")
    assert (refused.returncode, f"dcd db restore {saved}" in refused.stderr) == (1, True), refused
    restored = command_line(site, "db", "restore", "-y", str(saved))
    assert restored.returncode == 0, restored
    site.start()
    assert site.await_state(runs)["exit_code"] == 3
    site.client.post("/v1/jobs/release", {"select": [str(held)]})
    site.judge({runs: 3, held: 3})


def test_a_postgresql_server_that_is_stopped_and_started_loses_nothing(new_site, server):
    site = new_site(DCD_STORAGE__URL=server.url)
    site.start()
    story = trouble.live_through(site, server.stopped, seed=1, for_s=3)
    trouble.judge(site, story, server.url)


def test_lines_cut_in_the_middle_of_transactions_lose_and_double_nothing(new_site, server):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        line = CutLine(server.url, Path(folder))
        site = new_site(DCD_STORAGE__URL=line.client_url)
        site.start()
        stream = trouble.Stream(site, seed=1)
        made = trouble.cut_now_and_then(line, stream, random.Random(1), cuts=8)  # noqa: S311  no secret
        story = stream.stop()
        assert set(made) == {"before", "after"}
        # A commit that was cut off is done again or asked after; cut off twice, it is refused, and not there.
        assert [error.message for error in story.refused if "unknown" in error.message] == []
        trouble.judge(site, story, server.url)
        site.end(signal.SIGTERM)
        line.close()


def test_a_daemon_that_cannot_write_down_an_end_says_why_and_comes_up_later(site):
    gate = site.path / "gate"
    job_id = site.submit(f"while ! test -e {gate}; do sleep 0.01; done", code=3)
    site.await_state(job_id, "running")
    site.end()
    gate.touch()
    until(site.attempt(job_id).exit_record, "an end that has to be written down")
    with trouble.read_only(site):
        refused = command_line(site, "daemon", "run", "--simulate-gpus", "8")
        assert refused.returncode == 1, refused
        assert "it is read-only" in refused.stderr
        assert "unexpected" not in refused.stderr
    site.start()
    site.judge({job_id: 3})


def test_a_daemon_that_has_nothing_to_write_comes_up_on_a_read_only_database_and_waits(site):
    site.end(signal.SIGTERM)
    with trouble.read_only(site):
        site.start()
        until(lambda: trouble.waits_for(site), "what the daemon waits for")
        with pytest.raises(StoreUnavailable, match="it is read-only"):
            site.submit()
        assert site.alive()
    site.judge({site.submit(code=3): 3})

"""The database in trouble for as long as people need to notice; the rows stand in docs/reliability.md."""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.cut_line import CutLine
from contract.emptying import empty
from system import database_trouble as trouble

from dcdaemon.store.sql_store import open_store

pytestmark = pytest.mark.proof
LONG_S = 30.0
SERVER_AWAY_S = 60.0
CUTS = 200


@pytest.fixture
def server() -> Iterator[trouble.Server]:
    server = trouble.Server()
    open_store(server.url, "n1").close()
    empty(server.url)
    yield server
    server.close()


def tell(capsys: pytest.CaptureFixture[str], name: str, seed: int, story: trouble.Story) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\n| {name} | {seed} | {len(story.expected)} | {len(story.refused)} | {story.unknown} | 0 | 0 | 0 |\n"
        )


@pytest.mark.parametrize("seed", [201, 202])
@pytest.mark.parametrize(
    "kind",
    [trouble.locked, trouble.read_only, trouble.moved_away, trouble.replaced],
    ids=["locked", "read-only", "moved away", "replaced"],
)
def test_sqlite_in_trouble_for_half_a_minute(site, kind, seed, capsys):
    story = trouble.live_through(site, kind, seed, LONG_S)
    trouble.judge(site, story)
    site.judge_resources()
    tell(capsys, f"SQLite {kind.__name__.replace('_', ' ')}, {LONG_S:.0f} s", seed, story)


@pytest.mark.parametrize("seed", [201, 202])
def test_a_disk_that_is_full_for_half_a_minute(new_site, seed, capsys):
    site = new_site()
    with trouble.on_small_disk(site):
        site.start()
        story = trouble.live_through(site, trouble.full, seed, LONG_S)
        trouble.judge(site, story)
        site.judge_resources()
    tell(capsys, f"disk full, {LONG_S:.0f} s", seed, story)


def test_a_postgresql_server_that_is_away_for_a_minute(new_site, server, capsys):
    site = new_site(DCD_STORAGE__URL=server.url)
    site.start()
    story = trouble.live_through(site, server.stopped, 201, SERVER_AWAY_S)
    trouble.judge(site, story, server.url)
    tell(capsys, f"PostgreSQL stopped, {SERVER_AWAY_S:.0f} s", 201, story)


def test_many_lines_cut_in_the_middle_of_transactions(new_site, server, capsys):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        line = CutLine(server.url, Path(folder))
        site = new_site(DCD_STORAGE__URL=line.client_url)
        site.start()
        stream = trouble.Stream(site, seed=201)
        made = trouble.cut_now_and_then(line, stream, random.Random(201), CUTS)  # noqa: S311  no secret
        story = stream.stop()
        assert made.total() == CUTS
        trouble.judge(site, story, server.url)
        site.end()
        line.close()
    tell(capsys, f"PostgreSQL line cut {CUTS} times in a transaction", 201, story)

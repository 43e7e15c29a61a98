"""When a script may begin, and which variables it exports."""

import os
import time
from datetime import datetime

import pytest

from dcdaemon.cli.sbatch.begin import begin_at
from dcdaemon.cli.sbatch.export import exported
from dcdaemon.core.errors import BadInput

NOW = datetime(2026, 3, 28, 14, 30)  # noqa: DTZ001  local time, as on a wall clock


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def wall(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-03-28T14:30"),
        ("now+1hour", "2026-03-28T15:30"),
        ("now+90", "2026-03-28T14:31:30"),
        ("now + 2 days", "2026-03-30T15:30"),  # summer time begins on the 29th
        ("now+1week", "2026-04-04T15:30"),
        ("now-5minutes", "2026-03-28T14:25"),
        ("16:00", "2026-03-28T16:00"),
        ("14:30", "2026-03-29T14:30"),
        ("9:05:10", "2026-03-29T09:05:10"),
        ("4:00PM", "2026-03-28T16:00"),
        ("12:15 am", "2026-03-29T00:15"),
        ("noon", "2026-03-29T12:00"),
        ("midnight", "2026-03-29T00:00"),
        ("teatime", "2026-03-28T16:00"),
        ("fika", "2026-03-28T15:00"),
        ("elevenses", "2026-03-29T11:00"),
        ("today", "2026-03-28T00:00"),
        ("tomorrow", "2026-03-29T00:00"),
        ("tomorrow 16:00", "2026-03-29T16:00"),
        ("16:00 tomorrow", "2026-03-29T16:00"),
        ("2026-12-01", "2026-12-01T00:00"),
        ("2026-12-01T08:00", "2026-12-01T08:00"),
        ("2026-12-01T08:00:30", "2026-12-01T08:00:30"),
        ("12/31", "2026-12-31T00:00"),
        ("01/15", "2027-01-15T00:00"),
        ("12/31-23:59", "2026-12-31T23:59"),
        ("12.31.27", "2027-12-31T00:00"),
        ("123127", "2027-12-31T00:00"),
        ("1231", "2026-12-31T00:00"),
    ],
)
def test_begin_is_read_as_sbatch_reads_it(berlin, text, expected):
    assert begin_at(text, NOW) == wall(expected)


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "13:00pm", "now+1fortnight", "2026-13-01", "13/40", "now+", "T", "-", "0:60"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(BadInput, match="is no time"):
        begin_at(text, NOW)


def test_all_variables_go_along_unless_said_otherwise():
    inherited = {"PATH": "/bin", "HOME": "/home/u", "LR": "0.1", "WANDB": "x"}
    assert exported(None, inherited) == inherited
    assert exported("ALL", inherited) == inherited
    assert exported("all,LR=0.3", inherited) == {**inherited, "LR": "0.3"}


def test_none_leaves_what_a_program_needs_to_be_found():
    inherited = {"PATH": "/bin", "HOME": "/home/u", "LR": "0.1", "WANDB": "x"}
    bare = {"PATH": "/bin", "HOME": "/home/u"}
    assert exported("NONE", inherited) == bare
    assert exported("NIL", inherited) == bare
    assert exported("LR,ABSENT,SEED=7", inherited) == {**bare, "LR": "0.1", "SEED": "7"}


def test_a_quoted_value_may_hold_a_comma():
    assert exported("NONE,A='x,y',B=\"1,2\",C=", {}) == {"A": "x,y", "B": "1,2", "C": ""}


@pytest.mark.parametrize("text", ["1A=2", "A B", "=x"])
def test_what_is_no_variable_is_refused(text):
    with pytest.raises(BadInput, match="is no variable"):
        exported(text, dict(os.environ))

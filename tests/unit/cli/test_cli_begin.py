"""`--begin`: the ways to write a time to come."""

import os
import time
from datetime import UTC, datetime

import pytest

from dcdaemon.cli.begin import begin_at
from dcdaemon.core.errors import BadInput

NOW = datetime(2026, 11, 26, 14, 30, 15)  # noqa: DTZ001  as a person's clock shows it


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """An hour ahead of UTC in winter, two in summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    os.environ.pop("TZ")
    time.tzset()


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", utc(2026, 11, 26, 13, 30, 15)),
        ("+2h", utc(2026, 11, 26, 15, 30, 15)),
        ("+90s", utc(2026, 11, 26, 13, 31, 45)),
        ("+1d12h", utc(2026, 11, 28, 1, 30, 15)),
        ("22:00", utc(2026, 11, 26, 21)),
        ("14:31", utc(2026, 11, 26, 13, 31)),
        ("14:30:16", utc(2026, 11, 26, 13, 30, 16)),
        ("14:30", utc(2026, 11, 27, 13, 30)),
        ("8:05", utc(2026, 11, 27, 7, 5)),
        ("00:00", utc(2026, 11, 26, 23)),
        ("2026-12-01", utc(2026, 11, 30, 23)),
        ("2026-12-01T08:00", utc(2026, 12, 1, 7)),
        ("2027-07-01 08:00", utc(2027, 7, 1, 6)),
        ("2026-12-01T08:00:30.5", utc(2026, 12, 1, 7, 0, 30) + 0.5),
        ("2026-12-01T08:00Z", utc(2026, 12, 1, 8)),
        ("2026-12-01T08:00+05:30", utc(2026, 12, 1, 2, 30)),
        ("2020-01-01", utc(2019, 12, 31, 23)),
        (" 22:00 ", utc(2026, 11, 26, 21)),
        ("tue 9:00", utc(2026, 12, 1, 8)),
        ("Thursday 9:00", utc(2026, 12, 3, 8)),
        ("thu 22:00", utc(2026, 11, 26, 21)),
    ],
)
def test_a_time_is_read_by_the_clock_on_the_wall(text, at):
    assert begin_at(text, NOW) == at


@pytest.mark.parametrize(
    "text",
    ["", "soon", "+", "+2", "2h", "-2h", "+-2h", "22", "24:00", "22:60", "7:5", "2026", "2026-13-01", "2026-02-30",
     "2026-12-01T", "2026-12-01T25:00", "01.12.2026", "²2:00", "tue", "tue 25:00", "tuesday9:00"],
)  # fmt: skip
def test_what_is_no_time_is_bad_input(text):
    with pytest.raises(BadInput) as caught:
        begin_at(text, NOW)
    assert caught.value.message == f"--begin {text!r} is no time"
    assert caught.value.hint == "write it like +2h, 22:00, 2026-12-01 or 2026-12-01T08:00"

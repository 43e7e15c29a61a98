"""How well starts are foretold, in words."""

import documents
import pytest

from dcdaemon.cli.show.daemon import status_text


def foretold(**told) -> list[str]:
    known = {"jobs": 0, "late": 0, "within_ratio": None, "typical_error_ratio": None, "at_once_ratio": None}
    lines = status_text(documents.status(forecasts=known | told)).splitlines()
    return [line.strip() for line in lines if line.strip().startswith("foretold")]


def test_the_status_tells_how_well_starts_were_foretold():
    [line] = foretold(jobs=312, within_ratio=0.813, typical_error_ratio=0.6)
    assert line == (
        "foretold   81% started within the times given at submit, those that waited typically 60% off"
        " (the last 312 jobs)"
    )


@pytest.mark.parametrize(
    ("took_s", "words"),
    [
        (0.0, "took 0.0ms"),
        (0.12, "took 120ms"),
        (0.0004, "took 0.4ms"),
        (0.086, "took 86ms"),
        (7.0, "took 7s"),
        (None, "took -"),
    ],
)
def test_the_status_tells_alike_how_long_each_duty_took(took_s, words):
    status = documents.status()
    status["duties"][0]["last_duration_s"] = took_s
    line = next(line for line in status_text(status).splitlines() if line.split()[:1] == [status["duties"][0]["name"]])
    assert words in line


def test_late_jobs_are_told():
    assert foretold(jobs=1, late=2, within_ratio=0.333) == [
        "foretold   33% started within the times given at submit, 2 jobs late (the last 1 job)"
    ]


def test_nothing_is_told_before_a_job_has_started():
    assert foretold() == []
    assert "foretold" not in status_text(documents.status())
